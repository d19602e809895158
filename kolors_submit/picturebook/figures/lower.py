"""Legs, skirts, trousers, coat tails and the robe's skirt, as the pose lays them; the person faces right."""

from __future__ import annotations

from kolors_submit.picturebook.figures.builds import Build
from kolors_submit.picturebook.figures.colours import Colours
from kolors_submit.picturebook.figures.heads import CHILDREN, FEMALE
from kolors_submit.picturebook.figures.palette import SHOE, SOCK, Tone
from kolors_submit.picturebook.figures.svg import Drawing, Point, Shape, ellipse, limb, path, smooth, solid, stroke
from kolors_submit.picturebook.scenes import Person


def lower_body(person: Person, b: Build, stance: str, sway: float, c: Colours) -> Drawing:
    """All below the waist for a `stance` of "stand", "walk" or "sit"."""
    legs = sitting_legs(person, b, c) if stance == "sit" else standing_legs(person, b, stance == "walk", c)
    skirt = skirt_tone(person, c)
    if skirt is None:
        seat = path("M {},{} C {},{} {},{} 0,{} C {},{} {},{} {},{} Z", -b.hips, b.hip - 3, -b.hips - 0.5, b.hip + 4,
                    -b.hips + 2, b.hip + 5.5, b.hip + 5.5, b.hips - 2, b.hip + 5.5, b.hips + 0.5, b.hip + 4, b.hips,
                    b.hip - 3)
        return [*legs, solid(seat, c.bottom, c.line)]
    tone, fill = skirt
    if stance == "sit":
        return [*legs, *sitting_skirt(person, b, tone, fill, c)]
    return [*legs, *standing_skirt(person, b, tone, fill, sway, stance == "walk", c)]


def skirt_tone(person: Person, c: Colours) -> tuple[Tone, str] | None:
    """The tone and fill of the skirt, coat tails or robe; None for trousers."""
    if person.garment in ("dress", "robe", "coat"):
        return c.clothes, c.clothes_fill
    return (c.bottom, c.bottom.base) if person.kind in FEMALE else None


def leg(points: list[Point], b: Build, c: Colours, cover: str, toe: float, foot: Point) -> Drawing:
    """One leg along its points; `cover` is "bare", "shorts" or "trousers"; the shoe points to `toe`."""
    width = b.leg
    if cover == "trousers":
        drawing = [solid(limb(points, width + 2.2, width + 1.4), c.bottom, c.line)]
    else:
        drawing = [solid(limb(points, width + 0.6, width - 0.6), c.skin, c.line),
                   solid(limb(points[-2:], width + 0.2, width + 0.2), SOCK, c.line * 0.8)]
    if cover == "shorts":
        drawing.append(solid(limb(points[:2], width + 3.4, width + 3.4), c.bottom, c.line))
    x, y = foot
    shoe = ellipse(x + toe * 1.7, y, 4.1 + abs(toe) * 1.0, 3.0)
    return [*drawing, solid(shoe, SHOE, c.line), stroke(path("M {},{} Q {},{} {},{}", x + toe * 1.7 - 1.6, y - 1.4,
                                                            x + toe * 1.7, y - 2, x + toe * 1.7 + 1.8, y - 1.3),
                                                       SHOE.light, 0.9)]


def cover_of(person: Person) -> str:
    """What the legs wear."""
    if person.kind in FEMALE or person.garment == "dress":
        return "bare"
    return "shorts" if person.kind in CHILDREN and person.garment in ("shirt", "sweater") else "trousers"


def standing_legs(person: Person, b: Build, walking: bool, c: Colours) -> Drawing:
    """Two legs under the hip, side by side or in stride."""
    cover, x, hip = cover_of(person), b.hips * 0.47, b.hip - 1
    mid = hip * 0.5
    if not walking:
        return [shape for side in (-1, 1) for shape in
                leg([(side * x, hip), (side * x, mid), (side * x, -7), (side * x, -3.5)], b, c, cover, side * 0.45,
                    (side * x, -3.0))]
    back = leg([(-x * 0.7, hip), (-x - 2.5, mid), (-x - 8.8, -10), (-x - 11, -7.5)], b, c, cover, 0.5, (-x - 12, -5.4))
    front = leg([(x * 0.7, hip), (x + 4.5, mid), (x + 7.8, -7), (x + 8.8, -3.5)], b, c, cover, 1.0, (x + 8.8, -3.0))
    return back + front


