"""The upper half of every garment: body, collar, buttons, stripes or sash, and the sleeved arms."""

from __future__ import annotations

import math

from kolors_submit.picturebook.figures.builds import Build
from kolors_submit.picturebook.figures.colours import Colours
from kolors_submit.picturebook.figures.palette import BUCKLE, CREAM, WHITE
from kolors_submit.picturebook.figures.svg import (
    Drawing,
    Point,
    Shape,
    curve,
    ellipse,
    limb,
    path,
    smooth,
    solid,
    stroke,
)
from kolors_submit.picturebook.scenes import Garment

SLEEVE = {"dress": 0.34, "shirt": 0.66, "sweater": 0.9, "coat": 0.9, "robe": 0.9}  # share of the arm it covers


def torso(garment: Garment, b: Build, c: Colours) -> Drawing:
    """Neck and upper garment, from the shoulders to the waist (dress, coat, robe) or the hip (shirt, sweater)."""
    hem = b.hip + 2.5 if garment in ("shirt", "sweater") else b.waist + 2.0
    wide = b.hips + (1.2 if garment == "sweater" else 0.4) if garment in ("shirt", "sweater") else b.waists + 0.2
    s, y, w = b.shoulders, b.shoulder, b.waists + (1.4 if garment in ("sweater", "coat") else 0.0)
    body = path("M {},{} C {},{} {},{} {},{} C {},{} {},{} {},{} Q 0,{} {},{} C {},{} {},{} {},{} "
                "C {},{} {},{} {},{} Z",
                -s * 0.4, y - 2.4, -s * 0.8, y - 2, -s - 0.4, y, -s, y + 5,
                -s + 0.6, y + 9, -w, b.waist - 4, -wide, hem, hem + 2.4, wide, hem,
                w, b.waist - 4, s - 0.6, y + 9, s, y + 5, s + 0.4, y, s * 0.8, y - 2, s * 0.4, y - 2.4)
    neck = Shape(path("M -3.6,{} L 3.6,{} L 4,{} Q 0,{} -4,{} Z", y - 7, y - 7, y - 1, y + 3.4, y - 1), c.skin.shade)
    shade = Shape(path("M {},{} C {},{} {},{} {},{} Q {},{} {},{} C {},{} {},{} {},{} Z", -s + 0.6, y + 5,
                       -s + 1, y + 9, -w + 0.6, b.waist - 4, -wide + 0.6, hem - 0.4, -wide + 2, hem + 1, -wide + 4,
                       hem + 1, -w + 3.4, b.waist - 3, -s + 3.6, y + 9, -s + 0.6, y + 5), c.clothes.shade, opacity=0.75)
    detail = {"dress": dress_front, "shirt": shirt_front, "sweater": sweater_front, "coat": coat_front,
              "robe": robe_front}[garment]
    return [neck, solid(body, c.clothes, c.line, c.clothes_fill), shade, *detail(b, c, hem, wide)]


def dress_front(b: Build, c: Colours, hem: float, wide: float) -> Drawing:
    """A round white collar, a small bow and a waistband."""
    y = b.shoulder
    drawing = []
    for side in (-1, 1):
        petal = path("M 0,{} C {},{} {},{} {},{} C {},{} {},{} 0,{} Z", y + 1.4, side * 3, y - 0.6, side * 5, y - 1.6,
                     side * 6.2, y - 2.2, side * 8.6, y + 2.4, side * 4.4, y + 6.4, y + 1.4)
        drawing.append(solid(petal, CREAM, c.line * 0.8, WHITE))
    drawing.append(stroke(path("M {},{} Q 0,{} {},{}", -wide + 0.8, hem - 1.6, hem + 0.8, wide - 0.8, hem - 1.6),
                          c.clothes.shade, 2.6))
    return drawing


