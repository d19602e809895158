"""A person put together from build, pose, garment, head, hair, hat and what is held."""

from __future__ import annotations

import random

from kolors_submit.picturebook.figures.builds import BUILDS, Build
from kolors_submit.picturebook.figures.colours import Colours, colours_of
from kolors_submit.picturebook.figures.hair import back_hair, beard, bow, bun, front_hair
from kolors_submit.picturebook.figures.hats import hat
from kolors_submit.picturebook.figures.heads import face, features, look_of
from kolors_submit.picturebook.figures.held import (
    book,
    brush,
    cane,
    lantern,
    lantern_glow,
    palette_board,
    umbrella,
    umbrella_handle,
)
from kolors_submit.picturebook.figures.lower import lower_body
from kolors_submit.picturebook.figures.poses import SEATED, Arms, arms_of
from kolors_submit.picturebook.figures.svg import Drawing, Figure, bounds, draw, moved
from kolors_submit.picturebook.figures.torso import arm, torso
from kolors_submit.picturebook.scenes import Person, View

SEAT = -8.5  # the hip's height when sitting on the ground


def head_of(person: Person, b: Build, c: Colours, rng: random.Random, *, tilt: float, with_hat: bool = True) -> Drawing:
    """The head with fringe, features, beard and hat, tilted around the face's middle and put on the body."""
    drawing = bun(person, c) if person.kind == "grandmother" else []
    look = look_of(person.pose, rng)
    drawing = [*drawing, *face(person.kind, look, c), *front_hair(person, c)]
    if person.kind == "girl" and (person.hat == "none" or not with_hat):
        drawing += bow(c)
    if person.kind == "grandfather":
        drawing += beard(c)
    drawing += features(person.kind, look, c)
    if with_hat:
        drawing += moved(hat(person.hat, c.line), 0, -2.4)
    return moved(drawing, 0, b.head, turn=tilt, scale=b.size)


def hair_behind(person: Person, b: Build, c: Colours, sway: float) -> Drawing:
    """The back hair, as long as the body allows."""
    drop = min(b.hip - b.head + 6, -b.head - 4) / b.size
    return moved(back_hair(person, drop, sway, c), 0, b.head, scale=b.size)


def upright(person: Person, *, view: View, facing: int, rng: random.Random, prefix: str, night: bool) -> Figure:
    """A person in any pose but asleep or on a horse."""
    c = colours_of(person, view, rng, prefix)
    seated = person.pose in SEATED
    b = BUILDS[person.kind].lowered(SEAT) if seated else BUILDS[person.kind]
    sway, tilt = rng.uniform(-1.6, 1.6), rng.uniform(-3.5, 3.5)
    arms = arms_of(person.pose, person.held, b, rng)
    stance = "sit" if seated else "walk" if person.pose == "walking" else "stand"
    behind, defs = held_behind(person, arms, b, c, night)
    head = head_of(person, b, c, rng, tilt=tilt)
    body = [*hair_behind(person, b, c, sway), *lower_body(person, b, stance, sway, c), *torso(person.garment, b, c),
            *busy_arms(person, arms, b, c)]
    return figure_of(behind, body, head, c.defs + defs, facing)


def figure_of(behind: Drawing, body: Drawing, head: Drawing, defs: str, facing: int) -> Figure:
    """The layers put together and turned to their side; light (a gradient's glow) counts to no box."""
    behind, body, head = (moved(layer, mirror=facing < 0) for layer in (behind, body, head))
    firm = [shape for shape in behind if not shape.fill.endswith("-glow)")]
    return Figure(draw([*behind, *body, *head], defs), bounds(head), bounds([*firm, *body, *head]))


def holding_hand(person: Person, arms: Arms) -> tuple[float, float]:
    """The hand that holds the umbrella or the lantern."""
    if person.pose == "reading":
        return -24.0, -26.0
    return (arms.back if person.pose in ("painting", "riding", "talking") else arms.front)[1]


def held_behind(person: Person, arms: Arms, b: Build, c: Colours, night: bool) -> tuple[Drawing, str]:
    """What is held and lies behind the body, with the gradients it needs."""
    if person.held == "umbrella":
        return umbrella(holding_hand(person, arms), b.head, c.line), ""
    if person.held == "lantern":
        glow, defs = lantern_glow(holding_hand(person, arms), c.prefix, night)
        return glow, f"<defs>{defs}</defs>"
    return [], ""


def busy_arms(person: Person, arms: Arms, b: Build, c: Colours) -> Drawing:
    """Both arms and the things in their hands."""
    x, y = b.shoulders - 1.6, b.shoulder + 3.6
    hand = holding_hand(person, arms)
    back, front = arms.back[1], arms.front[1]
    drawing: Drawing = []
    if person.held == "lantern":
        drawing += lantern(hand, c.line)
    elif person.held == "umbrella" and person.pose != "reading":
        drawing += umbrella_handle(hand, b.head)
    if person.pose == "painting":
        drawing += brush(front, c.clothes.base)
    if person.pose == "reading":
        drawing += book(0, b.hip - 0.6, c.line)
    if person.kind == "grandfather" and person.pose in ("standing", "walking"):
        drawing += cane(back)
    drawing += arm(person.garment, (-x, y), *arms.back, b, c)
    drawing += arm(person.garment, (x, y), *arms.front, b, c, open_hand=arms.open_hand)
    if person.pose == "painting" and person.held == "none":
        drawing += palette_board(back, c.line)
    return drawing
