"""Where a pose puts the arms; the person faces right, so the right hand is the one in front."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kolors_submit.picturebook.figures.builds import Build
from kolors_submit.picturebook.figures.svg import Point
from kolors_submit.picturebook.scenes import Pose

SEATED: tuple[Pose, ...] = ("sitting", "reading")

LANTERN = -24.0  # the lowest hand that keeps a hanging lantern off the ground


@dataclass(frozen=True)
class Arms:
    """Elbow and hand of the arm behind (left) and of the arm in front (right), in figure units."""

    back: tuple[Point, Point]
    front: tuple[Point, Point]
    open_hand: bool = False


def arms_of(pose: Pose, held: str, b: Build, rng: random.Random) -> Arms:
    """The arms of a pose; the held thing is in the front hand, but in a painter's, rider's or talker's back hand."""
    s, reach = b.shoulders, b.hip - b.shoulder
    swing = rng.uniform(-1.2, 1.2)

    def at(x: float, share: float) -> Point:
        """A point beside the body: `x` beyond the shoulder line, `share` of the way from shoulder to hip."""
        return s + x + swing * 0.4, b.shoulder + reach * share + swing

    def left(point: Point) -> Point:
        return -point[0], point[1]

    down = (at(3.4, 0.58), at(4.8, 1.06))
    front, back, open_hand = down, (left(down[0]), left(down[1])), False
    if pose == "walking":
        front, back = (at(4.4, 0.6), at(10.0, 0.82)), (left(at(4.8, 0.5)), left(at(9.6, 0.88)))
    elif pose == "talking":
        front, open_hand = (at(6.4, 0.62), at(11.5, 0.08)), True
        back = (left(at(4.6, 0.62)), left(at(9.6, 0.82)))
    elif pose == "painting":
        front = (at(6.0, 0.52), at(13.0, 0.1))
        back = (left(at(4.4, 0.66)), left(at(2.4, 0.92)))
    elif pose == "sitting":
        front = (at(4.6, 0.6), (s + 5.4, min(b.hip * 0.7, -4.0) + swing * 0.4))
        back = (left(at(4.6, 0.62)), (-s - 7.0, -4.0 + swing * 0.4))
    elif pose == "reading":
        front = (at(4.0, 0.66), (10.2, b.hip - 0.6))
        back = (left(at(4.0, 0.66)), (-10.2, b.hip - 0.6))
    elif pose == "riding":
        front = (at(4.4, 0.6), at(7.0, 0.86))
        back = (left(at(3.6, 0.62)), left(at(1.0, 0.94)))
    if held != "none" and pose != "reading":
        bent = (at(6.0, 0.9), at(12.0, 0.62)) if held == "umbrella" else (at(4.8, 0.52), at(9.4, 0.66))
        if held == "lantern" and bent[1][1] > LANTERN:
            bent = (at(7.0, 0.5), (bent[1][0] + 3.0, LANTERN))
        if pose in ("painting", "riding", "talking"):
            back = (left(bent[0]), left(bent[1]))
        else:
            front = bent
    return Arms(back, front, open_hand)
