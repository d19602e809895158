"""Cat, dog and bird, turned to the right; the horse has its own module."""

from __future__ import annotations

import random

from kolors_submit.picturebook.figures.palette import BLUSH, BUCKLE, COAT, COVER, EYE, RIBBON, WHITE, Tone
from kolors_submit.picturebook.figures.svg import (
    Drawing,
    Shape,
    ellipse,
    limb,
    path,
    smooth,
    solid,
    stroke,
    tube,
)

LINE = 1.2
NOSE = "#e2808a"
BEAK = Tone("#f5a033", "#d67f17", "#ffc678", "#995a0c")


def eye(x: float, y: float, rx: float, ry: float) -> Drawing:
    """A dark round eye with one highlight."""
    return [Shape(ellipse(x, y, rx, ry), EYE), Shape(ellipse(x + rx * 0.3, y - ry * 0.38, rx * 0.42), WHITE)]


def cat(rng: random.Random) -> tuple[Drawing, Drawing]:
    """A cat sitting on its haunches, 36 tall, its tail around the side: head and whole drawing."""
    coat = rng.choice(COAT["cat"])
    lift = rng.uniform(-2, 3)
    tail = [(-7, -3.5), (-14, -3), (-18.5, -9 - lift), (-16.5, -16 - lift), (-19, -20.5 - lift)]
    body = "M -10,-1 C -14.5,-10 -8.5,-20 0,-20.5 C 8,-20 12.6,-10 10,-1 C 6,0.7 -6,0.7 -10,-1 Z"
    drawing = [solid(tube(tail, (4.6, 5, 5, 4.8, 3.6)), coat, LINE), solid(body, coat, LINE),
               Shape("M -9.4,-2 C -13,-9 -9,-17 -4,-19.4 C -7,-13 -7.6,-6 -5.6,-0.6 C -7,-0.6 -8.4,-1 -9.4,-2 Z",
                     coat.shade, opacity=0.8),
               Shape(ellipse(1, -13.5, 4.8, 5.6), coat.light), solid(ellipse(-7.2, -1.8, 4.2, 2.3), coat, LINE)]
    for x in (-1.8, 3.8):
        drawing += [solid(limb([(x, -10), (x, -6), (x, -2.4)], 4.8, 4.8), coat, LINE),
                    Shape(ellipse(x, -9.4, 2.0, 3.4), coat.light),
                    solid(ellipse(x + 0.4, -1.7, 3.1, 2.1), coat, LINE, coat.light)]
    return cat_head(coat), [*drawing, stroke("M -5,-17.4 Q 1,-14 7,-17.2", COVER.base, 2.2),
                            Shape(ellipse(1.4, -15, 1.7), BUCKLE.base, BUCKLE.line, 0.7)]


def cat_head(coat: Tone) -> Drawing:
    """A cat's head with pointed ears."""
    head: Drawing = []
    for side in (-1, 1):
        ear = path("M {},-26 C {},-31 {},-36 {},-37.4 C {},-36 {},-33 {},-30.4 Z", 1 + side * 10.4, 1 + side * 11.2,
                   1 + side * 11, 1 + side * 9.4, 1 + side * 6, 1 + side * 3, 1 + side * 1.6)
        inner = path("M {},-29.4 L {},-34.4 L {},-31.4 Z", 1 + side * 8.8, 1 + side * 8.8, 1 + side * 5)
        head += [solid(ear, coat, LINE), Shape(inner, BLUSH, opacity=0.8)]
    shape = ("M -10.6,-24 C -10.8,-30.6 -5.4,-33.4 1,-33.4 C 7.4,-33.4 12.8,-30.6 12.6,-24 "
             "C 12.4,-18.6 7,-16.4 1,-16.4 C -5,-16.4 -10.4,-18.6 -10.6,-24 Z")
    head += [solid(shape, coat, LINE), Shape(ellipse(1.6, -20, 4.8, 3.1), coat.light)]
    for x in (-2.2, 1, 4.2):
        head.append(stroke(path("M {},-32 L {},-29", 1 + (x - 1) * 1.2, x), coat.shade, 1.6))
    for side in (-1, 1):
        head += [*eye(1.8 + side * 5, -24.4, 2.0, 2.6), Shape(ellipse(1.4 + side * 7.6, -20.2, 2, 1.3), BLUSH,
                                                              opacity=0.6)]
    return [*head, Shape("M 0.4,-22 L 3.2,-22 L 1.8,-20.4 Z", NOSE, NOSE, 0.6),
            stroke("M -1,-19.4 Q 0.8,-17.8 1.8,-20 Q 2.8,-17.8 4.6,-19.4", coat.line, 0.95)]


