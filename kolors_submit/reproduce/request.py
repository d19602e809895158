"""What a judge asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """What to reproduce and how: `out` None is `reproductions/NAME`.

    Every panel is rendered, or `sample` of them drawn by lot, or those whose numbers are in `panels`. `retrain` also
    trains the LoRA again, on the pictures in `data` where the entry's own source is private. `max_work` is how many
    times the work of a contest entry the panels may ask for.
    """

    source: str
    base: str = "auto"
    device: str = "auto"
    sample: int | None = None
    panels: Sequence[int] = ()
    retrain: bool = False
    data: Path | None = None
    out: Path | None = None
    yes: bool = False
    max_work: float | None = None
