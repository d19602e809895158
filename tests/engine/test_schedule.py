"""Kolors' noise schedule against diffusers' arithmetic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kolors_submit.engine import schedule
from kolors_submit.errors import InputError
from tests.tiny import SCHEDULER


def test_timesteps_run_from_the_noisiest_to_zero() -> None:
    steps = schedule.solver("ddim", 50).timesteps
    assert steps.shape == (50,)
    assert (float(steps[0]), float(steps[-1])) == (1099.0, 0.0)


def test_noising_is_ddpms() -> None:
    from diffusers import DDPMScheduler

    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
    theirs = DDPMScheduler(**{key: SCHEDULER[key] for key in keys})
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 8, 8, generator=generator)
    t = torch.tensor([0, 700, 1099])
    assert torch.allclose(schedule.add_noise(latents, noise, t), theirs.add_noise(latents, noise, t), atol=1e-5)
    assert torch.allclose(schedule.alphas_cumprod(), theirs.alphas_cumprod, rtol=1e-4)


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(InputError, match=r"render\.sampler heun"):
        schedule.solver("heun", 10)


def test_another_models_schedule_is_refused() -> None:
    schedule.check(SCHEDULER, "scheduler")
    schedule.check({key: value for key, value in SCHEDULER.items() if key != "prediction_type"}, "scheduler")
    for key, value in (("num_train_timesteps", 1000), ("prediction_type", "v_prediction")):
        with pytest.raises(InputError, match=f"{key} is {value!r}"):
            schedule.check(SCHEDULER | {key: value}, "scheduler")


def test_samplers_are_those_of_the_story() -> None:
    from typing import get_args

    from kolors_submit.story import Render

    assert set(get_args(Render.model_fields["sampler"].annotation)) == set(schedule.SAMPLERS)


TOGETHER = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from kolors_submit.engine.schedule import SAMPLERS, solver

together = Barrier(6)

def first(number):
    together.wait()
    return solver(SAMPLERS[1 + number % (len(SAMPLERS) - 1)], 4)

with ThreadPoolExecutor(6) as pool:
    assert len(list(pool.map(first, range(6)))) == 6
"""


def test_threads_that_need_diffusers_first_get_it_whole() -> None:
    """As a CPU's cores do at the first step of their first panels; a fresh process, for the import is the point."""
    command = [sys.executable, "-W", "ignore", "-c", TOGETHER]
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
