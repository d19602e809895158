"""People together with what bears them: the sleeper in a bed, the rider on a horse."""

from __future__ import annotations

import random

from kolors_submit.picturebook.figures.builds import BUILDS, Build
from kolors_submit.picturebook.figures.colours import Colours, colours_of
from kolors_submit.picturebook.figures.hats import hat
from kolors_submit.picturebook.figures.horse import horse
from kolors_submit.picturebook.figures.lower import cover_of, fold, skirt_tone
from kolors_submit.picturebook.figures.palette import LINEN, QUILT, SHOE, WOOD
from kolors_submit.picturebook.figures.people import busy_arms, figure_of, hair_behind, head_of, held_behind
from kolors_submit.picturebook.figures.poses import arms_of
from kolors_submit.picturebook.figures.svg import Drawing, Figure, Shape, ellipse, limb, moved, path, solid, stroke
from kolors_submit.picturebook.figures.torso import arm, torso
from kolors_submit.picturebook.scenes import Person

SADDLE_X, SADDLE_Y = -13.0, -55.0


def in_bed(person: Person, *, rng: random.Random, prefix: str) -> Figure:
    """A person asleep on the back in a bed seen from its foot, arms on the blanket, the hat on the bedpost."""
    c = colours_of(person, "full", rng, prefix)
    b = BUILDS[person.kind]
    b = b.lowered(b.hip - 75 - b.head)
    edge = b.waist + 3.5
    head = head_of(person, b, c, rng, tilt=rng.uniform(7, 12), with_hat=False)
    s = b.shoulders
    hands = (s + 2.6 + rng.uniform(-1, 1), edge + 8 + rng.uniform(-1, 1))
    sleeves: Drawing = []
    for side in (-1, 1):
        sleeves += arm(person.garment, (side * (s - 1.6), b.shoulder + 3.6), (side * (s + 4.4), edge - 4),
                       (side * hands[0], hands[1]), b, c)
    drawing = [*bedstead(c), *hair_behind(person, b, c, rng.uniform(-1, 1)), *torso(person.garment, b, c),
               *blanket(edge, c), *sleeves]
    if person.hat != "none":
        drawing += moved(hat(person.hat, c.line), 35, -85, turn=12, scale=0.72)
    return figure_of([], drawing, head, c.defs, facing=1)


def bedstead(c: Colours) -> Drawing:
    """Headboard, posts, mattress and pillow."""
    board = "M -38,-40 L -38,-88 C -30,-104 -14,-108 0,-108 C 14,-108 30,-104 38,-88 L 38,-40 Z"
    inner = "M -33,-42 L -33,-86 C -26,-99 -13,-102.6 0,-102.6 C 13,-102.6 26,-99 33,-86 L 33,-42 Z"
    drawing = [solid(board, WOOD, c.line), Shape(inner, WOOD.light)]
    for side in (-1, 1):
        post = path("M {},0 L {},-90 L {},-90 L {},0 Z", side * 41, side * 41, side * 36, side * 36)
        drawing += [solid(post, WOOD, c.line), solid(ellipse(side * 38.5, -93, 4.2), WOOD, c.line)]
    sheet = "M -35.5,-64 L 35.5,-64 L 37,-8 L -37,-8 Z"
    pillow = ("M -30,-88 C -20,-92 20,-92 30,-88 C 34,-80 34,-66 31,-57 "
              "C 20,-54 -20,-54 -31,-57 C -34,-66 -34,-80 -30,-88 Z")
    return [*drawing, solid(sheet, LINEN, c.line), solid(pillow, LINEN, c.line, LINEN.light),
            Shape("M -31,-58 C -33,-64 -33,-70 -32.6,-74 C -29,-66 -24,-60 -16,-56.4 C -22,-56 -28,-56.6 -31,-58 Z",
                  LINEN.base)]


