"""Figures: every attribute can be seen in every pose, nothing is malformed, and one seed gives one drawing."""

from __future__ import annotations

import io
import itertools
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import resvg_py
from PIL import Image

from kolors_submit.metrics.palette import lab
from kolors_submit.picturebook.figures import Figure, animal, person
from kolors_submit.picturebook.figures.palette import CLOTHES, HAIR, SKIN, Tone
from kolors_submit.picturebook.scenes import (
    ClothesColour,
    Garment,
    HairColour,
    HairLength,
    Hat,
    Held,
    Kind,
    Person,
    Pose,
    View,
)

KINDS, GARMENTS, POSES, HATS = get_args(Kind), get_args(Garment), get_args(Pose), get_args(Hat)
HAIRS, LENGTHS, COLOURS, HELD = get_args(HairColour), get_args(HairLength), get_args(ClothesColour), get_args(Held)
SCALE = 1.6  # pixels a unit of a full figure in a picture of 256 pixels


def picture(figure: Figure, scale: float = SCALE, background: str = "#00ff00") -> np.ndarray:
    """The figure alone on green, as float RGB."""
    x0, y0, x1, y1 = figure.extent
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x0} {y0} {x1 - x0} {y1 - y0}">'
        f'<rect x="{x0}" y="{y0}" width="400" height="400" fill="{background}"/>{figure.markup}</svg>'
    )
    size = int((x1 - x0) * scale), int((y1 - y0) * scale)
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size[0], height=size[1], skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"), dtype=np.float32)


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def apart(one: str, other: str) -> float:
    """The distance of two colours in CIELAB."""
    both = lab(np.stack([rgb(one), rgb(other)]) / 255)
    return float(np.linalg.norm(both[0] - both[1]))


def area(pixels: np.ndarray, tone: Tone) -> int:
    """How many pixels lie on the line from the tone's light over its base to its shade."""
    near = np.zeros(pixels.shape[:2], dtype=bool)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        for end in (tone.light, tone.shade):
            colour = rgb(tone.base) * (1 - share) + rgb(end) * share
            near |= np.abs(pixels - colour).max(axis=2) < 14
    return int(near.sum())


def some_person(kind: str, pose: str, garment: str, i: int) -> Person:
    """A person whose other attributes go round with `i`; hair and clothes never of one hue."""
    return Person(
        kind=kind,
        pose=pose,
        garment=garment,
        hair_colour=("black", "brown", "blue")[i % 3],
        hair_length=LENGTHS[i % 3],
        clothes_colour=("red", "green", "orange", "purple")[i % 4],
        hat=HATS[i % 4],
    )


@pytest.mark.parametrize("pose", POSES)
def test_hair_and_clothes_are_seen_in_every_pose(pose: str) -> None:
    least = 600
    for i, (kind, garment) in enumerate(list(itertools.product(KINDS, GARMENTS))[::2]):
        who = some_person(kind, pose, garment, i)
        pixels = picture(person(who, rng=random.Random(i)))
        assert area(pixels, CLOTHES[who.clothes_colour]) >= least, who
        assert area(pixels, HAIR[who.hair_colour]) >= 400, who


@pytest.mark.parametrize("kind", KINDS)
def test_long_hair_leaves_the_clothes_in_sight(kind: str) -> None:
    for pose in ("standing", "sitting", "reading"):
        areas = [
            area(
                picture(person(Person(kind, "brown", length, "shirt", "red", pose=pose), rng=random.Random(3))),
                CLOTHES["red"],
            )
            for length in ("short", "long")
        ]
        assert areas[1] >= 0.93 * areas[0]


def test_longer_hair_shows_more_hair() -> None:
    for kind, pose in itertools.product(KINDS, ("standing", "sitting", "riding", "sleeping")):
        areas = [
            area(
                picture(person(Person(kind, "brown", length, "sweater", "green", pose=pose), rng=random.Random(5))),
                HAIR["brown"],
            )
            for length in LENGTHS
        ]
        assert areas[0] * 1.06 < areas[1] < areas[2] or areas[0] * 1.06 < areas[1] * 1.03 < areas[2] * 1.06, (
            kind,
            pose,
        )


