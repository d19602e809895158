"""The UNet on a CPU's cores: the network's own bytes at any step, by its own weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import draw
from kolors_submit.engine.conditioning import add_time_id
from kolors_submit.engine.cpu_unet import on_cores, recorded
from kolors_submit.engine.lora import merge
from kolors_submit.engine.memory import THREADS, arithmetic, compute_for, core_pool
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.story import MAX_TOKENS, Render
from kolors_submit.weights import Base, open_base
from tests.engine.parts import random_lora
from tests.tiny import UNET

SETTINGS = Render(width=96, height=64)
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def base(tiny_base: Path) -> Base:
    return open_base(tiny_base)


@pytest.fixture
def unet(base: Base) -> torch.nn.Module:
    unet = bases.load_unet(base, "cpu", torch.float32)
    merge(unet, random_lora(UNET), 0.7)
    return unet


@pytest.fixture
def text_width(base: Base) -> int:
    width: int = bases.config(base, "text_encoder")["hidden_size"]
    return width


def inputs(text_width: int, images: int, timestep: float) -> Inputs:
    """A step's inputs, other ones at every timestep."""
    generator = torch.Generator().manual_seed(int(timestep))

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(images, *shape, generator=generator)

    sizes = add_time_id(64, 96, 0, 0, 64, 96).repeat(images, 1)
    return noise(4, 8, 12), torch.tensor([timestep]), noise(MAX_TOKENS, text_width), sizes, noise(text_width)


@pytest.mark.parametrize("timestep", [1.0, 437.0, 981.0])
def test_a_replayed_forward_has_the_networks_bytes(unet: torch.nn.Module, text_width: int, timestep: float) -> None:
    replay = recorded(unet, text_width, SETTINGS)
    given = inputs(text_width, 1, timestep)
    with arithmetic(), torch.inference_mode():
        assert torch.equal(replay(*given), unet(*given))


def test_each_image_has_the_bytes_that_it_has_by_itself(unet: torch.nn.Module, text_width: int) -> None:
    latents, t, text, sizes, pooled = inputs(text_width, 6, 500.0)
    with arithmetic(), core_pool() as forwards, torch.inference_mode():
        together = on_cores(recorded(unet, text_width, SETTINGS), forwards)(latents, t, text, sizes, pooled)
        alone = [unet(latents[i : i + 1], t, text[i : i + 1], sizes[i : i + 1], pooled[i : i + 1]) for i in range(6)]
    assert torch.equal(together, torch.cat(alone))


def test_the_recording_holds_no_copy_of_the_weights(unet: torch.nn.Module, text_width: int) -> None:
    replay = recorded(unet, text_width, SETTINGS)
    given = inputs(text_width, 1, 500.0)
    with torch.inference_mode():
        before = replay(*given)
        for weight in unet.parameters():
            weight.mul_(1.01)
        after = replay(*given)
        assert not torch.equal(before, after)
        assert torch.equal(after, unet(*given))


def test_recording_says_nothing(
    unet: torch.nn.Module, text_width: int, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded(unet, text_width, SETTINGS)
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_a_lora_is_merged_by_one_thread(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of conv_in's shape has other last bits by three threads."""
    threads: list[int] = []
    monkeypatch.setattr(draw, "merge", lambda *_: threads.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        plan = RenderPlan(compute_for("cpu"), False, False, False, memory=0)
        draw.load_models(base, random_lora(UNET), SETTINGS, plan)
    finally:
        torch.set_num_threads(before)
    assert threads == [THREADS]
