"""Every way to render on a GPU against the plain float32 one, on the picture-book base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffsynth.models.sdxl_unet import SDXLUNet

from kolors_submit.engine import base as bases
from kolors_submit.engine.accelerate import accelerate_decoder
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.draw import Models, draw, load_models
from kolors_submit.engine.gpu_kernels import fast_attention
from kolors_submit.engine.lora import Lora, from_injected, inject
from kolors_submit.engine.memory import Compute
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.engine.sampler import Task, decode
from kolors_submit.story import Render
from kolors_submit.weights import PICTUREBOOK, Base, open_base
from tests.engine.parts import TARGETS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

SETTINGS = Render(width=256, height=256, steps=50)
PROMPTS = [
    "一位红色长发、身穿蓝色连衣裙的女孩在湖边画画，中午，全身像",
    "一位银色短发、身穿紫色长袍的老奶奶站在教室里，早晨，半身像",
    "a girl with black hair in a green dress walks in the forest, night, with a cat",
    "a boy with golden hair in a red coat on the road, sunset, with a dog",
]
PLAIN = RenderPlan(Compute("cuda", "float16", 8, None, attention="cudnn"), False, False, False, 0)
HALF = replace(PLAIN.compute, decoder="float16", compile=True)
EXACT = {
    "eager": PLAIN,
    "compiled": replace(PLAIN, compute=replace(PLAIN.compute, compile=True)),
    "graph": replace(PLAIN, compute=replace(PLAIN.compute, batch=2), cuda_graph=True),
    "compiled graph": replace(PLAIN, compute=replace(PLAIN.compute, batch=4, compile=True), cuda_graph=True),
    "as the verb": replace(PLAIN, compute=replace(HALF, batch=16), cuda_graph=True),
    "offloaded": replace(PLAIN, compute=replace(PLAIN.compute, batch=2), offload=True),
    "8 bits": replace(PLAIN, compute=replace(PLAIN.compute, batch=2, eight_bit="int8"), offload=True),
    "8 bits compiled": replace(PLAIN, compute=replace(PLAIN.compute, batch=2, compile=True, eight_bit="int8")),
}
TEXT = (256, 64), (64,)
"""Shapes of a prompt's embedding and of its pooled one."""
MEAN = {None: 0.2, "int8": 2.0}
"""Of 255: how far a plan may lie from plain float32, on average over the pixels, by how it holds the weights."""


@pytest.fixture(scope="module")
def base() -> Base:
    return open_base(PICTUREBOOK)


@pytest.fixture(scope="module")
def tasks(base: Base) -> list[Task]:
    negative, *positives = encode(base, ["模糊", *PROMPTS], "cuda", torch.float32)
    return [Task(positive, negative, seed) for seed, positive in enumerate(positives)]


def pictures(
    load: Callable[[], Models], tasks: list[Task], plan: RenderPlan, devices: int = 1, settings: Render = SETTINGS
) -> list[np.ndarray]:
    made: dict[int, np.ndarray] = {}

    def deliver(index: int, picture: object, seconds: float) -> None:
        assert picture is not None
        made[index] = np.asarray(picture)

    draw(load, tasks, settings, plan, deliver, devices=devices)
    return [made[index] for index in range(len(tasks))]


def by_plan(base: Base, tasks: list[Task], plan: RenderPlan, **more: object) -> list[np.ndarray]:
    return pictures(lambda: load_models(base, None, SETTINGS, plan), tasks, plan, **more)


@pytest.fixture(scope="module")
def plain(base: Base, tasks: list[Task]) -> list[np.ndarray]:
    """DiffSynth's own networks in float32, without TF32, one panel at a time."""
    unet, decoder = (load(base, "cuda", torch.float32) for load in (bases.load_unet, bases.load_vae_decoder))
    plan = replace(PLAIN, compute=Compute("cuda", "float32", 2, None))
    with without_tf32():
        return pictures(lambda: Models(unet, decoder), tasks, plan)