def shirt_front(b: Build, c: Colours, hem: float, wide: float) -> Drawing:
    """A pointed white collar, the buttons' strip and a pocket."""
    y = b.shoulder
    drawing = [stroke(path("M 0,{} L 0,{}", y + 3, hem + 0.6), c.clothes.shade, 1.2)]
    for share in (0.4, 0.66, 0.9):
        drawing.append(Shape(ellipse(0, y + (hem - y) * share, 1.15), WHITE, c.clothes.line, 0.5))
    for side in (-1, 1):
        point = path("M 0,{} L {},{} L {},{} L {},{} Z", y + 1.8, side * 5, y - 2.8, side * 7, y + 0.4, side * 4.2,
                     y + 5.4)
        drawing.append(solid(point, CREAM, c.line * 0.8, WHITE))
    x = b.shoulders * 0.5
    pocket = path("M {},{} L {},{} L {},{} L {},{} Z", x - 2.6, b.waist - 6, x + 2.6, b.waist - 6, x + 2.4,
                  b.waist - 1, x - 2.4, b.waist - 1)
    return [*drawing, Shape(pocket, c.clothes.light, c.clothes.shade, 0.9)]


def sweater_front(b: Build, c: Colours, hem: float, wide: float) -> Drawing:
    """A rolled collar, two knitted bands and a ribbed hem."""
    y = b.shoulder
    chest = b.shoulders - 1.2
    drawing = []
    for dy in (7.4, 11.6):
        drawing.append(stroke(path("M {},{} Q 0,{} {},{}", -chest + 1.8, y + dy, y + dy + 1.8, chest - 0.4, y + dy),
                              WHITE if dy < 8 and c.clothes.base != "#fbfaf6" else c.clothes.shade, 1.9, 0.95))
    rib = path("M {},{} Q 0,{} {},{} L {},{} Q 0,{} {},{} Z", -wide, hem - 2.6, hem - 0.2, wide, hem - 2.6, wide - 0.4,
               hem + 0.8, hem + 3.2, -wide + 0.4, hem + 0.8)
    roll = path("M -6,{} C -7.6,{} -7,{} -5,{} Q 0,{} 5,{} C 7,{} 7.6,{} 6,{} Q 0,{} -6,{} Z", y - 4, y - 3, y + 1,
                y + 1.4, y + 3.4, y + 1.4, y + 1, y - 3, y - 4, y - 2, y - 4)
    return [*drawing, solid(rib, c.clothes, c.line, c.clothes.shade), solid(roll, c.clothes, c.line, c.clothes.light)]


def coat_front(b: Build, c: Colours, hem: float, wide: float) -> Drawing:
    """A cream scarf, wide lapels, golden buttons and a belt."""
    y = b.shoulder
    scarf = path("M -4.6,{} Q 0,{} 4.6,{} L 0,{} Z", y - 1.4, y + 1.2, y - 1.4, y + 10)
    drawing = [solid(scarf, CREAM, c.line * 0.7)]
    for side in (-1, 1):
        lapel = path("M {},{} L {},{} L {},{} L {},{} L 0,{} Z", side * 4.2, y - 3, side * 8.6, y + 0.6, side * 7.4,
                     y + 4, side * 8.2, y + 5.8, y + 11.4)
        drawing.append(solid(lapel, c.clothes, c.line * 0.9, c.clothes.shade))
    drawing.append(stroke(path("M {},{} Q 0,{} {},{}", -wide, hem - 1, hem + 1.4, wide, hem - 1), c.clothes.line, 2.6))
    drawing.append(Shape(ellipse(0, hem + 0.4, 2.2, 2.1), BUCKLE.base, BUCKLE.line, 0.7))
    return drawing


