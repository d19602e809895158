"""Hair, in head units: what hangs behind the body, and what frames the face.

Hair never falls over the clothes' front: long hair goes down behind the shoulders and shows on both sides.
"""

from __future__ import annotations

from kolors_submit.picturebook.figures.colours import Colours
from kolors_submit.picturebook.figures.heads import FEMALE
from kolors_submit.picturebook.figures.svg import Drawing, Shape, ellipse, moved, path, solid, stroke
from kolors_submit.picturebook.scenes import Kind, Person

FRONT: dict[Kind, str] = {
    "girl": "M -17.8,6 C -21,-10 -13.5,-20.4 0,-20.4 C 13.5,-20.4 21,-10 17.8,6 C 16.2,3 15,-1.5 14.4,-5 "
            "C 12.5,-2.6 10.3,-1.6 8.2,-1.8 C 8.2,-3.8 7.8,-5.4 7,-7 C 5,-3.2 1.8,-1.5 -1.4,-1.5 "
            "C -1,-3.6 -1.2,-5.6 -2,-7.4 C -4.4,-3.6 -7.6,-1.8 -10.8,-1.6 C -10.8,-3.2 -11,-4.6 -11.6,-5.8 "
            "C -12.8,-2.2 -15.4,3 -17.8,6 Z",
    "boy": "M -17.3,4 C -20.4,-4 -19.5,-11 -15,-15.5 C -16,-17.5 -16.5,-19 -16.4,-20.5 C -13.5,-19.9 -11,-19.5 "
           "-8.6,-19.8 C -7.5,-22 -5.2,-24 -2.2,-24.6 C -2.2,-22.8 -1.6,-21.4 -0.4,-20.6 C 9,-21.4 16.4,-17 18.2,-9.5 "
           "C 19.4,-5 18.8,0 17.2,4.2 C 15.6,1.4 14.8,-2 14.4,-5.4 C 12,-4.8 10.5,-6 9.6,-8.6 C 8,-4.4 4.5,-2.8 1,-3.2 "
           "C 2,-4.6 2.4,-6.4 2.2,-8.2 C -1.5,-4.2 -6,-2.6 -10,-3.4 C -9.4,-4.4 -9.2,-5.6 -9.4,-6.8 "
           "C -11,-3.6 -13,-2.2 -14.4,-1.8 C -15.2,1 -16.2,2.8 -17.3,4 Z",
    "woman": "M -17.8,8 C -21.5,-10 -13.5,-20.4 0,-20.4 C 13.5,-20.4 21.5,-10 17.8,8 C 16.4,5 15.6,1 14.6,-2.6 "
             "C 10,-4.6 5,-8.6 2.6,-14 C -0.6,-7.6 -8.6,-3.4 -14,-2.6 C -15.2,1 -16.2,5 -17.8,8 Z",
    "man": "M -16.9,2.5 C -19.4,-7 -18.8,-14 -12.4,-18.8 C -6,-23.2 8,-23.4 14,-18.4 C 19.4,-13.6 19,-6 16.9,2.5 "
           "C 15.4,0 14.8,-4 14,-7.6 C 10,-7.6 5.4,-9.2 2.4,-11.8 C -1.6,-8.6 -8,-7 -13.6,-7.8 "
           "C -14.4,-4.4 -15.2,-0.6 -16.9,2.5 Z",
    "grandmother": "M -17,6 C -20.8,2 -21.6,-4 -19.8,-8.6 C -20,-14.4 -13.6,-20.2 -6.6,-19.8 C -2.4,-21.6 3,-21.6 "
                   "6.6,-19.8 C 13.6,-20.2 20,-14.4 19.8,-8.6 C 21.6,-4 20.8,2 17,6 C 15.6,3 15,0 14.6,-3.4 "
                   "C 9,-5 3,-9 0,-13.6 C -3,-9 -9,-5 -14.6,-3.4 C -15,0 -15.6,3 -17,6 Z",
    "grandfather": "M -15.4,6.5 C -19.4,7.4 -22.6,2.6 -21,-2 C -23,-7 -20.4,-12 -16.8,-13 C -15.6,-18.6 -8,-22.6 0,-21 "
                   "C 8,-23 15.6,-18.6 16.8,-13 C 20.4,-12 23,-7 21,-2 C 22.6,2.6 19.4,7.4 15.4,6.5 "
                   "C 16,1 15.8,-3.4 14.2,-6.6 C 13.8,-10 12,-13 9,-14.4 C 5,-12.4 -1,-12.6 -4.6,-14.8 "
                   "C -9.4,-13.6 -13.2,-11 -14.2,-6.6 C -15.8,-3.4 -16,1 -15.4,6.5 Z",
}
UNDER_HAT = ("M -17.3,4 C -20.4,-4 -19,-12 -13.6,-15.4 C -8,-18 8,-18 13.6,-15.4 C 19.2,-11 19.6,-2 17.2,4.2 "
             "C 15.6,1.4 14.8,-2 14.4,-5.4 C 12,-4.8 10.5,-6 9.6,-8.6 C 8,-4.4 4.5,-2.8 1,-3.2 C 2,-4.6 "
             "2.4,-6.4 2.2,-8.2 C -1.5,-4.2 -6,-2.6 -10,-3.4 C -9.4,-4.4 -9.2,-5.6 -9.4,-6.8 "
             "C -11,-3.6 -13,-2.2 -14.4,-1.8 C -15.2,1 -16.2,2.8 -17.3,4 Z")