def dog(rng: random.Random) -> tuple[Drawing, Drawing]:
    """A dog standing sideways, 37 tall, with a hanging ear and a lifted tail: head and whole drawing."""
    coat = rng.choice(COAT["dog"])
    ear = COAT["dog"][0] if coat is COAT["dog"][1] else coat
    wag = rng.uniform(-3, 3)
    tail = [(-14, -19), (-19, -22), (-22 + wag * 0.5, -28), (-20 + wag, -33)]
    drawing = [solid(limb(tail, 5.2, 3.4), coat, LINE)]
    for x in (-8, 4.4):
        drawing.append(solid(limb([(x, -13), (x, -7), (x + 0.4, -1.6)], 5.6, 4.6), coat, LINE, coat.shade))
    body = [(-17, -17), (-12, -22.5), (-2, -22), (7, -23.5), (11, -17), (8, -10.5), (0, -9.4), (-8, -8.6), (-15, -10)]
    drawing += [solid(smooth(body), coat, LINE), Shape(smooth([(-14, -11.4), (-6, -10.4), (2, -11), (8, -12.4),
                                                               (3, -9.8),
                                                               (-8, -9.2)]), coat.shade, opacity=0.8)]
    for x in (-13, 8.4):
        drawing += [solid(limb([(x, -13.5), (x - 0.6, -7), (x, -2)], 7.4, 5), coat, LINE),
                    Shape(ellipse(x, -13, 3.2, 3.4), coat.base), solid(ellipse(x + 1, -1.9, 3.6, 2.2), coat, LINE,
                                                                       coat.light)]
    drawing.append(stroke("M 5.4,-19.6 Q 10,-16.4 15,-17.8", RIBBON.base, 2.6))
    return dog_head(coat, ear), drawing


def dog_head(coat: Tone, ear: Tone) -> Drawing:
    """A dog's head with a muzzle, its tongue out and one long ear."""
    skull = ("M 1.6,-26 C 1.4,-33.6 6.4,-37 12,-36.8 C 17.4,-36.6 20.4,-32.6 20.6,-28.8 "
             "C 23.8,-28.6 26.4,-27 26.4,-24.4 C 26.4,-20.6 21.6,-18.8 17.4,-18.8 "
             "C 14.6,-17.2 10.6,-16.8 7.6,-17.6 C 3.6,-18.6 1.8,-22 1.6,-26 Z")
    hanging = "M 7.4,-35.2 C 1.6,-37 -2.4,-31 -2.2,-24.4 C -2.2,-20 0.6,-18 3.2,-20.2 C 6.8,-23.4 8.4,-30 7.4,-35.2 Z"
    return [Shape("M 17.6,-20 C 17.4,-15.4 22,-15.4 21.6,-20 Z", "#ef7f8d", "#b64e5c", 0.8),
            solid(skull, coat, LINE), Shape(ellipse(20.6, -23.4, 5.0, 3.7), coat.light),
            Shape(ellipse(25, -26.6, 2.2, 1.8), EYE), stroke("M 25,-25 C 24.4,-21.4 20,-20 16.6,-21.6", coat.line, 1.0),
            *eye(15.4, -28.8, 2.1, 2.6), Shape(ellipse(12.6, -23.6, 2.2, 1.5), BLUSH, opacity=0.6),
            solid(hanging, ear, LINE, ear.shade)]


def bird(rng: random.Random) -> tuple[Drawing, Drawing]:
    """A small round bird on its feet, 25 tall: head and whole drawing."""
    coat = rng.choice(COAT["bird"])
    lift = rng.uniform(-1.5, 2.5)
    wing = path("M -2,-15.4 C 3.4,-15.6 5.4,-11.6 3,-8.6 C 0,-5.4 -7,-5.8 -14,{} C -11,-10.6 -7.6,-14.6 -2,-15.4 Z",
                -8 - lift)
    feet = [stroke(path("M {},-3 L {},-0.9 L {},-0.9", x, x, x + 3), BEAK.shade, 1.7) for x in (-0.6, 4.4)]
    drawing = [*feet, *bird_body(coat, lift), solid(wing, coat, LINE, coat.shade),
               stroke("M -8,-8.6 Q -3,-8 0.4,-10.2", coat.light, 1.4)]
    return bird_head(coat), drawing


def bird_body(coat: Tone, lift: float) -> Drawing:
    """Body and tail with a pale belly; `lift` raises the tail."""
    body = path("M -19,{} C -13,-13 -9,-15 -5.6,-18 C -3,-22.4 2,-24.4 7,-23.4 C 12.6,-22.2 14.4,-17 12.8,-12.4 "
                "C 11,-6 5.4,-2.6 0,-2.6 C -6,-2.6 -10,-5.6 -11.4,-8.8 L -19.6,{} Z", -13.5 - lift, -9.5 - lift)
    belly = "M 12,-13 C 10.4,-7 5.4,-3.8 0.4,-3.6 C 4,-6 5.6,-9 6,-12 C 8,-14 10.6,-14.4 12,-13 Z"
    return [solid(body, coat, LINE), Shape(belly, "#fff3dc")]


def bird_head(coat: Tone) -> Drawing:
    """Beak, eye, cheek and crest."""
    return [solid("M 12.4,-19.4 C 15.4,-19 18,-17.6 19.2,-16.2 C 17.4,-15.2 14.8,-14.8 12.8,-15.2 Z", BEAK, LINE * 0.8),
            *eye(8.4, -18.4, 1.9, 2.2), Shape(ellipse(6.4, -14.6, 2.1, 1.4), BLUSH, opacity=0.7),
            stroke("M 3,-23.4 Q 1.4,-26.4 -1,-26.6", coat.line, 1.5)]
