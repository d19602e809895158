"""From noise to pictures: guided denoising in one recorded batch shape, then the VAE's decoder.

A panel's arithmetic is the same whether it is alone or among others: every batch has the recorded shape (padded where
there are fewer panels), a panel's random numbers come from its own CPU generator, and pictures are decoded one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kolors_submit.engine.conditioning import Conditioning, add_time_id
from kolors_submit.engine.memory import Compute
from kolors_submit.engine.method import method_of
from kolors_submit.engine.schedule import Generators, solver
from kolors_submit.errors import InputError

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from PIL import Image

    from kolors_submit.story import Render

UNet = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Latents, timestep [1], text, sizes and pooled text to the noise: DiffSynth's UNet, or what a device makes of it."""

PIXELS_PER_LATENT = 8
LATENT_CHANNELS = 4


@dataclass(frozen=True)
class Task:
    """One picture to make: its two prompts as conditionings and its seed."""

    positive: Conditioning
    negative: Conditioning
    seed: int


def initial_noise(seed: int, settings: Render, device: str) -> tuple[torch.Tensor, torch.Generator]:
    """Unit noise float32 [4, height / 8, width / 8] on the CPU, and the generator for the sampler's later noise.

    `cpu-float32` draws both from one CPU generator, alike on every device. `cuda-float16` draws the first on the GPU in
    half precision, as the contest's notebook did; raises InputError for it without a GPU.
    """
    shape = (1, LATENT_CHANNELS, settings.height // PIXELS_PER_LATENT, settings.width // PIXELS_PER_LATENT)
    generator = torch.Generator("cpu").manual_seed(seed)
    if settings.noise == "cpu-float32":
        return torch.randn(shape, generator=generator)[0], generator
    if device != "cuda":
        raise InputError("render.noise is cuda-float16, which needs a CUDA device; use --device cuda or cpu-float32")
    on_gpu = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(shape, generator=on_gpu, device="cuda", dtype=torch.float16)[0].float().cpu(), generator


@torch.inference_mode()
def sample(
    unet: UNet,
    tasks: Sequence[Task],
    settings: Render,
    compute: Compute,
    advance: Callable[[int], object] = lambda pictures: None,
) -> torch.Tensor:
    """Denoise one batch, at most `compute.panels` tasks, to latents float32 [n, 4, h, w] on the compute device.

    `advance` is called with the number of pictures after each step. Call it within `memory.arithmetic()`.
    """
    padded = [*tasks, *[tasks[-1]] * (compute.panels - len(tasks))]
    drawn = [initial_noise(task.seed, settings, compute.device_kind) for task in padded]
    generators: Generators = [generator for _, generator in drawn]
    how = method_of(settings)
    method = solver(how.sampler, how.steps, how.timestep_spacing)
    latents = torch.stack([noise for noise, _ in drawn]).to(compute.device_kind) * method.initial_sigma
    predict = _predictor(unet, padded, settings, compute)
    for step, t in enumerate(method.timesteps):
        prediction = predict(method.scale(latents, t), t, step < how.guided_steps)
        latents = method.step(prediction, t, latents, generators)
        advance(len(tasks))
    return latents[: len(tasks)]


def _predictor(
    unet: UNet, tasks: Sequence[Task], settings: Render, compute: Compute
) -> Callable[[torch.Tensor, torch.Tensor, bool], torch.Tensor]:
    """The noise that the UNet sees, with classifier-free guidance: negative + scale * (positive - negative).

    Both halves go through the UNet as one batch, all positives first; without guidance the negative half is left out.
    """
    device, dtype, count = compute.device_kind, compute.torch_dtype, len(tasks)
    conditionings = [task.positive for task in tasks] + [task.negative for task in tasks]
    embedding = torch.stack([item.embedding for item in conditionings]).to(device, dtype)
    pooled = torch.stack([item.pooled for item in conditionings]).to(device, dtype)
    size = add_time_id(settings.height, settings.width, 0, 0, settings.height, settings.width)
    sizes = size.to(device).repeat(len(conditionings), 1)
    both, alone = (embedding, sizes, pooled), (embedding[:count], sizes[:count], pooled[:count])

    def predict(latents: torch.Tensor, t: torch.Tensor, guided: bool) -> torch.Tensor:
        twice = torch.cat([latents, latents]) if guided else latents
        noise = unet(twice.to(dtype), t.reshape(1).to(device), *(both if guided else alone)).float()
        if not guided:
            return noise
        positive, negative = noise.chunk(2)
        return negative + settings.guidance_scale * (positive - negative)

    return predict


@torch.inference_mode()
def decode(decoder: SDXLVAEDecoder, latents: torch.Tensor) -> Image.Image | None:
    """One picture from latents [4, h, w], to 8 bits as DiffSynth does; None where a value is not finite.

    What float16 cannot hold is decoded in float32, in about twice the memory.
    """
    from PIL import Image

    if not bool(latents.isfinite().all()):
        return None
    dtype = decoder.conv_in.weight.dtype
    pixels = decoder(latents[None].to(dtype))[0]
    if dtype == torch.float16 and not bool(pixels.isfinite().all()):
        pixels = decoder.float()(latents[None].float())[0]
        decoder.to(dtype)  # the next picture is to have the bytes that it has by itself
    pixels = pixels.permute(1, 2, 0).float()
    if not bool(pixels.isfinite().all()):
        return None
    return Image.fromarray(((pixels / 2 + 0.5).clip(0, 1) * 255).byte().cpu().numpy())
