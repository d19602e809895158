"""Jobs for the data stage's tests: a story around one dataset, and small pictures to put into it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kolors_submit.report import Reporter, quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights import Base

NO_FILTERS: dict[str, Any] = {
    "shape": None,
    "aspect_ratio": None,
    "exact_duplicates": False,
    "near_duplicates": False,
    "aesthetics": None,
}
"""Filters all off: Data-Juicer is not started."""


def make_job(folder: Path, *, base: Base | None = None, report: Reporter | None = None, **dataset: Any) -> Job:
    """A job in `folder` with these dataset settings and eight panels."""
    panels = [{"scene": f"{number}", "prompt": f"picture {number}", "seed": number} for number in range(8)]
    story = Story.model_validate({"schema": 1, "title": "test", "dataset": {"size": 64} | dataset, "panels": panels})
    return Job(story, base or Base("none", folder, {}), Run(folder / "run"), "cpu", report or quiet())


def picture(seed: int = 0, size: tuple[int, int] = (96, 80), mode: str = "RGB") -> Image.Image:
    """Coloured blots that no perceptual hash takes for each other."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """A picture as a file's bytes."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
