"""What follows from the story's training settings: the learning rate of each step, the disk space in all."""

from __future__ import annotations

import math
from pathlib import Path

from kolors_submit.errors import OutsideError
from kolors_submit.files import free_bytes
from kolors_submit.story import Train


def learning_rate_factor(settings: Train, step: int) -> float:
    """What the learning rate is multiplied by at an optimizer step, counted from 0: linear warm-up, then the schedule.

    The cosine goes from 1 to 0 over the steps after the warm-up (Loshchilov and Hutter 2017, without restarts).
    """
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    span = max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - settings.warmup_steps) / span)))


def disk_bytes(settings: Train, lora_parameters: int, cache_bytes: int) -> int:
    """Disk space that a training run needs at most: caches, checkpoints (weights and two moments), the two results."""
    weights = 4 * lora_parameters
    checkpoints = (min(settings.keep, math.ceil(settings.steps / settings.save_every)) + 1) * 3 * weights
    samples = 0 if settings.sample_every is None else (settings.steps // settings.sample_every) * 3_000_000
    return cache_bytes + checkpoints + 2 * weights + samples + 1_000_000


def check_disk(folder: Path, needed: int) -> None:
    """Raise OutsideError where the disk has less than `needed` bytes free."""
    free = free_bytes(folder)
    if free < needed:
        raise OutsideError(
            f"training needs {megabytes(needed)} in {folder}, and {megabytes(free)} are free: "
            "free some space, lower train.keep, or choose another folder with --runs"
        )


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:,.0f} MB"
