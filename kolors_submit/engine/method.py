"""How a picture is denoised: as the story says, or with fewer forwards of the UNet where it says `quality: fast`.

What `fast` costs on the picture book is measured by bench/fast.py; its figures are in bench/results/fast.json.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolors_submit.story import Render

FAST_STEPS = 8
FAST_GUIDED = 5
"""Guidance decides what is where, which the first steps do; the later ones draw it."""


@dataclass(frozen=True)
class Method:
    """A sampler, its steps, and in how many of the first of them the negative prompt takes part."""

    sampler: str
    steps: int
    guided_steps: int
    timestep_spacing: str
    """Of diffusers' schedulers: `leading` as Kolors publishes, `trailing` to start at pure noise in few steps."""

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def applied(self, settings: Render) -> Render:
        """The story's settings with the sampler and the steps that are used."""
        return settings.model_copy(update={"sampler": self.sampler, "steps": self.steps})


def method_of(settings: Render) -> Method:
    """The method that a story's settings ask for.

    `fast` is DPM-Solver++ (2M, Lu et al. 2022) in at most `FAST_STEPS` steps with guidance in the first of them.
    """
    guided = settings.guidance_scale != 1
    if settings.quality == "exact":
        return Method(settings.sampler, settings.steps, settings.steps if guided else 0, "leading")
    steps = min(settings.steps, FAST_STEPS)
    return Method("dpmpp_2m", steps, min(steps, FAST_GUIDED) if guided else 0, "trailing")
