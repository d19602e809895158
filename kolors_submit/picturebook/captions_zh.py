"""Chinese captions: prose, tags, sentences."""

from __future__ import annotations

from random import Random

from kolors_submit.picturebook.lexicon import ZH
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.wording import Choice, Looks, Setting, looks, setting

# What somebody does: at a place ({} is the place), and where no place is named.
_ACTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "": (("在{}",), ("",)),
    "standing": (("站在{}", "在{}站着", "伫立在{}"), ("站着", "站立")),
    "sitting": (("坐在{}", "在{}坐着"), ("坐着", "坐在那里")),
    "sleeping": (("在{}睡觉", "躺在{}的床上睡觉", "在{}的床上熟睡", "睡在{}"), ("在床上睡觉", "正在睡觉", "睡着了")),
    "walking": (("走在{}", "在{}散步", "在{}漫步", "在{}走着"), ("走着", "散步", "走路", "向前走去")),
    "painting": (("在{}画画", "坐在{}画画", "在{}写生", "站在{}作画"), ("画画", "正在画画", "在画板上作画")),
    "riding": (("在{}骑马", "骑着马走在{}", "骑马来到{}", "骑在马上，走在{}"), ("骑马", "骑着马", "骑在马背上")),
    "reading": (("在{}看书", "坐在{}读书", "在{}读一本书", "坐在{}看书"), ("看书", "读书", "正在读一本书")),
    "talking": (("在{}说话", "在{}聊天", "站在{}交谈", "在{}谈话"), ("说话", "聊天", "交谈")),
}
_MEASURE = {"cat": "一只", "dog": "一只", "bird": "一只", "horse": "一匹", "book": "一本", "easel": "一个",
            "desk": "一张", "bed": "一张", "table": "一张", "bridge": "一座", "boat": "一条"}  # fmt: skip
_BESIDE = {
    "animal": ("旁边有{}", "身边有{}", "身旁跟着{}", "{}陪在旁边", "和{}在一起", "{}"),
    "prop": ("旁边有{}", "旁边放着{}", "身边是{}", "{}在旁边", "{}"),
    "boat": ("旁边有{}", "湖上有{}", "岸边停着{}", "{}"),
    "bridge": ("旁边有{}", "身后是{}", "远处有{}", "{}"),
}


def chinese(scene: Scene, rng: Random, complete: bool = False) -> str:
    """Describe the scene in Chinese."""
    choice = Choice(ZH, rng, complete)
    people = [looks(choice, person) for person in scene.people]
    said = setting(choice, scene)
    form = rng.choices((_prose, _place_first, _tags, _sentences), (0.45, 0.2, 0.15, 0.2))[0]
    return form(choice, scene, people, said)


