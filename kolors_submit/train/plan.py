"""What the machine makes of the story's training settings: device, precision, memory, disk, learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import free_bytes
from kolors_submit.story import Train

ACTIVATION_BYTES = 7.5e9
"""Memory for one picture's activations in bfloat16 at 1024x1024 in the full-size UNet, measured on one H200."""
FULL_PARAMETERS = 2.58e9
FULL_LATENT = 128 * 128

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Plan:
    """How the UNet is held and run. The LoRA's own weights are float32 whatever the plan."""

    device: torch.device
    dtype: torch.dtype
    """Of the frozen base and of the products."""
    checkpointing: bool
    """Whether activations are computed again in the backward pass instead of kept."""

    @property
    def precision(self) -> Precision:
        """The dtype in Lightning's words."""
        names: dict[torch.dtype, Precision] = {torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed"}
        return names.get(self.dtype, "32-true")

    @property
    def check_every(self) -> int:
        """Steps between looks at the loss; on a GPU every look waits for the device."""
        return 1 if self.device.type == "cpu" else 10


def make_plan(settings: Train, device: str, parameters: int, latent_area: int) -> Plan:
    """The plan for a UNet of so many parameters and latents of so many positions.

    Raises InputError for float16 on a CPU, where gradients cannot be scaled.
    """
    where = torch.device(device)
    dtype = _dtype(settings.precision, where)
    checkpointing = settings.gradient_checkpointing
    if checkpointing == "auto":
        checkpointing = where.type == "cuda" and _needs_checkpointing(settings, where, parameters, latent_area)
    return Plan(where, dtype, checkpointing)


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if precision == "float16" and device.type == "cpu":
        raise InputError("train.precision is float16, which needs a GPU; use auto, float32 or bfloat16")
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def _needs_checkpointing(settings: Train, device: torch.device, parameters: int, latent_area: int) -> bool:
    """Whether weights and activations would fill more than nine tenths of the device's free memory."""
    free, _ = torch.cuda.mem_get_info(device)
    one = ACTIVATION_BYTES * (parameters / FULL_PARAMETERS) * (latent_area / FULL_LATENT)
    return 2 * parameters + settings.batch_size * one > 0.9 * free


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
