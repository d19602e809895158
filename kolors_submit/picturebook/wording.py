"""What a caption says of a scene, decided before any language puts it into words."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from kolors_submit.picturebook.lexicon import Words
from kolors_submit.picturebook.scenes import Person, Scene

# How often a caption leaves out what the picture shows.
_LEFT_OUT = {
    "hair_colour": 0.02,
    "hair_length": 0.12,
    "clothes_colour": 0.02,
    "garment": 0.04,
    "hat": 0.05,
    "held": 0.06,
    "pose": 0.03,
    "place": 0.03,
    "time": 0.05,
    "animal": 0.03,
    "prop": 0.08,
    "view": 0.15,
    "weather": 0.05,
}
_STYLE_SHARE = 0.3  # captions that name the style
_CLEAR_SHARE = 0.15  # clear skies are what goes without saying
_STANDING_LEFT_OUT = 0.15


@dataclass(frozen=True)
class Choice:
    """Draws words of one language for what a caption says, "" for what it leaves out."""

    lexicon: dict[str, Words]
    rng: Random
    complete: bool = False  # leave nothing out

    def chance(self, share: float) -> bool:
        """True in this share of calls."""
        return self.rng.random() < share

    def one(self, *options: str) -> str:
        """One of the options, each as often."""
        return self.rng.choice(options)

    def word(self, attribute: str, value: str) -> str:
        """One of the words for it, the first (the plain one) as often as all others together."""
        words = self.lexicon[attribute][value]
        return words[0] if self.chance(0.5) else self.rng.choice(words)

    def said(self, attribute: str, value: str) -> str:
        """A word for it, or "" where there is nothing to name or it is left out."""
        if value == "none" or self.leaves_out(_LEFT_OUT[attribute]):
            return ""
        return self.word(attribute, value)

    def leaves_out(self, share: float) -> bool:
        """True in this share of calls, never for a complete caption."""
        return not self.complete and self.chance(share)

    def filler(self, kind: str, share: float) -> str:
        """Now and then a word that names nothing in the picture."""
        return self.rng.choice(self.lexicon["filler"][kind]) if self.chance(share) else ""


@dataclass(frozen=True)
class Looks:
    """One person's words; "" for what is left out."""

    kind: str
    colour: str
    length: str
    clothes: str
    garment: str
    hat: str
    held: str


def looks(choice: Choice, person: Person) -> Looks:
    """Choose the words for a person; at least a garment or a clothes colour stands for the clothes."""
    return Looks(
        kind=choice.word("kind", person.kind),
        colour=choice.said("hair_colour", person.hair_colour),
        length=choice.said("hair_length", person.hair_length),
        clothes=choice.said("clothes_colour", person.clothes_colour),
        garment=choice.said("garment", person.garment),
        hat=choice.said("hat", person.hat),
        held=choice.said("held", person.held),
    )


@dataclass(frozen=True)
class Setting:
    """The words for all but the people; "" for what is left out."""

    pose: str  # the pose's own name: the languages differ in how they use it
    place: str
    time: str
    weather: str
    animal: str
    prop: str
    view: str
    style: str


def setting(choice: Choice, scene: Scene) -> Setting:
    """Choose what is said of a scene's pose, place, time, weather, animal, prop, view and style."""
    pose = scene.people[0].pose
    silent = scene.view == "close" or (pose == "standing" and choice.leaves_out(_STANDING_LEFT_OUT))
    silent = silent or choice.leaves_out(_LEFT_OUT["pose"])
    implied = (pose == "riding" and scene.animal == "horse", pose in ("reading", "sleeping") and choice.chance(0.6))
    clear = scene.weather == "clear" and not choice.chance(_CLEAR_SHARE)
    return Setting(
        pose="" if silent else pose,
        place=choice.said("place", scene.place),
        time=choice.said("time", scene.time),
        weather="" if clear else choice.said("weather", scene.weather),
        animal="" if implied[0] and not silent else choice.said("animal", scene.animal),
        prop="" if implied[1] and not silent else choice.said("prop", scene.prop),
        view=choice.said("view", scene.view),
        style=choice.word("style", "plain") if choice.chance(_STYLE_SHARE) else "",
    )