def _prose(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    start = [said.style] if said.style and choice.chance(0.6) else []
    style = "" if start else said.style
    time_first = bool(said.time) and choice.chance(0.35)
    start += [said.time] if time_first else []
    subject = _people(choice, people) + _action(choice, said)
    details = _beside(choice, scene, said)
    choice.rng.shuffle(details)
    rest = [said.weather, "" if time_first else said.time, said.view, style, choice.filler("clause", 0.3)]
    choice.rng.shuffle(rest)
    return _join(choice, [*start, subject, *details, *rest])


def _place_first(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    if not said.place:
        return _prose(choice, scene, people, said)
    where = f"{said.time}的{said.place}" if said.time and choice.chance(0.6) else f"{said.place}"
    time = "" if said.time and where.startswith(said.time) else said.time
    bare = Setting(**{**vars(said), "place": ""})
    subject = _people(choice, people) + _action(choice, bare)
    rest = [*_beside(choice, scene, said), time, said.weather, said.view, said.style, choice.filler("clause", 0.3)]
    choice.rng.shuffle(rest)
    return _join(choice, [where, subject, *rest])


def _tags(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    if len(people) == 2:
        who = [_people(choice, people)]
    else:
        person = people[0]
        first = choice.one("一个", "一位", "") + choice.filler("person", 0.2) + person.kind
        looked = [_hair(choice, person, plain=True), person.clothes + person.garment, person.hat, person.held]
        choice.rng.shuffle(looked)
        who = [first, *looked]
    act = choice.one(*_ACTIONS[said.pose][1])
    rest = [act, said.place, said.time, said.weather, said.view, said.style, *_beside(choice, scene, said)]
    rest.append(choice.filler("clause", 0.2))
    choice.rng.shuffle(rest)
    return _join(choice, [*who, *rest])


def _sentences(choice: Choice, scene: Scene, people: list[Looks], said: Setting) -> str:
    names = [person.kind for person in people]
    firsts = [choice.one("一位", "一个") + name for name in names]
    if len(names) == 2 and names[0] == names[1]:
        firsts = [f"一个{names[0]}", f"另一个{names[1]}"]
        names = firsts
    lead = "和".join(firsts) + _action(choice, said)
    lead = f"{said.time}，{lead}" if said.time and choice.chance(0.5) else _join(choice, [lead, said.time])
    described = [_looks_sentence(choice, name, person) for name, person in zip(names, people, strict=True)]
    looked = choice.one("；", "，", "。").join(text for text in described if text)
    rest = [*_beside(choice, scene, said), said.weather, said.view, said.style, choice.filler("clause", 0.3)]
    parts = [lead, looked, _join(choice, rest)]
    if choice.chance(0.4):
        parts = [looked, lead, parts[2]]
    return "。".join(part for part in parts if part) + "。"


def _looks_sentence(choice: Choice, name: str, person: Looks) -> str:
    hair = _hair(choice, person, plain=True)
    clothes = _clothes(choice, person)
    has = [
        choice.one("有一头", "留着", "的头发是") + hair if hair else "",
        choice.one("穿着", "身穿", "身上穿着") + clothes if clothes else "",
        choice.one("戴着", "头戴", "头上戴着") + person.hat if person.hat else "",
        person.held,
    ]
    said = [part for part in has if part]
    return name + "，".join(said) if said else ""


def _people(choice: Choice, people: list[Looks]) -> str:
    one = [_person(choice, person) for person in people]
    if len(one) == 1:
        return one[0]
    if people[0].kind == people[1].kind:
        one[1] = choice.one("另", "") + one[1]
    if choice.chance(0.15):
        return f"左边是{one[0]}，右边是{one[1]}，{choice.one('他们', '两人', '两个人')}"
    return choice.one("和", "与", "跟", "和").join(one)


def _person(choice: Choice, person: Looks) -> str:
    """Such as 一位红色长发、身穿蓝色连衣裙、头戴贝雷帽的女孩."""
    hair, clothes = _hair(choice, person), _clothes(choice, person)
    parts = [
        hair,
        choice.one("身穿", "穿着", "穿", "身着") + clothes if clothes else "",
        choice.one("头戴", "戴着", "戴") + person.hat if person.hat else "",
        person.held,
    ]
    if choice.chance(0.3):
        choice.rng.shuffle(parts)
    looked = choice.one("、", "、", "，", "").join(part for part in parts if part)
    kind = choice.filler("person", 0.12) + person.kind
    who = choice.one("一位", "一个", "一个", "") + (f"{looked}的{kind}" if looked else kind)
    return who + (choice.filler("manner", 0.12))


def _hair(choice: Choice, person: Looks, plain: bool = False) -> str:
    """Such as 红色长发, 一头红色的长发, 红发; "" where neither colour nor length is said."""
    if not (person.colour or person.length):
        return ""
    of = "的" if person.colour.endswith("色") and choice.chance(0.2) else ""
    hair = person.colour + of + person.length + (choice.one("发", "发", "头发") if person.length else "")
    if not person.length:
        hair = person.colour + ("头发" if person.colour.endswith("色") else choice.one("发", "色头发"))
    return hair if plain else choice.one("", "", "", "留着", "有着") + hair


def _clothes(choice: Choice, person: Looks) -> str:
    if not (person.clothes or person.garment):
        return ""
    of = "的" if person.clothes and choice.chance(0.25) else ""
    return person.clothes + of + (person.garment or "衣服")


def _action(choice: Choice, said: Setting) -> str:
    placed, bare = _ACTIONS[said.pose]
    return choice.one(*placed).format(said.place) if said.place else choice.one(*bare)


def _beside(choice: Choice, scene: Scene, said: Setting) -> list[str]:
    parts = []
    if said.animal:
        parts.append(choice.one(*_BESIDE["animal"]).format(_counted(choice, scene.animal, said.animal)))
    if said.prop:
        forms = _BESIDE.get(scene.prop, _BESIDE["prop"])
        parts.append(choice.one(*forms).format(_counted(choice, scene.prop, said.prop)))
    return parts


def _counted(choice: Choice, name: str, word: str) -> str:
    return (_MEASURE[name] if choice.chance(0.75) else "") + word


def _join(choice: Choice, parts: list[str]) -> str:
    return choice.one("，", "，", "，", ",", "、" if choice.chance(0.1) else "，").join(part for part in parts if part)
