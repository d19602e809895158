"""English captions: prose, tags, sentences."""

from __future__ import annotations

from random import Random

from kolors_submit.picturebook.lexicon import EN
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.wording import Choice, Looks, Setting, looks, setting

_ACTIONS: dict[str, tuple[str, ...]] = {
    "": ("",),
    "standing": ("standing",),
    "sitting": ("sitting", "seated"),
    "sleeping": ("sleeping", "asleep in bed", "lying asleep in bed", "sleeping in a bed"),
    "walking": ("walking", "strolling", "taking a walk"),
    "painting": ("painting", "painting a picture", "painting at an easel", "sitting and painting"),
    "riding": ("riding a horse", "riding", "on horseback"),
    "reading": ("reading", "reading a book", "sitting and reading"),
    "talking": ("talking", "chatting", "having a talk"),
}
_BESIDE = {
    "animal": ("a {} beside {}", "with a {}", "a {} next to {}", "a {} nearby", "together with a {}", "a {}"),
    "prop": ("a {} beside {}", "a {} nearby", "next to a {}", "with a {}", "a {}"),
}
_PRONOUNS = {
    "girl": ("She", "her"),
    "woman": ("She", "her"),
    "grandmother": ("She", "her"),
    "boy": ("He", "him"),
    "man": ("He", "him"),
    "grandfather": ("He", "him"),
}


def english(scene: Scene, rng: Random, complete: bool = False) -> str:
    """Describe the scene in English."""
    choice = Choice(EN, rng, complete)
    people = [looks(choice, person) for person in scene.people]
    said = setting(choice, scene)
    form = rng.choices((_prose, _place_first, _tags, _sentences), (0.45, 0.15, 0.15, 0.25))[0]
    text = _articles(form(choice, scene, people, said))
    return text[0].upper() + text[1:] if rng.random() < 0.35 else text


def _prose(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    subject = " ".join(part for part in (_people(choice, people), _action(choice, said), said.place) if part)
    details = _beside(choice, scene, said)
    choice.rng.shuffle(details)
    rest = [said.time, said.weather, said.view, choice.filler("clause", 0.3)]
    choice.rng.shuffle(rest)
    style_first = choice.chance(0.5)
    if style_first and said.style and choice.chance(0.4):
        return _join([f"{said.style} of {subject}", *details, *rest])
    return _join([said.style if style_first else "", subject, *details, *rest, "" if style_first else said.style])


def _place_first(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    opening = [said.time, said.place] if choice.chance(0.5) else [said.place, said.time]
    subject = " ".join(part for part in (_people(choice, people), _action(choice, said)) if part)
    rest = [*_beside(choice, scene, said), said.weather, said.view, said.style, choice.filler("clause", 0.3)]
    choice.rng.shuffle(rest)
    return _join([*opening, subject, *rest])


def _tags(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    if len(people) == 2:
        who = [_people(choice, people)]
    else:
        person = people[0]
        looked = [_hair(person), _clothes(person), person.hat, person.held]
        choice.rng.shuffle(looked)
        who = [choice.one("a ", "one ", "") + person.kind, *looked]
    rest = [_action(choice, said), said.place, said.time, said.weather, said.view, said.style]
    rest += [*_beside(choice, scene, said), choice.filler("clause", 0.2)]
    choice.rng.shuffle(rest)
    return _join([*who, *rest])


def _sentences(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    same = len(people) == 2 and people[0].kind == people[1].kind
    firsts = [f"a {person.kind}" for person in people]
    names = [f"the {person.kind}" for person in people]
    if same:
        firsts[1] = f"another {people[1].kind}"
        names = [f"one {people[0].kind}", f"the other {people[1].kind}"]
    verb = "are" if len(people) == 2 else "is"
    lead = " ".join(part for part in (" and ".join(firsts), verb, _action(choice, said), said.place) if part)
    lead = _join([lead, said.time])
    subject = _PRONOUNS[scene.people[0].kind][0]
    names = [subject] if len(people) == 1 and choice.chance(0.6) else names
    looked = [_looks_sentence(choice, name, person) for name, person in zip(names, people, strict=True)]
    rest = _join([*_beside(choice, scene, said), said.weather, said.view, said.style, choice.filler("clause", 0.3)])
    parts = [part for part in (lead, *looked, rest) if part]
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _looks_sentence(choice: Choice, name: str, person: Looks) -> str:
    hair, clothes = _hair(person), _clothes(person)
    parts = [
        f"has {hair}" if hair else "",
        f"{choice.one('wears', 'is wearing', 'is dressed in')} a {clothes}" if clothes else "",
        f"has a {person.hat}" if person.hat else "",
        f"is {person.held}" if person.held else "",
    ]
    said = [part for part in parts if part]
    if not said:
        return ""
    return f"{name} " + (", ".join(said[:-1]) + " and " + said[-1] if len(said) > 1 else said[0])


def _people(choice: Choice, people: list[Looks]) -> str:
    one = [_person(choice, person) for person in people]
    if len(one) == 1:
        return one[0]
    if choice.chance(0.15):
        return f"{one[0]} on the left and {one[1]} on the right"
    if people[0].kind == people[1].kind and one[1].startswith("a ") and choice.chance(0.5):
        one[1] = "another " + one[1][2:]
    return choice.one(" and ", " and ", " with ", ", and ").join(one)


def _person(choice: Choice, person: Looks) -> str:
    """Such as a girl with long red hair in a light blue dress, wearing a beret."""
    hair, clothes = _hair(person), _clothes(person)
    adjective = choice.filler("person", 0.12)
    if person.colour and not person.length and choice.chance(0.4):
        adjective, hair = f"{person.colour}-haired", ""
    parts = [
        f"with {hair}" if hair else "",
        f"{choice.one('in', 'wearing', 'in', 'dressed in')} a {clothes}" if clothes else "",
        f"{choice.one('wearing', 'in', 'with')} a {person.hat}" if person.hat else "",
        person.held,
    ]
    if choice.chance(0.3):
        choice.rng.shuffle(parts)
    looked = choice.one(" ", " ", ", ", " and ").join(part for part in parts if part)
    return " ".join(part for part in ("a", adjective, person.kind, looked) if part)


def _hair(person: Looks) -> str:
    words = [word for word in (person.length, person.colour) if word]
    return " ".join([*words, "hair"]) if words else ""


def _clothes(person: Looks) -> str:
    if not (person.clothes or person.garment):
        return ""
    return f"{person.clothes} {person.garment or 'outfit'}".strip()


def _action(choice: Choice, said: Setting) -> str:
    action = choice.one(*_ACTIONS[said.pose])
    manner = choice.filler("manner", 0.12) if action else ""
    return f"{action} {manner}".strip()


def _beside(choice: Choice, scene: Scene, said: Setting) -> list[str]:
    whom = "them" if len(scene.people) == 2 else _PRONOUNS[scene.people[0].kind][1]
    forms = [("animal", said.animal), ("prop", said.prop)]
    return [choice.one(*_BESIDE[kind]).format(word, whom) for kind, word in forms if word]


def _join(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)


def _articles(text: str) -> str:
    """Say "an" before a vowel."""
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word in ("a", "A") and words[i + 1][:1].lower() in "aeiou":
            words[i] = word + "n"
    return " ".join(words)
