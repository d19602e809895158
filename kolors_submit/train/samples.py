"""Sample pictures of one panel while training goes on; they change no byte of the result."""

from __future__ import annotations

import dataclasses

import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import sampler
from kolors_submit.engine.memory import arithmetic, compute_for, release
from kolors_submit.engine.plan import TrainPlan
from kolors_submit.files import atomic_path
from kolors_submit.run import Job
from kolors_submit.train.loop import Sampler
from kolors_submit.train.module import LoraTraining


def sample_into(job: Job, plan: TrainPlan, task: sampler.Task) -> Sampler:
    """A function that renders the panel with the LoRA as it is and writes `samples/step-0000200.png`.

    The panel's noise comes from its own seed, and training draws from generators of its own.
    """
    dtype: torch.dtype = getattr(torch, plan.dtype)
    # The training UNet computes in its own dtype, one panel at a time.
    compute = dataclasses.replace(compute_for(job.device), dtype=plan.dtype, batch=2)

    def draw(module: LoraTraining, step: int) -> None:
        with arithmetic(), torch.no_grad():
            latents = sampler.sample(module.network.predict, [task], job.story.render, compute)
            decoder = bases.load_vae_decoder(job.base, job.device, dtype)
            picture = sampler.decode(decoder, latents[0])
        del decoder
        release(job.device)
        if picture is None:
            job.report.note(f"the sample picture of step {step} is not finite; training goes on")
            return
        with atomic_path(job.run.train / "samples" / f"step-{step:07d}.png") as path:
            picture.save(path, "PNG")

    return draw