def blanket(edge: float, c: Colours) -> Drawing:
    """A quilt over the body down to the bed's foot, its upper edge turned over."""
    cloth = path("M -36.5,{} C -20,{} 20,{} 36.5,{} L 39,-7 C 38,-3 20,-2.4 0,-2.4 C -20,-2.4 -38,-3 -39,-7 Z",
                 edge + 2,
                 edge - 2, edge - 2, edge + 2)
    turned = path("M -36.8,{} C -20,{} 20,{} 36.8,{} L 37.2,{} C 20,{} -20,{} -37.2,{} Z", edge + 1, edge - 3, edge - 3,
                  edge + 1, edge + 8, edge + 4.6, edge + 4.6, edge + 8)
    drawing = [solid(cloth, QUILT, c.line)]
    for x in (-22.0, 0.0, 22.0):
        for row, share in enumerate((0.36, 0.66, 0.92)):
            dx = 11.0 if row == 1 else 0.0
            if x + dx < 30:
                drawing.append(Shape(ellipse(x + dx, edge + (-4 - edge) * share, 2.6), QUILT.light))
    drawing.append(Shape(path("M -38.6,-7 L -37.6,{} C -34,{} -33,-16 -32,-3.4 C -36,-3.8 -38.2,-5 -38.6,-7 Z",
                              edge + 8,
                              edge + 16), QUILT.shade, opacity=0.7))
    return [*drawing, solid(turned, LINEN, c.line, LINEN.light)]


def on_horse(person: Person, *, facing: int, rng: random.Random, prefix: str) -> Figure:
    """A person astride a saddled horse."""
    c = colours_of(person, "full", rng, prefix)
    build = BUILDS[person.kind]
    b = build.lowered(SADDLE_Y)
    horse_head, horse_body = horse(rng, saddled=True)
    arms = arms_of("riding", person.held, b, rng)
    behind, defs = held_behind(person, arms, b, c, night=False)
    at = SADDLE_X
    head = moved(head_of(person, b, c, rng, tilt=rng.uniform(-3, 3)), at)
    rider = [*hair_behind(person, b, c, rng.uniform(-2.5, -0.5)), *riding_legs(person, b, c),
             *torso(person.garment, b, c),
             *busy_arms(person, arms, b, c)]
    body = [*horse_body, *horse_head, *moved(rider, at)]
    return figure_of(moved(behind, at), body, head, c.defs + defs, facing)


def riding_legs(person: Person, b: Build, c: Colours) -> Drawing:
    """The near leg along the horse's flank under trousers, skirt, coat tails or robe."""
    cover, width, hip = cover_of(person), b.leg + 1.0, b.hip
    points = [(2.0, hip - 1), (8.0, hip + 7), (8.6, hip + 15), (6.6, hip + 23)]
    if cover == "bare":
        drawing = [solid(limb(points, width + 1, width - 1), c.skin, c.line),
                   solid(limb(points[1:], width + 1.4, width + 0.2), SHOE, c.line)]
    else:
        drawing = [solid(limb(points, width + 4, width + 1), c.bottom, c.line)]
    drawing.append(solid(ellipse(points[-1][0] + 2.4, points[-1][1] + 2, 5.2, 3.0, 8), SHOE, c.line))
    skirt = skirt_tone(person, c)
    if skirt is None:
        return [*drawing, solid(ellipse(0, hip - 1, b.hips + 0.5, 6.5), c.bottom, c.line)]
    tone, fill = skirt
    long = 17.0 if person.garment == "robe" else 12.0
    w, top, wide = b.waists + 0.4, b.waist + 1, b.hips + 5
    cloth = path("M {},{} C {},{} {},{} {},{} C {},{} {},{} 0,{} C {},{} {},{} {},{} C {},{} {},{} {},{} Z", -w, top,
                 -w - 3, top + 5, -wide, hip - 4, -wide, hip + 3, -wide + 2, hip + 7, -wide * 0.4, hip + long - 3,
                 hip + long, wide * 0.5, hip + long + 2, wide + 1, hip + long - 1, wide + 1.5, hip + long - 5, wide + 1,
                 hip - 2, w + 4, top + 4, w, top)
    return [*drawing, solid(cloth, tone, c.line, fill), fold(-w * 0.5, top + 5, -wide * 0.5, hip + long - 4, 1.9, tone),
            fold(w * 0.3, top + 6, wide * 0.45, hip + long, 1.9, tone),
            stroke(path("M {},{} Q {},{} {},{}", -wide + 2, hip + 4, 0, hip + long - 2, wide, hip + long - 3.4),
                   tone.shade, 1.5)]
