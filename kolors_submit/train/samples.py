"""Sample pictures of one panel while training goes on; they change no byte of the result."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import sampler
from kolors_submit.engine.half_decoder import to_half
from kolors_submit.engine.memory import arithmetic, compute_for, release
from kolors_submit.engine.plan import TrainPlan
from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path
from kolors_submit.run import Job
from kolors_submit.train.loop import Sampler
from kolors_submit.train.module import LoraTraining

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder


def sample_into(job: Job, plan: TrainPlan, task: sampler.Task) -> Sampler:
    """A function that renders the panel with the LoRA as it is and writes `samples/step-0000200.png`.

    The panel's noise comes from its own seed, and training draws from generators of its own. What the story asks for
    and the machine does not have is noted once, and nothing is drawn from then on.
    """
    dtype: torch.dtype = getattr(torch, plan.dtype)
    # The training UNet computes in its own dtype, one panel at a time.
    compute = dataclasses.replace(compute_for(job.device), dtype=plan.dtype, batch=2)
    refused = False

    def draw(module: LoraTraining, step: int) -> None:
        nonlocal refused
        if refused:
            return
        picture, without = None, "it is not finite"
        try:
            with arithmetic(), torch.no_grad():
                latents = sampler.sample(module.network.predict, [task], job.story.render, compute)
                picture = sampler.decode(_decoder(job, dtype), latents[0])
        except torch.OutOfMemoryError:
            without = "the GPU's memory is not enough beside training"
        except InputError as error:
            refused, without = True, f"{error}; none of a later one either"
        release(job.device)
        if picture is None:
            job.report.note(f"no sample picture of step {step}: {without}; training goes on")
            return
        with atomic_path(job.run.train / "samples" / f"step-{step:07d}.png") as path:
            picture.save(path, "PNG")

    return draw


def _decoder(job: Job, dtype: torch.dtype) -> SDXLVAEDecoder:
    """The VAE's decoder; on a GPU in half precision, since training has most of the memory."""
    decoder = bases.load_vae_decoder(job.base, job.device, dtype)
    return to_half(decoder) if job.device != "cpu" and decoder.conv_in.weight.dtype == torch.float32 else decoder