SHINE: dict[Kind, str] = {
    "girl": "M -12.6,-10.4 C -8,-14.6 -1,-15.4 4,-14.4", "boy": "M 2.5,-15.4 C 7.5,-15.4 12,-13 14,-9.6",
    "woman": "M 7,-14.6 C 11,-12.6 14.4,-9 15.4,-4.6", "man": "M -12.4,-12.6 C -8,-16.4 -2,-17 4,-16",
    "grandmother": "M 6.4,-14.6 C 11,-12.6 14.6,-10 16.2,-6", "grandfather": "M -10.6,-16 C -6,-18.6 -2,-18.8 1.6,-18",
}

STRANDS: dict[Kind, tuple[str, ...]] = {
    "girl": ("M -2,-7.4 C -3.4,-10 -3.2,-12.4 -2,-14", "M 7,-7 C 7.4,-10 6.8,-12 5.6,-13.6",
             "M -15.8,1.6 C -16.8,-3 -16,-7 -14.6,-9.4", "M 15.6,0.6 C 16.8,-3 16.2,-7 14.8,-9.6"),
    "boy": ("M 2.2,-8.2 C 1.6,-11 -0.2,-13 -2.4,-14.2", "M -9.4,-6.8 C -10.4,-9.4 -11.8,-11 -13.4,-12",
            "M 9.6,-8.6 C 9.2,-11 8,-12.6 6.4,-13.6"),
    "woman": ("M 2.2,-14.6 C -2,-10 -9,-6 -15.2,-4.4", "M 3,-14.6 C 7,-10 11,-7.4 15.6,-5.4"),
    "man": ("M 2.2,-12 C 0,-15.4 -4,-16.6 -8,-16.2", "M 13.4,-8.6 C 12.4,-12.4 9.4,-15 6,-16.2"),
    "grandmother": ("M -0.4,-14.6 C -4,-10 -10,-7 -16.6,-5", "M 0.4,-14.6 C 4,-10 10,-7 16.6,-5"),
    "grandfather": ("M -4.6,-15 C -6,-17 -5.4,-19 -3.4,-20", "M 9,-14.8 C 10.4,-16.8 10,-18.6 8.4,-19.6",
                    "M -18.6,-8 C -17,-5 -17.4,-2 -18.8,0", "M 18.6,-8 C 17,-5 17.4,-2 18.8,0"),
}


def back_hair(person: Person, drop: float, sway: float, c: Colours) -> Drawing:
    """The hair behind the body; long hair reaches `drop` below the face's middle, `sway` moves its ends aside."""
    female = person.kind in FEMALE
    w = 25.5 if female else 22.5
    if person.hair_length == "long":
        d = path("M -17.6,-6 C -23,8 -20.5,17 {},{} C {},{} {},{} {},{} C {},{} -8,{} 0,{} C 8,{} {},{} {},{} "
                 "C {},{} {},{} {},{} C 20.5,17 23,8 17.6,-6 Z",
                 -w, drop * 0.62, -w - 2.5 + sway, drop * 0.8, -w - 0.5 + sway, drop * 0.94, -w + 4 + sway, drop + 1.5,
                 -w + 10 + sway, drop - 0.5, drop + 2, drop, drop + 2, w - 10 + sway, drop - 0.5, w - 4 + sway,
                 drop + 1.5, w + 0.5 + sway, drop * 0.94, w + 2.5 + sway, drop * 0.8, w, drop * 0.62)
    elif person.hair_length == "shoulder":
        w -= 1.5 if female else 2.5
        d = path("M -17.6,-6 C -23,6 -20.6,14 {},21.5 C {},25.5 {},27 {},25.6 L {},25.6 C {},27 {},25.5 {},21.5 "
                 "C 20.6,14 23,6 17.6,-6 Z", -w + sway, -w + 2 + sway, -w + 7 + sway, -w + 11, w - 11,
                 w - 7 + sway, w - 2 + sway, w + sway)
    elif female:
        d = "M -17.8,-6 C -22.6,4 -21.4,13 -16,15.6 C -12,17 12,17 16,15.6 C 21.4,13 22.6,4 17.8,-6 Z"
    else:
        w = 2.2 if person.hat != "none" else 0.0  # fuller at the ears, where a hat leaves it in sight
        d = path("M {},-9 C {},3 -17,11 -10,13 L 10,13 C 17,11 {},3 {},-9 Z", -16.5 - w, -19.4 - w, 19.4 + w, 16.5 + w)
    drawing = [solid(d, c.hair, c.line, c.hair_fill)]
    if female or person.hair_length != "short":
        drawing.append(Shape(ellipse(0, 15, 12, 8), c.hair.shade))
    if person.hair_length == "long":
        for side in (-1, 1):
            x = side * (w - 4)
            drawing.append(stroke(path("M {},12 C {},{} {},{} {},{}", side * 18, side * 18.5, drop * 0.4, x,
                                       drop * 0.6, x + sway, drop - 4), c.hair.shade, 1.5))
    return drawing