@pytest.mark.parametrize("tones", [CLOTHES, HAIR], ids=["clothes", "hair"])
def test_colours_of_one_kind_are_far_apart(tones: dict[str, Tone]) -> None:
    for a, b in itertools.combinations(tones.values(), 2):
        assert apart(a.base, b.base) > 22
        assert apart(a.base, b.shade) > 12
    for tone, skin in itertools.product(tones.values(), SKIN):
        assert apart(tone.base, skin.base) > 15


def test_markup_is_whole_and_its_ids_bear_the_prefix() -> None:
    rng = random.Random(0)
    for i in range(150):
        who = Person(
            rng.choice(KINDS),
            rng.choice(HAIRS),
            rng.choice(LENGTHS),
            rng.choice(GARMENTS),
            rng.choice(COLOURS),
            rng.choice(HATS),
            rng.choice(POSES),
            rng.choice(HELD),
        )
        figure = person(
            who, view=rng.choice(get_args(View)), facing=rng.choice((1, -1)), rng=rng, prefix=f"x{i}", night=bool(i % 2)
        )
        root = ET.fromstring(f"<svg>{figure.markup}</svg>")
        ids = [node.get("id") for node in root.iter() if node.get("id")]
        assert ids and all(name.startswith(f"x{i}-") for name in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", figure.markup)) <= set(ids)
        assert len(root.findall(".//path")) <= 140
        assert re.search(r"nan|inf|\{", figure.markup) is None
        assert -1.0 <= figure.extent[3] <= 2.0, "stands on the ground"


@pytest.mark.parametrize(("kind", "height"), [("girl", 82), ("boy", 82), ("woman", 100), ("man", 100)])
def test_heights(kind: str, height: int) -> None:
    figure = person(Person(kind, "black", "short", "shirt", "red"), rng=random.Random(1))
    assert -figure.extent[1] == pytest.approx(height, abs=4.5)
    assert figure.head[3] - figure.head[1] > 0.33 * height


def test_one_seed_one_drawing_and_another_differs() -> None:
    who = Person("girl", "red", "long", "dress", "blue", pose="walking")
    first, again, other = (person(who, rng=random.Random(seed)).markup for seed in (1, 1, 2))
    assert first == again != other


def test_facing_mirrors() -> None:
    who = Person("boy", "black", "short", "coat", "green", pose="painting")
    right, left = (person(who, facing=facing, rng=random.Random(4)).extent for facing in (1, -1))
    assert left == pytest.approx((-right[2], right[1], -right[0], right[3]), abs=0.03)


def test_sleeper_and_rider_have_what_bears_them() -> None:
    who = Person("woman", "golden", "long", "robe", "purple", hat="beret")
    asleep, riding = (person(replace(who, pose=pose), rng=random.Random(2)) for pose in ("sleeping", "riding"))
    assert asleep.extent[2] - asleep.extent[0] > 75 and riding.extent[2] - riding.extent[0] > 85


@pytest.mark.parametrize(("kind", "height"), [("cat", 36), ("dog", 37), ("bird", 25), ("horse", 92)])
def test_animals_stand_on_the_ground(kind: str, height: int) -> None:
    coats = set()
    for seed in range(12):
        figure = animal(kind, facing=1 if seed % 2 else -1, rng=random.Random(seed))
        assert -figure.extent[1] == pytest.approx(height, abs=4)
        assert -1.0 <= figure.extent[3] <= 1.5
        coats.add(re.findall(r'fill="(#\w+)"', figure.markup)[-4])
        assert picture(figure).std() > 20
    with pytest.raises(KeyError):
        animal("none", rng=random.Random(0))
