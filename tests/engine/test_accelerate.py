"""The UNet in fewer and larger pieces, and in 8 bits, against DiffSynth's own, on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine.accelerate import Accelerated
from kolors_submit.engine.draw import _at_work
from kolors_submit.engine.eightbit import EightBitLinear
from kolors_submit.engine.fused import fuse
from kolors_submit.engine.half_decoder import SHRUNK, to_half
from kolors_submit.engine.memory import Compute
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.engine.sampler import decode
from kolors_submit.weights import Base, open_base
from tests.engine.parts import relative_error

EIGHT_BIT = Compute("cpu", "float32", 2, 1, eight_bit="int8")
PLAN = RenderPlan(Compute("cpu", "float32", 2, 1), False, False, False, 0)


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    return open_base(tiny_base)


def inputs(seed: int, count: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((count, 4, 8, 8), (count, 256, 16), (count, 16))
    latents, text, pooled = (torch.randn(shape, generator=generator) for shape in shapes)
    return latents, torch.tensor([500.0]), text, torch.tensor([64.0, 64, 0, 0, 64, 64]).repeat(count, 1), pooled


@torch.no_grad()
def test_the_noise_is_diffsynths_whatever_text_came_before(base: Base) -> None:
    plain = bases.load_unet(base, "cpu", torch.float32)
    fast = Accelerated(bases.load_unet(base, "cpu", torch.float32), PLAN)
    for seed, count in ((0, 2), (1, 2), (2, 4), (0, 2)):
        given = inputs(seed, count)
        assert relative_error(fast(*given), plain(*given)) < 1e-5


def test_a_unet_that_waits_is_brought_back_for_the_next_pictures_only(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = Accelerated(bases.load_unet(base, "cpu", torch.float32), PLAN)
    moves: list[str] = []
    monkeypatch.setattr(unet, "move", moves.append)
    for plan in (PLAN, replace(PLAN, offload=True)):
        for _ in range(2):
            with _at_work(unet, plan):
                moves.append("sampling")
            moves.append("decoding")
    once = ["cuda", "sampling", "cpu", "decoding"]
    assert moves == ["sampling", "decoding"] * 2 + once * 2


@torch.no_grad()
def test_keys_and_values_stay_where_a_graph_reads_them(base: Base) -> None:
    """A text of fewer images comes between two of the same shape where `quality: fast` ends guidance."""
    cross = next(iter(Accelerated(bases.load_unet(base, "cpu", torch.float32), PLAN).crosses))
    two, alone, again = (torch.randn(count, 256, cross.to_k.in_features) for count in (2, 1, 2))
    cross.remember(two, in_place=True)
    captured = cross.key, cross.value
    for text in (alone, again):
        cross.remember(text, in_place=True)
    for place, projection in zip(captured, (cross.to_k, cross.to_v), strict=True):
        assert torch.equal(place.transpose(1, 2).flatten(2), projection(again))


@torch.no_grad()
def test_a_network_that_was_moved_out_and_back_still_knows_the_text(base: Base) -> None:
    fast, given = Accelerated(bases.load_unet(base, "cpu", torch.float32), PLAN), inputs(3)
    before = fast(*given)
    fast.move("cpu")
    assert torch.equal(fast(*given), before)


@torch.no_grad()
def test_the_decoder_is_diffsynths(base: Base) -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, rebuilt = (bases.load_vae_decoder(base, "cpu", torch.float32) for _ in range(2))
    fuse(rebuilt, "cpu", kernels=False)
    assert relative_error(rebuilt(latents), plain(latents)) < 1e-5


@torch.no_grad()
def test_the_decoder_in_half_precision_adds_up_a_64th(base: Base) -> None:
    """In float32, where nothing overflows, so that only what was shrunk can differ."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = bases.load_vae_decoder(base, "cpu", torch.float32)
    half = to_half(bases.load_vae_decoder(base, "cpu", torch.float32))
    assert half.conv_in.weight.dtype == torch.float16
    given: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    half.float()
    for network in (plain, half):
        for module in network.modules():
            if isinstance(module, torch.nn.GroupNorm):
                module.register_forward_pre_hook(
                    lambda _, inputs, of_half=network is half: given[of_half].append(inputs[0])
                )
    pictures = plain(latents), half(latents)
    assert relative_error(pictures[1], pictures[0]) < 2e-3  # the weights were rounded
    assert len(given[True]) > 10
    for ours, theirs in zip(given[True], given[False], strict=True):
        assert relative_error(ours / SHRUNK, theirs) < 2e-3


@torch.no_grad()
def test_what_half_precision_cannot_hold_is_decoded_in_float32(base: Base) -> None:
    """And the next picture has the bytes that it has by itself."""

    class Overflows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv_in = torch.nn.Conv2d(4, 3, 1, bias=False)
            self.conv_in.weight.fill_(40_000.0)

        def forward(self, sample: torch.Tensor) -> torch.Tensor:
            return (sample * self.conv_in.weight[0, 0, 0, 0])[:, :3] / 80_000

    decoder = Overflows().half()
    assert np.asarray(decode(decoder, torch.full((4, 8, 8), -2.0))).max() == 0
    assert decoder.conv_in.weight.dtype == torch.float16
    assert np.asarray(decode(decoder, torch.full((4, 8, 8), 0.5))).min() == 159
    assert decode(decoder, torch.full((4, 8, 8), float("nan"))) is None


@torch.no_grad()
def test_eight_bits_are_near_and_half_the_size(base: Base) -> None:
    plain, given = bases.load_unet(base, "cpu", torch.float32), inputs(4)
    held = Accelerated(bases.load_unet(base, "cpu", torch.float32), replace(PLAN, compute=EIGHT_BIT))
    assert relative_error(held(*given), plain(*given)) < 0.02
    layers = [module for module in held.unet.blocks.modules() if isinstance(module, EightBitLinear)]
    assert layers
    assert {layer.weight.dtype for layer in layers} == {torch.int8}
    assert not any(isinstance(module, torch.nn.Linear) for module in held.unet.blocks.modules())
