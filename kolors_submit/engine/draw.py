"""Pictures of tasks by one plan: networks loaded once for each device, batches shared out, pictures handed on as they
come. Neither the number of devices nor the order changes a picture's bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine.cpu_decoder import SharedConvolutions
from kolors_submit.engine.cpu_unet import on_cores, recorded
from kolors_submit.engine.gpu_kernels import fast_attention
from kolors_submit.engine.lora import Lora, merge
from kolors_submit.engine.memory import Compute, arithmetic, compute_all, core_pool
from kolors_submit.engine.sampler import Task, UNet, decode, sample

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from PIL import Image

    from kolors_submit.engine.plan import RenderPlan
    from kolors_submit.story import Render
    from kolors_submit.weights import Base

Deliver = Callable[[int, "Image.Image | None", float], None]
"""Told a task's index, its picture (None where it is not finite) and the seconds it took."""

WRITERS = 8
"""Pictures that are compressed and written while the next are computed: as many as a GPU decodes at once, since one of
1024x1024 takes a core 0.3 s and the GPU a tenth of it.
"""


@dataclass(frozen=True)
class Models:
    """The two networks that make pictures, on one device."""

    unet: UNet
    decoder: SDXLVAEDecoder


def draw(
    load: Callable[[], Models],
    tasks: Sequence[Task],
    settings: Render,
    plan: RenderPlan,
    deliver: Deliver,
    advance: Callable[[int], object] = lambda pictures: None,
    devices: int = 1,
) -> None:
    """Make the tasks' pictures and deliver each, from a thread of its own, as soon as it is there.

    `load` is called once for each device that has something to do. `advance` is called with the number of pictures
    after each step. Raises what `load` and `deliver` raise.
    """
    if not tasks:
        return
    compute = plan.compute
    on_cpu = compute.device_kind == "cpu"
    batches = [range(start, min(start + compute.panels, len(tasks))) for start in range(0, len(tasks), compute.panels)]
    idle_cores = on_cpu and len(batches) < len(os.sched_getaffinity(0))

    def work(batch: range, go_on: Callable[[], None]) -> None:
        def step(pictures: int) -> None:
            go_on()
            advance(pictures)

        begun = time.monotonic()
        models = networks.here()
        with _at_work(models.unet, plan):
            latents = sample(models.unet, [tasks[index] for index in batch], settings, compute, step)
        share = (time.monotonic() - begun) / len(batch)
        with SharedConvolutions(forwards) if idle_cores else nullcontext():
            handed = []
            for index, latent in zip(batch, latents, strict=True):
                begun = time.monotonic()
                picture = decode(models.decoder, latent)
                handed.append(writers.submit(deliver, index, picture, share + time.monotonic() - begun))
        for one in handed:
            one.result()

    attention = nullcontext() if on_cpu else fast_attention()
    with ThreadPoolExecutor(WRITERS) as writers, core_pool() as forwards, attention:
        networks = _Networks(load, compute, forwards)
        networks.here()  # before the cores ask for them all at once
        compute_all(compute.device_kind, work, batches, min(devices, len(batches)))


class _Networks:
    """Each device's own networks, loaded when its thread first asks; the cores of a CPU share theirs."""

    def __init__(self, load: Callable[[], Models], compute: Compute, forwards: Executor) -> None:
        self.load, self.compute, self.forwards = load, compute, forwards
        self.loaded: dict[int, Models] = {}

    def here(self) -> Models:
        """The networks of the thread's device."""
        index = 0 if self.compute.device_kind == "cpu" else torch.cuda.current_device()
        if index not in self.loaded:
            models = self.load()
            apart = self.compute.batch == 1
            self.loaded[index] = Models(on_cores(models.unet, self.forwards), models.decoder) if apart else models
        return self.loaded[index]


def load_models(base: Base, lora: Lora | None, settings: Render, plan: RenderPlan) -> Models:
    """The networks as the plan wants them, on the thread's device, with the LoRA merged in.

    Raises InputError for a LoRA that does not fit the base.
    """
    compute = plan.compute
    # What is to be held in 8 bits may not fit on the device in full.
    unet = bases.load_unet(base, "cpu" if compute.eight_bit else compute.device_kind, compute.torch_dtype)
    if lora is not None:
        with arithmetic() if compute.device_kind == "cpu" else nullcontext():
            merge(unet, lora, settings.lora_strength)
    decoder = bases.load_vae_decoder(base, compute.device_kind, compute.torch_dtype)
    if compute.device_kind == "cpu":
        return Models(recorded(unet, bases.config(base, "text_encoder")["hidden_size"], settings), decoder)
    from kolors_submit.engine.accelerate import Accelerated, accelerate_decoder

    return Models(Accelerated(unet, plan), accelerate_decoder(decoder, plan))


@contextmanager
def _at_work(unet: UNet, plan: RenderPlan) -> Iterator[None]:
    """Where the plan says so, the UNet is on the device within the block only, and leaves room for the decoder."""
    if not plan.offload:
        yield
        return
    from kolors_submit.engine.accelerate import Accelerated

    assert isinstance(unet, Accelerated)
    torch.cuda.empty_cache()
    unet.move("cuda")
    yield
    unet.move("cpu")
    torch.cuda.empty_cache()