def sitting_legs(person: Person, b: Build, c: Colours) -> Drawing:
    """Legs stretched out to the right on the ground; a robe covers them."""
    if person.garment == "robe":
        return []
    cover = cover_of(person)
    reach = 27 if person.kind in CHILDREN else 34
    drawing: Drawing = []
    lift = (5.6 - b.leg) * 0.75  # thicker legs lie higher, so that they stay above the ground
    for dx, dy, knee in ((3.0, lift - 2.2, 2.5), (0.0, lift, 0.0)):
        points = [(3.0 + dx, -6 + dy), (reach * 0.5 + dx, -6.4 - knee + dy), (reach - 4 + dx, -4 + dy),
                  (reach + dx, -3.6 + dy)]
        width = b.leg
        if cover == "trousers":
            drawing.append(solid(limb(points, width + 2.6, width + 1.0), c.bottom, c.line))
        else:
            drawing += [solid(limb(points, width + 1.4, width - 0.4), c.skin, c.line),
                        solid(limb(points[-2:], width + 0.2, width + 0.2), SOCK, c.line * 0.8)]
        if cover == "shorts":
            drawing.append(solid(limb(points[:2], width + 4, width + 3.4), c.bottom, c.line))
        drawing += [solid(ellipse(reach + 2.4 + dx, -5.4 + dy, 3.1, 5.0, 12), SHOE, c.line),
                    stroke(path("M {},{} L {},{}", reach + 1.6 + dx, -7.4 + dy, reach + 1.0 + dx, -4 + dy), SHOE.light,
                           0.9)]
    return drawing


def standing_skirt(person: Person, b: Build, tone: Tone, fill: str, sway: float, walking: bool, c: Colours) -> Drawing:
    """A bell of cloth from the waist to the garment's hem, with folds and a border."""
    long = {"dress": 0.46, "coat": 0.42, "robe": 0.12}.get(person.garment, 0.58)
    hem, w, top = b.hip * long - (3.5 if walking else 0.0), b.waists + 0.4, b.waist + 1
    half = b.hips + {"dress": 8.0, "coat": 4.4, "robe": 5.0}.get(person.garment, 5.0)
    half, x = half + (3.0 if walking else 0.0), sway - (2.0 if walking else 0.0)
    bell = path("M {},{} C {},{} {},{} {},{} C {},{} {},{} {},{} C {},{} {},{} {},{} C {},{} {},{} {},{} Z",
                -w, top, -w - 3, top + 6, -half + x * 0.6, hem - 10, -half + x, hem,
                -half * 0.6 + x, hem + 2.6, -half * 0.3 + x, hem + 2.8, x, hem + 2.2,
                half * 0.3 + x, hem + 2.8, half * 0.6 + x, hem + 2.6, half + x, hem,
                half + x * 0.6, hem - 10, w + 3, top + 6, w, top)
    drawing = [solid(bell, tone, c.line, fill)]
    for share, width in ((-0.62, 2.6), (-0.1, 1.8), (0.42, 1.6)):
        drawing.append(fold(share * w, top + 5, share * half + x, hem + 1.4, width, tone))
    border = path("M {},{} C {},{} {},{} {},{}", -half + x + 1.4, hem - 2.8, -half * 0.4 + x, hem + 0.4,
                  half * 0.4 + x, hem + 0.4, half + x - 1.4, hem - 2.8)
    if person.garment == "coat":
        drawing.append(stroke(path("M 0,{} Q {},{} {},{}", top + 1, x * 0.2, (top + hem) / 2, x, hem + 1.6),
                              tone.line, c.line))
        for share in (0.3, 0.6):
            drawing += [Shape(ellipse(3.4 + x * share, top + (hem - top) * share, 1.3), "#f2c44d", tone.line, 0.5)]
    elif person.garment == "robe":
        drawing.append(stroke(smooth([(2, top + 2), (5 + x * 0.5, (top + hem) / 2), (9 + x, hem + 1.6)], closed=False),
                              tone.line, c.line))
        drawing.append(stroke(border, tone.shade, 2.4))
    elif person.garment == "dress":
        drawing.append(stroke(border, "#ffffff" if tone.base != "#fbfaf6" else tone.shade, 1.7, 0.9))
    return drawing


def fold(x0: float, y0: float, x1: float, y1: float, width: float, tone: Tone) -> Shape:
    """A soft fold: a wedge of shade that opens towards the hem."""
    return Shape(path("M {},{} Q {},{} {},{} L {},{} Q {},{} {},{} Z", x0, y0, (x0 + x1) / 2 - width * 0.3,
                      (y0 + y1) / 2, x1 - width, y1, x1 + width, y1, (x0 + x1) / 2 + width * 0.6, (y0 + y1) / 2, x0,
                      y0),
                 tone.shade, opacity=0.7)


def sitting_skirt(person: Person, b: Build, tone: Tone, fill: str, c: Colours) -> Drawing:
    """A skirt spread on the ground, over the thighs."""
    w, top = b.waists + 0.4, b.waist + 1
    left, right = -b.hips - 8.5, b.hips + (10 if person.garment == "robe" else 12)
    cloth = path("M {},{} C {},{} {},{} {},-3.4 C {},0.6 {},1 -6,0.4 C 2,1.2 10,1 {},0.2 C {},0.6 {},-1 {},-4.6 "
                 "C {},{} {},{} {},{} Z",
                 -w, top, -w - 3, top + 6, left, -12, left, left, left + 5, right - 5, right - 1, right + 1.6,
                 right + 0.6,
                 right - 2, -12, w + 4, top + 5, w, top)
    return [solid(cloth, tone, c.line, fill), fold(-w * 0.6, top + 5, left * 0.55, -0.2, 2.2, tone),
            fold(w * 0.2, top + 6, 3, -0.2, 1.6, tone), fold(w * 0.8, top + 6, right * 0.7, -0.6, 1.7, tone)]
