"""The grammar that samples scenes, and the combinations that no training may see.

What goes together is sampled together: somebody who paints has an easel, a rider sits on a horse outdoors, a sleeper
lies in a bed, snow falls outdoors. All else is drawn evenly, so that no attribute can be guessed from another.
People are listed from left to right as the picture shows them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import get_args

from kolors_submit.picturebook.scenes import (
    INDOORS,
    Animal,
    ClothesColour,
    Garment,
    HairColour,
    HairLength,
    Hat,
    Held,
    Kind,
    Person,
    Place,
    Pose,
    Prop,
    Scene,
    Time,
    View,
    Weather,
)

HELD_OUT_SHARE = 0.1
TWO_PEOPLE_SHARE = 0.2

_PLACES: tuple[Place, ...] = get_args(Place)
_OUTDOORS = tuple(place for place in _PLACES if place not in INDOORS)
_NO_DRESS: dict[Kind, tuple[Garment, ...]] = {
    "boy": ("shirt", "sweater", "coat", "robe"),
    "man": ("shirt", "sweater", "coat", "robe"),
    "grandfather": ("shirt", "sweater", "coat", "robe"),
}
_SINGLE_POSES: tuple[Pose, ...] = (
    "standing",
    "standing",
    "sitting",
    "sleeping",
    "walking",
    "painting",
    "riding",
    "reading",
)
_PAIR_POSES: tuple[Pose, ...] = ("talking", "talking", "standing", "walking", "sitting", "reading")
# Heroines of stories are mostly young, so they come more often; hair and clothes stay even within each kind.
_KINDS: dict[Kind, float] = {
    "girl": 0.3,
    "boy": 0.18,
    "woman": 0.2,
    "man": 0.12,
    "grandmother": 0.1,
    "grandfather": 0.1,
}
_UPRIGHT: tuple[Pose, ...] = ("standing", "walking", "talking")
_BY_WATER: tuple[Place, ...] = ("lake",)
_BRIDGED: tuple[Place, ...] = ("lake", "forest", "town", "mountains", "temple", "cherry trees")


def sample(rng: Random) -> Scene:
    """Draw one scene that makes sense; held-out combinations come at their natural rate."""
    pair = rng.random() < TWO_PEOPLE_SHARE
    pose = rng.choice(_PAIR_POSES if pair else (*_SINGLE_POSES, "talking"))
    place = _place(rng, pose)
    view = _view(rng, pose, pair)
    weather = _weather(rng, place)
    time: Time = rng.choice(get_args(Time))
    animal = _animal(rng, pose, place, view, pair)
    prop = _prop(rng, pose, place, view)
    if view == "close":
        pose = "standing"
    people = [_person(rng, pose, place, time, weather, view) for _ in range(2 if pair else 1)]
    if pair and people[0].kind == people[1].kind and rng.random() < 0.8:
        people[1] = _person(rng, pose, place, time, weather, view, _other_kind(rng, people[0].kind))
    return Scene(tuple(people), place, time, weather, animal, prop, view, rng.randrange(2**31))


def sample_training(rng: Random) -> Scene:
    """Draw a scene that training may see."""
    while held_out(scene := sample(rng)):
        pass
    return scene


def sample_held_out(rng: Random) -> Scene:
    """Draw a scene with a combination that no training has seen."""
    while not held_out(scene := sample(rng)):
        pass
    return scene


def held_out(scene: Scene) -> bool:
    """Whether a person in it has one of the held-out combinations of hair colour, clothes colour, place and animal.

    A fixed tenth of the 2,160 combinations is held out, chosen by a hash, the same in every run and version.
    """
    return any(_is_held_out(person, scene) for person in scene.people)


def _is_held_out(person: Person, scene: Scene) -> bool:
    combination = "|".join((person.hair_colour, person.clothes_colour, scene.place, scene.animal))
    digest = hashlib.sha256(combination.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def _place(rng: Random, pose: Pose) -> Place:
    if pose == "sleeping":
        return "room"
    if pose in ("riding", "walking"):
        return rng.choice(_OUTDOORS)
    return rng.choice(_PLACES)


def _view(rng: Random, pose: Pose, pair: bool) -> View:
    if pose in ("riding", "sleeping", "walking"):
        return "full"
    if pose == "standing" and not pair:
        return rng.choices(("close", "half", "full"), (0.4, 0.25, 0.35))[0]
    return rng.choices(("half", "full"), (0.3, 0.7))[0]


def _weather(rng: Random, place: Place) -> Weather:
    if place in INDOORS:
        return "clear"
    return rng.choices(("clear", "rain", "snow"), (0.7, 0.15, 0.15))[0]


def _animal(rng: Random, pose: Pose, place: Place, view: View, pair: bool) -> Animal:
    if pose == "riding":
        return "horse"
    if view == "close":
        return "none"
    big = () if place in INDOORS or view == "half" or pair else ("horse",)
    animals: Sequence[Animal] = ("cat", "dog", "bird", *big)
    nobody = 0.25 if pose == "talking" and not pair else 0.4  # who talks alone mostly talks to an animal
    return "none" if rng.random() < nobody else rng.choice(animals)


def _prop(rng: Random, pose: Pose, place: Place, view: View) -> Prop:
    needed: dict[Pose, Prop] = {"painting": "easel", "reading": "book", "sleeping": "bed"}
    if pose in needed:
        return needed[pose]
    if pose == "riding" or view == "close":
        return "none"
    choices: list[Prop] = ["table"] if pose != "walking" else []
    if place in INDOORS:
        choices += ["desk", "desk", "easel", "book"]
    if place == "room" and view == "full":
        choices.append("bed")
    if place in _BRIDGED and view == "full":
        choices.append("bridge")
    if place in _BY_WATER and view == "full":
        choices += ["boat", "boat", "boat"]
    return rng.choice(choices) if choices and rng.random() < 0.4 else "none"


def _person(
    rng: Random, pose: Pose, place: Place, time: Time, weather: Weather, view: View, kind: Kind | None = None
) -> Person:
    kind = kind or rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    old = kind in ("grandmother", "grandfather")
    hair: HairColour = "silver" if old and rng.random() < 0.4 else rng.choice(get_args(HairColour))
    garments: Sequence[Garment] = _NO_DRESS.get(kind, ("dress", *get_args(Garment)))
    hats: Sequence[Hat] = ("none",) if pose == "sleeping" else ("none",) * 5 + get_args(Hat)[1:]
    return Person(
        kind=kind,
        hair_colour=hair,
        hair_length=_hair_length(rng, kind),
        garment="robe" if place == "temple" and rng.random() < 0.4 else rng.choice(garments),
        clothes_colour=rng.choice(get_args(ClothesColour)),
        hat=rng.choice(hats),
        pose=pose,
        held=_held(rng, pose, place, time, weather, view),
    )


def _hair_length(rng: Random, kind: Kind) -> HairLength:
    lengths: Sequence[HairLength] = get_args(HairLength)
    if kind in ("girl", "woman"):
        return rng.choice(lengths)
    if kind == "grandmother":
        return rng.choice(lengths[:2])
    return rng.choices(lengths[:2], (0.85, 0.15))[0]


def _held(rng: Random, pose: Pose, place: Place, time: Time, weather: Weather, view: View) -> Held:
    if pose not in _UPRIGHT or view == "close":
        return "none"
    umbrella = 0.0 if place in INDOORS else (0.5 if weather == "rain" else 0.06)
    lantern = 0.3 if time == "night" else 0.05
    return rng.choices(("umbrella", "lantern", "none"), (umbrella, lantern, 1 - umbrella - lantern))[0]


def _other_kind(rng: Random, kind: Kind) -> Kind:
    return rng.choice([other for other in get_args(Kind) if other != kind])
