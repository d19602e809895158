"""Kolors' noise schedule: 1100 training timesteps, betas scaled-linear from 0.00085 to 0.014 (SDXL's is wrong here).

The `ddim` sampler is DiffSynth's, with its timesteps from 1099 to 0. The others are diffusers' schedulers with the
settings that Kolors publishes (leading spacing, offset 1), as ComfyUI's Kolors nodes use them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffsynth.schedulers import EnhancedDDIMScheduler

from kolors_submit.errors import InputError

TRAIN_TIMESTEPS = 1100
BETA_START = 0.00085
BETA_END = 0.014

_PUBLISHED = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
_DIFFUSERS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde_karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
}
SAMPLERS = ("ddim", *_DIFFUSERS)

Generators = list[torch.Generator]

# While diffusers is imported it puts another module in its own place: a second thread would keep the first one.
_importing = threading.Lock()


@dataclass(frozen=True)
class Solver:
    """One sampler at one number of steps; used once, because most solvers remember earlier steps.

    `scale(latents, t)` is what the UNet sees; `step(prediction, t, latents, generators)` gives the next latents.
    """

    timesteps: torch.Tensor
    """[steps], from the noisiest on."""
    initial_sigma: float
    scale: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    step: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Generators], torch.Tensor]


def ddim() -> EnhancedDDIMScheduler:
    """DiffSynth's scheduler with Kolors' betas."""
    return EnhancedDDIMScheduler(beta_start=BETA_START, beta_end=BETA_END, num_train_timesteps=TRAIN_TIMESTEPS)


@functools.cache
def alphas_cumprod() -> torch.Tensor:
    """The share of signal left at each training timestep, float32 [1100]; not to be written to."""
    return torch.tensor(ddim().alphas_cumprod)


def add_noise(latents: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Latents [n, 4, h, w] with noise of the same shape at one training timestep each [n] (DDPM's forward process)."""
    signal = alphas_cumprod().to(latents.device)[timestep.long()].view(-1, 1, 1, 1)
    return (signal.sqrt() * latents + (1 - signal).sqrt() * noise).to(latents.dtype)


def solver(sampler: str, steps: int, spacing: str = "leading") -> Solver:
    """A fresh solver for one batch of pictures; raises InputError for a name that is none of `SAMPLERS`.

    `spacing` is diffusers' `timestep_spacing`; DiffSynth's `ddim` has its own.
    """
    if sampler == "ddim":
        return _ddim_solver(steps)
    if sampler not in _DIFFUSERS:
        raise InputError(f"render.sampler {sampler} is not known; choose one of {', '.join(SAMPLERS)}")
    return _diffusers_solver(sampler, steps, spacing)


def _ddim_solver(steps: int) -> Solver:
    scheduler = ddim()
    scheduler.set_timesteps(steps)

    def step(prediction: torch.Tensor, t: torch.Tensor, latents: torch.Tensor, _: Generators) -> torch.Tensor:
        return scheduler.step(prediction, t, latents)

    return Solver(scheduler.timesteps, 1.0, lambda latents, t: latents, step)


def _diffusers_solver(sampler: str, steps: int, spacing: str) -> Solver:
    name, extra = _DIFFUSERS[sampler]
    with _importing:
        import diffusers

        kind = getattr(diffusers, name)
    scheduler = kind(**(_PUBLISHED | extra | {"timestep_spacing": spacing}))
    scheduler.set_timesteps(steps)
    # Only these take noise while they sample.
    noisy = sampler in ("euler_ancestral", "dpmpp_2m_sde_karras")

    def step(prediction: torch.Tensor, t: torch.Tensor, latents: torch.Tensor, generators: Generators) -> torch.Tensor:
        extra = {"generator": generators} if noisy else {}
        return scheduler.step(prediction, t, latents, return_dict=False, **extra)[0]

    return Solver(scheduler.timesteps, float(scheduler.init_noise_sigma), scheduler.scale_model_input, step)


def check(config: Mapping[str, Any], where: str) -> None:
    """Raise InputError where a base's scheduler config is not Kolors' schedule."""
    config = {"prediction_type": "epsilon", **config}  # what diffusers takes where nothing is said
    for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type"):
        if config.get(key) != _PUBLISHED[key]:
            raise InputError(f"{where}: {key} is {config.get(key)!r}; a Kolors base has {_PUBLISHED[key]!r}")