def robe_front(b: Build, c: Colours, hem: float, wide: float) -> Drawing:
    """Crossed collar bands, left over right, and a broad sash with a knot."""
    y = b.shoulder
    drawing = []
    for side in (1, -1):
        band = [(side * 5.2, y - 2.6), (side * 3, y + 3), (-side * 1.4, y + 8), (-side * 6.2, b.waist - 1)]
        drawing += [stroke(smooth(band, closed=False), c.clothes.line, 4.6),
                    stroke(smooth(band, closed=False), CREAM.light, 2.8)]
    sash = path("M {},{} Q 0,{} {},{} L {},{} Q 0,{} {},{} Z", -wide - 0.4, b.waist - 3, b.waist - 1, wide + 0.4,
                b.waist - 3, wide + 0.8, hem + 0.6, hem + 3, -wide - 0.8, hem + 0.6)
    return [*drawing, solid(sash, c.clothes, c.line, c.clothes.shade),
            Shape(ellipse(0, b.waist + 0.6, 2.6, 2.3), BUCKLE.base, BUCKLE.line, 0.7)]


def arm(garment: Garment, a: Point, elbow: Point, hand: Point, b: Build, c: Colours, *,
        open_hand: bool = False) -> Drawing:
    """One arm from the shoulder `a` to the hand, with the garment's sleeve."""
    width = 5.0 if b.leg < 7 else 5.8
    part = SLEEVE[garment]
    skin = limb(curve(a, elbow, hand, 0.2, 1.0), width, width - 0.8)
    bare, palm = solid(skin, c.skin, c.line), hand_at(hand, c, open_hand)
    if garment == "dress":
        (x, y), (u, v) = curve(a, elbow, hand, 0.1, part, 2)
        lean = math.degrees(math.atan2(v - y, u - x)) - 90
        puff = ellipse(x, y, width * 0.5 + 2.4, width * 0.5 + 3.6, lean)
        hem = limb(curve(a, elbow, hand, part - 0.07, part + 0.02, 3), width + 2.6, width + 2.2)
        return [bare, *palm, solid(hem, c.clothes, c.line, c.clothes.shade), solid(puff, c.clothes, c.line,
                                                                                   c.clothes_fill)]
    wide = {"shirt": (7.2, 6.8), "sweater": (7.6, 7.4), "coat": (7.8, 7.6), "robe": (8.0, 15.0)}[garment]
    line = curve(a, elbow, hand, -0.04, part)
    sleeve = [solid(limb(line, wide[0], wide[1]), c.clothes, c.line, c.clothes_fill),
              *cuff(garment, curve(a, elbow, hand, part - 0.12, part - 0.02, 3), wide[1], c)]
    return [bare, *palm, *sleeve] if garment == "robe" else [bare, *sleeve, *palm]


def cuff(garment: Garment, line: list[Point], width: float, c: Colours) -> Drawing:
    """The end of a sleeve: a ribbed, turned or cream band."""
    colour = {"shirt": c.clothes.light, "sweater": c.clothes.shade, "coat": c.clothes.shade, "robe": CREAM.light}
    return [solid(limb(line, width + 0.6, width + 0.6), c.clothes, c.line * 0.8, colour[garment])]


def hand_at(hand: Point, c: Colours, open_hand: bool) -> Drawing:
    """A mitten-like hand with its thumb; an open one shows its palm and fingers."""
    x, y = hand
    thumb = -1 if x > 0 else 1
    if open_hand:
        fingers = [Shape(ellipse(x + dx, y + dy, 1.5, 3.0, turn), c.skin.base, c.skin.line, c.line)
                   for dx, dy, turn in ((-2.4, -2.6, -24), (0.4, -3.6, 4), (3.0, -2.4, 34))]
        return [*fingers, solid(ellipse(x, y, 3.2, 3.2), c.skin, c.line),
                Shape(ellipse(x + 0.3, y - 1.6, 2.6, 2.2), c.skin.base)]
    return [solid(ellipse(x + thumb * 2.0, y - 0.8, 1.5, 2.0, thumb * 30), c.skin, c.line),
            solid(ellipse(x, y, 3.1, 3.3), c.skin, c.line), Shape(ellipse(x + thumb * 1.2, y - 0.6, 1.5, 1.7),
                                                                  c.skin.base)]