@contextmanager
def without_tf32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def distance(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest mean pixel difference of a picture, of 255."""
    return max(float(np.abs(a.astype(int) - b.astype(int)).mean()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", EXACT)
def test_exact_plans_draw_the_plain_pictures(base: Base, tasks: list[Task], plain: list[np.ndarray], name: str) -> None:
    found = distance(by_plan(base, tasks, EXACT[name]), plain)
    print(f"{name}: {found:.3f} of 255")
    assert found <= MEAN[EXACT[name].compute.eight_bit]


@pytest.mark.parametrize("name", ["as the verb", "8 bits"])
def test_a_merged_lora_draws_what_peft_computes_in_float32(base: Base, tasks: list[Task], name: str) -> None:
    injected, lora = with_lora(base)
    decoder = bases.load_vae_decoder(base, "cuda", torch.float32)
    plan = replace(PLAIN, compute=Compute("cuda", "float32", 2, None))
    with without_tf32():
        meant = pictures(lambda: Models(injected, decoder), tasks, plan)
    merged = pictures(lambda: load_models(base, lora, SETTINGS, EXACT[name]), tasks, EXACT[name])
    found, changed = distance(merged, meant), distance(by_plan(base, tasks, EXACT[name]), meant)
    print(f"{name}: {found:.3f} of 255, {changed:.1f} without the LoRA")
    assert found <= MEAN[EXACT[name].compute.eight_bit] < changed / 2


def with_lora(base: Base) -> tuple[SDXLUNet, Lora]:
    """A UNet in float32 with a LoRA of noticeable values as peft's own layers, and the LoRA by itself."""
    unet = bases.load_unet(base, "cuda", torch.float32)
    inject(unet, rank=8, alpha=8, targets=TARGETS, seed=1)
    noise = torch.Generator("cuda").manual_seed(2)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=noise)
    return unet, from_injected(unet)


@torch.inference_mode()
def test_the_decoder_in_half_precision_draws_the_plain_picture(base: Base) -> None:
    latents = torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(0)).cuda()
    plain = np.asarray(decode(bases.load_vae_decoder(base, "cuda", torch.float32), latents))
    half = accelerate_decoder(bases.load_vae_decoder(base, "cuda", torch.float32), replace(PLAIN, compute=HALF))
    assert half.conv_in.weight.dtype == torch.float16
    assert distance([np.asarray(decode(half, latents))], [plain]) <= 0.5


@torch.inference_mode()
def test_what_half_precision_cannot_hold_is_decoded_in_float32(base: Base) -> None:
    latents = 1e5 * torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(0)).cuda()
    plain = np.asarray(decode(bases.load_vae_decoder(base, "cuda", torch.float32), latents))
    half = accelerate_decoder(bases.load_vae_decoder(base, "cuda", torch.float32), replace(PLAIN, compute=HALF))
    assert distance([np.asarray(decode(half, latents))], [plain]) <= 0.5
    assert half.conv_in.weight.dtype == torch.float16
    assert decode(half, latents * torch.inf) is None


@torch.inference_mode()
def test_graphs_of_a_network_share_their_memory(base: Base) -> None:
    """As `fast` has them, with guidance and without."""
    plan = replace(PLAIN, compute=replace(PLAIN.compute, batch=16), cuda_graph=True)
    unet, reserved = load_models(base, None, SETTINGS, plan).unet, []
    with fast_attention():
        for images in (16, 8):
            torch.cuda.empty_cache()
            reserved.append(torch.cuda.memory_reserved())
            text, pooled = (torch.randn(images, *shape, device="cuda").half() for shape in TEXT)
            noise = torch.randn(images, 4, 64, 64, device="cuda").half()
            unet(noise, torch.tensor([500.0]).cuda(), text, torch.full((images, 6), 512.0).cuda(), pooled)
    torch.cuda.empty_cache()
    reserved.append(torch.cuda.memory_reserved())
    first, second = reserved[1] - reserved[0], reserved[2] - reserved[1]
    print(f"{first / 1e6:.0f} MB, then {second / 1e6:.0f} more")
    assert second < 0.25 * first


@pytest.mark.parametrize("name", ["compiled", "compiled graph", "as the verb"])
def test_a_panel_has_the_same_bytes_alone_and_again(base: Base, tasks: list[Task], name: str) -> None:
    together = by_plan(base, tasks, EXACT[name])
    alone = by_plan(base, tasks[2:3], EXACT[name])
    assert np.array_equal(alone[0], together[2])


def test_fast_in_several_batches_reads_each_ones_own_text(base: Base, tasks: list[Task]) -> None:
    """Guidance ends on the way, so that a graph of fewer images comes between two batches of the larger one."""
    settings = Render(width=256, height=256, quality="fast")
    plan = replace(PLAIN, compute=replace(PLAIN.compute, batch=2))
    eager, graphed = (
        by_plan(base, tasks, replace(plan, cuda_graph=graph), settings=settings) for graph in (False, True)
    )
    assert distance(graphed, eager) <= 0.1


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
@pytest.mark.parametrize("name", ["graph", "compiled graph"])
def test_a_panel_has_the_same_bytes_on_any_device(base: Base, tasks: list[Task], name: str) -> None:
    one, two = (by_plan(base, tasks, EXACT[name], devices=devices) for devices in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
