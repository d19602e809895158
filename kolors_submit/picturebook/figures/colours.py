"""The colours and the line that one figure is drawn with."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kolors_submit.picturebook.figures.palette import BOTTOM, CLOTHES, HAIR, SKIN, Tone
from kolors_submit.picturebook.figures.svg import gradient
from kolors_submit.picturebook.scenes import Person, View

LINE: dict[View, float] = {"full": 1.2, "half": 1.0, "close": 0.75}


@dataclass(frozen=True)
class Colours:
    """One person's tones, the ids of their gradients and the outline's width in figure units."""

    hair: Tone
    clothes: Tone
    skin: Tone
    bottom: Tone
    prefix: str
    line: float

    @property
    def hair_fill(self) -> str:
        """How a shape names the hair's gradient."""
        return f"url(#{self.prefix}-hair)"

    @property
    def clothes_fill(self) -> str:
        """How a shape names the clothes' gradient."""
        return f"url(#{self.prefix}-clothes)"

    @property
    def defs(self) -> str:
        """The gradients that the fills name."""
        hair, clothes = gradient(f"{self.prefix}-hair", self.hair), gradient(f"{self.prefix}-clothes", self.clothes)
        return f"<defs>{hair}{clothes}</defs>"


def colours_of(person: Person, view: View, rng: random.Random, prefix: str) -> Colours:
    """The tones that the person's attributes name; skin and the plain bottom are drawn from `rng`."""
    skin = rng.choices(SKIN, weights=(5, 4, 2))[0]
    bottom = BOTTOM[rng.choice(sorted(BOTTOM))]
    return Colours(HAIR[person.hair_colour], CLOTHES[person.clothes_colour], skin, bottom, prefix, LINE[view])
