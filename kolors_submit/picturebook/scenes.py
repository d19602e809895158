"""What a picture-book picture shows: the vocabulary and the data model of a scene.

Nothing here draws or names anything: `captions` puts a scene into words and `paint` into pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["girl", "boy", "woman", "man", "grandmother", "grandfather"]
HairColour = Literal["black", "brown", "golden", "red", "silver", "blue"]
HairLength = Literal["short", "shoulder", "long"]
Garment = Literal["dress", "shirt", "sweater", "coat", "robe"]
ClothesColour = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "white"]
Hat = Literal["none", "straw hat", "beret", "witch hat"]
Pose = Literal["standing", "sitting", "sleeping", "walking", "painting", "riding", "reading", "talking"]
Held = Literal["none", "umbrella", "lantern"]
Animal = Literal["none", "cat", "dog", "horse", "bird"]
Prop = Literal["none", "book", "easel", "desk", "bed", "table", "bridge", "boat"]
Place = Literal["room", "classroom", "lake", "forest", "road", "town", "mountains", "cherry trees", "temple"]
Time = Literal["morning", "noon", "sunset", "night"]
Weather = Literal["clear", "rain", "snow"]
View = Literal["close", "half", "full"]

INDOORS: tuple[Place, ...] = ("room", "classroom")


@dataclass(frozen=True)
class Person:
    """One person: what the caption may say of them and the painter must show."""

    kind: Kind
    hair_colour: HairColour
    hair_length: HairLength
    garment: Garment
    clothes_colour: ClothesColour
    hat: Hat = "none"
    pose: Pose = "standing"
    held: Held = "none"


@dataclass(frozen=True)
class Scene:
    """One picture. `seed` decides all that no word names: positions, tree shapes, clouds, the side somebody faces."""

    people: tuple[Person, ...]
    place: Place
    time: Time = "noon"
    weather: Weather = "clear"
    animal: Animal = "none"
    prop: Prop = "none"
    view: View = "full"
    seed: int = 0
