"""The horse, alone or saddled, turned to the right."""

from __future__ import annotations

import random

from kolors_submit.picturebook.figures.animals import eye
from kolors_submit.picturebook.figures.palette import BLUSH, COAT, METAL, SADDLE, Tone
from kolors_submit.picturebook.figures.svg import Drawing, Point, Shape, ellipse, limb, path, smooth, solid, stroke

LINE = 1.2
MANES = (Tone("#5a3424", "#412317", "#7d4f39", "#2c160d"), Tone("#e3c48f", "#c6a067", "#f5e0b8", "#927043"),
         Tone("#efe3d0", "#cfbfa6", "#fffaf0", "#8f8069"))


def horse(rng: random.Random, *, saddled: bool = False) -> tuple[Drawing, Drawing]:
    """A horse, 86 tall and about 85 long: head with mane and ears, and the rest beneath it."""
    index = rng.randrange(3)
    coat, mane = COAT["horse"][index], MANES[index]
    swish = rng.uniform(-3, 3)
    tail = [(-33, -53), (-41, -51), (-48 + swish, -40), (-47 + swish, -24), (-51 + swish, -14), (-41 + swish, -17),
            (-38 + swish * 0.5, -29), (-36, -42)]
    drawing = [solid(smooth(tail), mane, LINE), stroke(smooth([(-37, -49), (-43 + swish, -39), (-43 + swish, -23)],
                                                              closed=False),
                                                       mane.shade, 1.6)]
    for x, dx in ((-18.0, 3.0), (7.0, -2.5)):
        drawing += leg(x, dx, coat, coat.shade)
    body = [(-37.5, -45), (-33, -55), (-22, -57), (-6, -54.5), (7, -57), (14, -66), (20, -78), (28, -76), (27, -62),
            (24, -50), (21, -40), (12, -33), (-6, -32.5), (-24, -33), (-35, -36)]
    drawing += [solid(smooth(body), coat, LINE),
                Shape(smooth([(-34, -38), (-20, -36.5), (0, -35.5), (13, -37), (20, -42), (14, -33.8), (-4, -33),
                              (-24, -33.6)]),
                      coat.shade, opacity=0.8), stroke("M -31,-52.6 Q -24,-55 -16,-53.6", coat.light, 2.2, 0.8)]
    for x, dx in ((-30.0, -3.0), (16.0, 2.5)):
        drawing += leg(x, dx, coat, coat.base)
    if saddled:
        drawing += saddle()
    return horse_head(coat, mane, saddled), drawing


def leg(x: float, dx: float, coat: Tone, fill: str) -> Drawing:
    """One leg with its hoof."""
    points: list[Point] = [(x, -41), (x + dx, -22), (x + dx * 0.4, -4)]
    return [solid(limb(points, 12, 6.2), coat, LINE, fill), Shape(ellipse(x - dx * 0.3, -43, 6.5, 7), fill),
            solid(path("M {},-6 L {},-6 L {},-0.4 L {},-0.4 Z", x - 3.4 + dx * 0.4, x + 3.4 + dx * 0.4,
                       x + 4.6 + dx * 0.4, x - 4.0 + dx * 0.4), METAL, LINE)]


def horse_head(coat: Tone, mane: Tone, saddled: bool) -> Drawing:
    """Head, ears, forelock and the mane along the neck."""
    skull = ("M 17,-72 C 15.6,-80 20,-86 27,-85.4 C 34,-84.8 37,-79 39.6,-73.4 C 44.4,-70.6 47,-66.6 46,-62.4 "
             "C 45,-57.4 38.6,-56 34,-58.4 C 28,-58.6 18.4,-62 17,-72 Z")
    muzzle = "M 39.4,-72.6 C 44,-70 46.4,-66.4 45.4,-62.4 C 44.4,-58 38.8,-56.8 34.6,-58.8 C 33.6,-64 35,-70 39.4,-72.6"
    mane_shape = [(27, -87), (20, -89), (13, -84), (9, -76), (6, -68), (2, -61), (3, -54), (9, -56), (13, -52),
                  (15, -60),
                  (19, -62), (19, -70), (23, -74), (23, -80)]
    head = [solid("M 20,-83 C 18.6,-88.4 19,-92 21,-94 C 24.4,-91.6 26.6,-88 26.6,-84.6 Z", coat, LINE),
            solid(skull, coat, LINE), Shape(muzzle, coat.light), solid(smooth(mane_shape), mane, LINE),
            stroke("M 19,-84 C 14,-80 13,-72 8,-62", mane.light, 1.8, 0.8),
            solid("M 25.4,-87.6 C 30.4,-87 33,-83 32,-77.6 C 29,-79 26,-81 25.4,-87.6 Z", mane, LINE),
            *eye(32.6, -73.4, 2.6, 3.4), stroke("M 29.6,-76.4 Q 32,-79 35.4,-76.8", coat.line, 1.2),
            Shape(ellipse(30, -67.2, 3, 2), BLUSH, opacity=0.6), Shape(ellipse(42.4, -66.4, 1.2, 1.5), coat.line),
            stroke("M 43.6,-60.4 Q 40,-59 37.6,-62", coat.line, 1.2)]
    if saddled:
        head += [stroke("M 36,-75 Q 34,-66 36,-58.6", SADDLE.base, 1.9),
                 stroke("M 35,-63 Q 22,-56 8,-60", SADDLE.base, 1.7)]
    return head


def saddle() -> Drawing:
    """A saddle cloth with its girth."""
    cloth = ("M -24,-57 C -16,-55 -9,-54 -2,-55.4 C -0.6,-50 -0.4,-45 -1.4,-41.6 "
             "L -22.6,-41.6 C -24.4,-46 -25,-52 -24,-57 Z")
    return [stroke("M -12,-42 L -12,-33", SADDLE.line, 2.6), solid(cloth, SADDLE, LINE),
            stroke("M -21.6,-43.8 L -2.4,-43.8", SADDLE.light, 1.5)]
