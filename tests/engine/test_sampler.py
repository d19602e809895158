"""Samplers: the stock pipelines' pictures, one seed one picture, alone as among others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import schedule
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.lora import merge
from kolors_submit.engine.memory import arithmetic, compute_for
from kolors_submit.engine.sampler import Task, check_size, decode, initial_noise, sample
from kolors_submit.errors import InputError
from kolors_submit.story import Render
from kolors_submit.weights import Base, open_base
from tests.engine.parts import random_lora, relative_error
from tests.tiny import UNET

PROMPT, NEGATIVE = "一个红发女孩在湖边画画", "低质量"
COMPUTE = compute_for("cpu")


@pytest.fixture(autouse=True)
def recorded_arithmetic() -> Iterator[None]:
    with arithmetic():
        yield


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    return open_base(tiny_base)


@pytest.fixture(scope="module")
def task(base: Base) -> Task:
    positive, negative = encode(base, [PROMPT, NEGATIVE], "cpu", torch.float32)
    return Task(positive, negative, seed=3)


@pytest.fixture(scope="module")
def unet(base: Base) -> torch.nn.Module:
    return bases.load_unet(base, "cpu", torch.float32)


def settings(**changes: object) -> Render:
    return Render(**({"width": 64, "height": 64, "steps": 5} | changes))


def test_the_picture_is_diffsynths(base: Base, task: Task) -> None:
    """The stock SDXLImagePipeline with our modules in it, noise from the same seed, the same LoRA: within 1/255."""
    from diffsynth.pipelines import SDXLImagePipeline
    from diffsynth.schedulers import EnhancedDDIMScheduler

    unet = bases.load_unet(base, "cpu", torch.float32)
    merge(unet, random_lora(UNET, scale=0.1), 0.7)
    decoder = bases.load_vae_decoder(base, "cpu", torch.float32)
    pipeline = SDXLImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipeline.unet, pipeline.vae_decoder = unet, decoder
    pipeline.text_encoder_kolors = bases.load_text_encoder(base, "cpu", torch.float32)
    pipeline.prompter = bases.load_prompter(base)
    pipeline.prompter.fetch_models(pipeline.text_encoder_kolors)
    pipeline.scheduler = EnhancedDDIMScheduler(beta_end=0.014, num_train_timesteps=1100)
    theirs = pipeline(
        PROMPT, negative_prompt=NEGATIVE, cfg_scale=4.0, num_inference_steps=10, height=128, width=64, seed=3
    )
    ours = decode(decoder, sample(unet, [task], settings(width=64, height=128, steps=10), COMPUTE)[0])
    assert ours is not None
    difference = np.abs(np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int))
    assert difference.max() <= 1
    assert np.asarray(ours).std() > 10


def test_the_picture_is_diffusers(base: Base, task: Task, unet: torch.nn.Module, tiny_base: Path) -> None:
    """KolorsPipeline from the same folder, its Euler scheduler at our timesteps, from the same latents: to 1e-3."""
    from diffusers import EulerDiscreteScheduler, KolorsPipeline

    render = settings(steps=10)
    pipeline = KolorsPipeline.from_pretrained(tiny_base)
    pipeline.set_progress_bar_config(disable=True)
    steps = schedule.timesteps(10)
    scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(timesteps=steps.int().tolist())
    noise, _ = initial_noise(task.seed, render, "cpu")
    # Euler's latents are ours divided by the signal that is left at the first step.
    signal = schedule.alphas_cumprod()[int(steps[0])].sqrt()
    pipeline.scheduler = scheduler
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        guidance_scale=4.0,
        height=64,
        width=64,
        timesteps=steps.int().tolist(),
        latents=noise[None] / (signal * scheduler.init_noise_sigma),
        output_type="latent",
    ).images
    ours = sample(unet, [task], render, COMPUTE)
    assert relative_error(ours, result) < 1e-3


def test_the_unet_is_diffusers(task: Task, unet: torch.nn.Module, tiny_base: Path) -> None:
    from diffusers import UNet2DConditionModel

    theirs = UNet2DConditionModel.from_pretrained(tiny_base / "unet").eval()
    latents, t = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([700.0])
    text, pooled, sizes = (
        task.positive.embedding[None],
        task.positive.pooled[None],
        torch.tensor([[64.0, 64, 0, 0, 64, 64]]),
    )
    with torch.inference_mode():
        ours = unet(latents, t, text, sizes, pooled)
        reference = theirs(latents, t, text, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}).sample
    assert relative_error(ours, reference) < 1e-4


@pytest.mark.parametrize("sampler", schedule.SAMPLERS)
def test_a_panel_is_the_same_alone_and_among_others(task: Task, unet: torch.nn.Module, sampler: str) -> None:
    from dataclasses import replace

    render, wide = settings(sampler=sampler), replace(COMPUTE, batch=6)
    alone = sample(unet, [task], render, COMPUTE)
    assert alone.shape == (1, 4, 8, 8)
    assert bool(alone.isfinite().all())
    assert torch.equal(alone, sample(unet, [task], render, COMPUTE))
    padded = sample(unet, [task], render, wide)
    among = sample(unet, [task, *(replace(task, seed=seed) for seed in (8, 9))], render, wide)
    assert torch.equal(padded, among[:1])
    assert relative_error(padded, alone) < 1e-3
    assert relative_error(among[1:2], among[2:3]) > 0.1


@pytest.mark.parametrize("sampler", schedule.SAMPLERS)
def test_samplers_agree_on_an_easy_model(task: Task, sampler: str) -> None:
    """On a model that knows the answer each sampler removes the noise: what differs is only the way there."""
    answer = torch.linspace(-1, 1, 4).view(1, 4, 1, 1)
    signals = schedule.alphas_cumprod()

    def knowing(latents: torch.Tensor, t: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        signal = torch.from_numpy(np.interp(t.numpy(), np.arange(1100), signals.numpy()))
        return ((latents - signal.sqrt() * answer) / (1 - signal).sqrt()).float()

    latents = sample(knowing, [task], settings(sampler=sampler, steps=40), COMPUTE)
    assert relative_error(latents, answer.expand_as(latents)) < 0.25


@pytest.mark.parametrize("sampler", schedule.SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps(task: Task, unet: torch.nn.Module, sampler: str, steps: int) -> None:
    assert bool(sample(unet, [task], settings(sampler=sampler, steps=steps), COMPUTE).isfinite().all())


def test_without_guidance_the_negative_has_no_say(task: Task, unet: torch.nn.Module) -> None:
    render = settings(guidance_scale=1.0, steps=3)
    swapped = Task(task.positive, task.positive, task.seed)
    assert torch.equal(sample(unet, [task], render, COMPUTE), sample(unet, [swapped], render, COMPUTE))
    assert not torch.equal(sample(unet, [task], settings(), COMPUTE), sample(unet, [swapped], settings(), COMPUTE))


def test_noise_is_the_seeds_own() -> None:
    noise, generator = initial_noise(5, settings(), "cpu")
    wanted = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    assert torch.equal(noise, wanted[0])
    assert generator.initial_seed() == 5
    with pytest.raises(InputError, match="needs a CUDA device"):
        initial_noise(5, settings(noise="cuda-float16"), "cpu")


def test_sides_that_the_unet_cannot_halve() -> None:
    check_size(settings(width=96, height=64))
    with pytest.raises(InputError, match=r"render\.height is 72"):
        check_size(settings().model_copy(update={"height": 72}))


def test_a_picture_that_is_not_finite(base: Base) -> None:
    decoder = bases.load_vae_decoder(base, "cpu", torch.float32)
    assert decode(decoder, torch.full((4, 8, 8), float("nan"))) is None