def front_hair(person: Person, c: Colours) -> Drawing:
    """The fringe with its soft shadow on the forehead, side locks and a band of shine."""
    kind: Kind = person.kind
    front = FRONT[kind]
    if person.hat != "none" and kind in ("boy", "man"):  # no tufts through the crown, and a fringe below the brim
        kind, front = "boy", UNDER_HAT
    shadow = Shape(moved([Shape(front)], 0, 1.7, scale=0.985)[0].d, c.skin.shade)
    drawing = [shadow, *side_locks(person, c), solid(front, c.hair, c.line, c.hair_fill)]
    drawing.append(stroke(SHINE[kind], c.hair.light, 2.2, 0.85))
    return [*drawing, *(stroke(d, c.hair.shade, 1.1, 0.85) for d in STRANDS[kind])]


def side_locks(person: Person, c: Colours) -> Drawing:
    """Locks before the ears: to the chin in a bob, to the collar in longer hair."""
    if person.kind not in FEMALE and person.hair_length == "short":
        return []
    female = person.kind in FEMALE
    end = {"short": 13.5, "shoulder": 19.5, "long": 22.0}[person.hair_length] if female else 11.0
    inner = 13.4 if female else 14.4
    drawing = []
    for side in (-1, 1):
        d = path("M {},-4 C {},4 {},{} {},{} C {},{} {},8 {},-4 Z", side * 18, side * 21, side * 20.6, end - 5,
                 side * 16.8, end, side * 15.2, end - 5, side * inner, side * (inner + 0.6))
        drawing.append(solid(d, c.hair, c.line, c.hair_fill))
    return drawing


def bun(person: Person, c: Colours) -> Drawing:
    """A grandmother's bun: on the crown, or low at the side under a hat."""
    x, y = (0.0, -22.5) if person.hat == "none" else (-17.5, 12.5)
    return [solid(ellipse(x, y, 8, 6.8), c.hair, c.line, c.hair_fill),
            stroke(path("M {},{} Q {},{} {},{}", x - 4, y + 1, x, y - 5, x + 4.4, y - 0.6), c.hair.shade, 1.3)]


def bow(c: Colours) -> Drawing:
    """A girl's hair bow in the colour of her clothes."""
    wings = ("M 12,-15.5 C 9,-21 4.4,-22.6 4.6,-18.6 C 4.4,-15 8,-13.6 12,-15.5 Z",
             "M 12,-15.5 C 13.4,-21 18.4,-21.6 19,-17.6 C 20,-13.4 16.4,-11.8 12,-15.5 Z")
    return [*(solid(wing, c.clothes, c.line) for wing in wings), solid(ellipse(12, -15.6, 1.9), c.clothes, c.line)]


def beard(c: Colours) -> Drawing:
    """A grandfather's beard and moustache in his hair's colour."""
    full = ("M -16,3 C -17,12 -12,20 -5,22.6 C -3,24 -1,24.4 0,25.4 C 1,24.4 3,24 5,22.6 C 12,20 17,12 16,3 "
            "C 15,8 13,10.6 10,11.4 C 6,12.4 -6,12.4 -10,11.4 C -13,10.6 -15,8 -16,3 Z")
    moustache = ("M 1.4,8.6 C -2,7.2 -7,8 -9.4,12 C -5.6,14 -0.8,13 1.4,10.8 C 3.6,13 8.4,14 12,12 "
                 "C 9.6,8 4.8,7.2 1.4,8.6 Z")
    return [solid(full, c.hair, c.line, c.hair_fill), stroke("M -5.5,17 Q -3.6,20 -1.6,21", c.hair.shade, 1.3),
            stroke("M 6.5,16 Q 5,19 3.6,20.4", c.hair.shade, 1.3),
            Shape(moustache, c.hair.light, c.hair.line, c.line * 0.8)]
