"""People and animals of the picture book as SVG fragments.

Figure units: y points down, the ground is y = 0, x = 0 the figure's middle; an adult is 100 units tall, a child 82.
A figure holds what it wears, holds or uses (book, brush and palette, umbrella, lantern, the sleeper's bed, the
rider's horse); easel, desk, chair and everything else belongs to `world`. Figures are drawn facing right and mirrored.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from kolors_submit.picturebook.figures.animals import bird, cat, dog
from kolors_submit.picturebook.figures.borne import in_bed, on_horse
from kolors_submit.picturebook.figures.horse import horse
from kolors_submit.picturebook.figures.people import upright
from kolors_submit.picturebook.figures.svg import Drawing, Figure, bounds, draw, moved
from kolors_submit.picturebook.scenes import Animal, Person, View

__all__ = ["Figure", "animal", "person"]


def person(person: Person, *, view: View = "full", facing: int = 1, rng: random.Random, prefix: str = "p",
           night: bool = False) -> Figure:
    """A person in their pose, turned to the right (`facing` 1) or the left (-1); `view` sets the line's fineness.

    A sleeper comes with the bed, about 86 units wide and 110 tall, and a rider with the horse, about 92 long and 115
    tall; both are drawn for a full view. At `night` a lantern shines further. `prefix` keeps the ids of two figures in
    one picture apart.
    """
    if person.pose == "sleeping":
        return in_bed(person, rng=rng, prefix=prefix)
    if person.pose == "riding":
        return on_horse(person, facing=facing, rng=rng, prefix=prefix)
    return upright(person, view=view, facing=facing, rng=rng, prefix=prefix, night=night)


def animal(kind: Animal, *, facing: int = 1, rng: random.Random) -> Figure:
    """A cat (38 units tall), dog (37), bird (27) or horse (94 with its ears); KeyError for "none"."""
    kinds: dict[Animal, Callable[[random.Random], tuple[Drawing, Drawing]]]
    kinds = {"cat": cat, "dog": dog, "bird": bird, "horse": horse}
    head, body = kinds[kind](rng)
    drawing = moved([*body, *head], mirror=facing < 0)
    return Figure(draw(drawing), bounds(moved(head, mirror=facing < 0)), bounds(drawing))
