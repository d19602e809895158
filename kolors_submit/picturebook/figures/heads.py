"""Faces, in head units: the face's middle at 0, 31 wide and 31 tall, features turned a little to the right."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from kolors_submit.picturebook.figures.colours import Colours
from kolors_submit.picturebook.figures.palette import BLUSH, EYE, IRIS, LIP, METAL, MOUTH, WHITE
from kolors_submit.picturebook.figures.svg import Drawing, Shape, ellipse, path, solid, stroke
from kolors_submit.picturebook.scenes import Kind, Pose

OLD: tuple[Kind, ...] = ("grandmother", "grandfather")
CHILDREN: tuple[Kind, ...] = ("girl", "boy")
FEMALE: tuple[Kind, ...] = ("girl", "woman", "grandmother")
CHEEK_SHADE = "M -15,-2 C -15.6,9 -9.4,15 0,15 C -6.4,13.4 -12,8 -12.8,-2 Z"


@dataclass(frozen=True)
class Look:
    """What a face does: the eyes, the mouth, and how far the features are turned aside (head units)."""

    eyes: Literal["open", "down", "closed"] = "open"
    mouth: Literal["smile", "talk"] = "smile"
    turn: float = 1.5
    smile: float = 3.0


def look_of(pose: Pose, rng: random.Random) -> Look:
    """The look that goes with a pose, a little different each time."""
    eyes: Literal["open", "down", "closed"] = "open"
    if pose == "sleeping":
        eyes = "closed"
    elif pose == "reading":
        eyes = "down"
    turn = {"sleeping": 0.6, "walking": 2.4, "painting": 2.6, "riding": 2.6, "talking": 2.4}.get(pose, 1.2)
    return Look(eyes, "talk" if pose == "talking" else "smile", turn + rng.uniform(-0.4, 0.4), rng.uniform(2.6, 3.6))


def face(kind: Kind, look: Look, c: Colours) -> Drawing:
    """Ears, the face's shape, blush and nose; hair comes on top, then `features`."""
    jaw = {"man": 1.3, "grandfather": 1.0, "woman": -0.8}.get(kind, 0.6)
    shape = path("M -15.5,-3 C -15.5,-14 -8,-18 0,-18 C 8,-18 15.5,-14 15.5,-3 C 16.1,{} {},15.6 0,15.6 "
                 "C {},15.6 -16.1,{} -15.5,-3 Z", 8.5 + jaw, 9.2 + jaw, -9.2 - jaw, 8.5 + jaw)
    drawing = []
    for side in (-1, 1):
        drawing.append(solid(ellipse(side * 15.6, 4, 2.8, 3.6), c.skin, c.line))
    drawing += [solid(shape, c.skin, c.line), Shape(CHEEK_SHADE, c.skin.shade, opacity=0.5)]
    for side in (-1, 1):
        drawing.append(Shape(ellipse(side * 9.6 + look.turn * 0.8, 9.2, 3.3, 2.1), BLUSH, opacity=0.62))
    x = look.turn * 1.35
    drawing.append(stroke(path("M {},6.9 Q {},8.2 {},8", x - 0.2, x + 0.9, x - 0.5), c.skin.line, 0.95, 0.8))
    return drawing


def features(kind: Kind, look: Look, c: Colours) -> Drawing:
    """Eyes, brows, mouth and glasses: what must lie over the hair."""
    drawing: Drawing = []
    size = 0.84 if kind in OLD else 1.08 if kind in CHILDREN else 0.96
    for side in (-1, 1):
        x = side * 6.7 + look.turn
        drawing += eye(x, 3.6, side, size, kind in FEMALE, look)
        drawing.append(brow(x, side, kind, c))
    if kind == "grandmother":
        drawing += glasses(look.turn)
    return drawing + mouth(kind, look)


def eye(x: float, y: float, side: int, size: float, lashes: bool, look: Look) -> Drawing:
    """One eye: dark, with a warm lower iris and one highlight; lowered or closed it is mostly its lashes."""
    if look.eyes == "closed":
        return [stroke(path("M {},{} Q {},{} {},{}", x - 3, y + 0.4, x, y + 4, x + 3, y + 0.4), EYE, 1.35)]
    if look.eyes == "down":
        lid = path("M {},{} Q {},{} {},{}", x - 3.2, y + 1.0, x, y + 4.4, x + 3.2, y + 1.0)
        lash = path("M {},{} L {},{}", x + side * 2.6, y + 1.8, x + side * 4.4, y + 3.0)
        return [stroke(lid, EYE, 1.5), stroke(lash, EYE, 1.15)]
    rx, ry = 2.55 * size, 3.5 * size
    drawing = [Shape(ellipse(x, y, rx, ry), EYE), Shape(ellipse(x, y + ry * 0.52, rx * 0.66, ry * 0.36), IRIS),
               Shape(ellipse(x + 0.75, y - ry * 0.4, 1.12 * size), WHITE)]
    if lashes:
        drawing.append(stroke(path("M {},{} Q {},{} {},{}", x - side * 2.6 * size, y - ry * 0.75, x, y - ry * 1.28,
                                   x + side * 3.9 * size, y - ry * 0.55), EYE, 1.15))
    return drawing


def brow(x: float, side: int, kind: Kind, c: Colours) -> Shape:
    """One eyebrow in the hair's line colour."""
    y = {"girl": -2.2, "boy": -2.6, "woman": -3.2, "man": -3.4}.get(kind, -2.6)
    width = {"man": 1.6, "boy": 1.3, "grandfather": 2.3}.get(kind, 1.0)
    colour = c.hair.shade if kind == "grandfather" else c.hair.line
    outer = x + side * 2.9
    return stroke(path("M {},{} Q {},{} {},{}", x - side * 2.3, y + 0.3, x, y - 1.1, outer, y + 0.5), colour, width)


def glasses(turn: float) -> Drawing:
    """Round spectacles."""
    drawing = []
    for side in (-1, 1):
        x = side * 6.7 + turn
        drawing.append(Shape(ellipse(x, 3.8, 5.1, 4.9), "none", METAL.shade, 1.1))
    drawing.append(stroke(path("M {},3.2 Q {},2.2 {},3.2", turn - 1.6, turn, turn + 1.6), METAL.shade, 1.1))
    return drawing


def mouth(kind: Kind, look: Look) -> Drawing:
    """A smile, or an open mouth in talk."""
    x, y = look.turn * 1.2, 12.4 if kind == "grandfather" else 10.9
    if look.mouth == "talk":
        opening = path("M {},{} Q {},{} {},{} C {},{} {},{} {},{} Z", x - 3.3, y - 1.2, x, y - 2, x + 3.3, y - 1.2,
                       x + 3, y + 4.6, x - 3, y + 4.6, x - 3.3, y - 1.2)
        return [Shape(opening, MOUTH, "#7c2a35", 0.7), Shape(ellipse(x, y + 1.8, 1.9, 1.1), "#f08c8c")]
    half = look.smile * (0.8 if look.eyes != "open" else 1.0)
    colour = LIP if kind in FEMALE else MOUTH
    return [stroke(path("M {},{} Q {},{} {},{}", x - half, y - 0.6, x, y + 2.2, x + half, y - 0.6), colour, 1.3)]
