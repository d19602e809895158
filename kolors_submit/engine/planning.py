"""How a machine computes a story: pure functions of what it has, from the fastest plan to the leanest.

Nothing here imports torch or looks at the machine: `device.read_machine` does.
"""

from __future__ import annotations

from typing import Any, Literal

from kolors_submit.device import Machine
from kolors_submit.engine.memory import WORKSPACE, Compute, compute_for
from kolors_submit.engine.plan import FULL_AREA, FULL_UNET, Checkpointing, EightBit, RenderPlan, Sizes, TrainPlan
from kolors_submit.errors import InputError
from kolors_submit.story import Render, Train

BFLOAT16 = (8, 0)
"""The first compute capability with bfloat16 products (Ampere)."""

MAX_BATCH = 16
"""Images in one forward of the UNet at most, guidance halves included: more is no faster on an H200."""
COMPILE_PAYS = 400
"""Full-size forwards (of one picture of 1024x1024) from which compiling the blocks takes less time than it saves."""
COMPILE_PAYS_TRAINING = 100
"""The same in full-size training samples, forward and backward."""

# Bytes at the full size, 1024x1024, measured on one H200: rendering by bench/gpu.py, training by bench/gpu_train.py.
RENDER_IMAGE = 0.45e9
"""Activations of one image in a forward."""
RENDER_8_BIT = 1.3
"""Bytes of a parameter where the linear layers are in 8 bits and the convolutions as they are."""
DECODE_PICTURE = 2.5e9
"""The VAE's decoder on one picture, in float16."""
TRAIN_SAMPLE = {"none": 6.1e9, "selective": 0.7e9}
"""Activations of one training sample, by checkpointing."""
TRAIN_LORA = {"none": 2.5e9, "selective": 1.5e9}
"""The LoRA with its optimizer, and the weights it is merged into: all of them, or one stack's at a time."""
TRAIN_8_BIT = 1.4
"""Bytes of a parameter where the frozen base is in 8 bits: the convolutions stay as they are."""
COMPILED_8_BIT = 1.2e9
"""What a compiled step on 8 bits needs more: with 6 GB it ran out of memory where the same step uncompiled took 5.7."""
STREAMED_TEXT = 1.6e9
"""The text encoder one layer at a time, whose widest part is the embedding table."""

Room = Literal["graph", "shared", "offload"]
"""What the UNet leaves to the decoder: memory beside its CUDA graph, whose own nobody else can use; what its
activations took; or all, waiting in host memory."""

MERGED_TARGETS = {"to_q", "to_k", "to_v", "to_out"}
"""The layers whose LoRA `engine.lora_unet` trains: the attentions' four projections."""


def train_plans(machine: Machine, settings: Train, sizes: Sizes) -> tuple[TrainPlan, ...]:
    """Plans for training, alike on each device, fastest first; the story's precision and checkpointing are kept.

    Raises InputError for float16 on a CPU, where gradients cannot be scaled.
    """
    dtype = _train_dtype(machine, settings)
    wish = settings.gradient_checkpointing
    if machine.device == "cpu":
        checkpointing: Checkpointing = "selective" if wish is True else "none"
        return (TrainPlan(dtype, checkpointing, None, False, False, False, False, memory=0),)
    merged = merges(settings)
    work = settings.steps * settings.accumulation * settings.batch_size * sizes.share
    compiled = merged and machine.compiler and work >= COMPILE_PAYS_TRAINING
    levels: dict[Any, tuple[Checkpointing, ...]] = {True: ("selective",), False: ("none",)}
    kinds: list[tuple[Checkpointing, EightBit | None, bool, bool]] = []
    for checkpointing in levels.get(wish, ("none", "selective")):
        kinds.append((checkpointing, None, compiled, merged))
    leanest = kinds[-1][0]
    kinds += [(leanest, "int8", True, True)] if compiled else []
    # A graph keeps its memory for itself: without one, what is free between two steps' parts serves the next part.
    kinds += [(leanest, "int8", False, True), (leanest, "int8", False, False)] if merged else []
    return tuple(_train_plan(machine, settings, sizes, dtype, *kind) for kind in kinds)


def merges(settings: Train) -> bool:
    """Whether `engine.lora_unet` can train it on a GPU, the LoRA merged into the weights at every step.

    Any other LoRA is peft's work, layer by layer. Adafactor looks at each matrix by itself.
    """
    return set(settings.targets) == MERGED_TARGETS and settings.optimizer != "adafactor"


def count_ranks(settings: Train, machine: Machine) -> int:
    """How many devices can share out every batch equally; each has a process that trains."""
    if machine.device == "cpu":
        return 1
    return next(count for count in range(machine.devices, 0, -1) if settings.batch_size % count == 0)


def _train_plan(
    machine: Machine,
    settings: Train,
    sizes: Sizes,
    dtype: str,
    checkpointing: Checkpointing,
    held: EightBit | None,
    compiled: bool,
    graph: bool,
) -> TrainPlan:
    width = 4 if dtype == "float32" else 2
    weights = sizes.unet * (TRAIN_8_BIT if held else width)
    ranks = count_ranks(settings, machine)
    samples = settings.batch_size // ranks
    activations = TRAIN_SAMPLE[checkpointing] * samples * sizes.share
    lora = TRAIN_LORA[checkpointing] + (COMPILED_8_BIT if held and compiled else 0)
    memory = weights + (activations + lora * sizes.unet / FULL_UNET) * width / 2
    return TrainPlan(
        dtype=dtype,
        checkpointing=checkpointing,
        eight_bit=held,
        compile_blocks=compiled,
        cuda_graph=graph,
        fused_optimizer=True,
        stream_text_encoder=_streams(machine, sizes),
        memory=int(memory),
        main_memory=width * sizes.unet * ranks if held else 0,
    )


def _train_dtype(machine: Machine, settings: Train) -> str:
    if settings.precision != "auto":
        if settings.precision == "float16" and machine.device == "cpu":
            raise InputError("train.precision is float16, which needs a GPU; use auto, float32 or bfloat16")
        return settings.precision
    if machine.device == "cpu":
        return "float32"
    return "bfloat16" if machine.capability >= BFLOAT16 else "float16"


def render_plans(
    machine: Machine, settings: Render, panels: int, sizes: Sizes, larger: bool = False
) -> tuple[RenderPlan, ...]:
    """Plans for rendering so many panels, fastest first.

    Several devices share a story's panels out in equal batches; a batch's shape, not its device, decides its bytes.
    With `larger`, batches that one device would take come before those.
    """
    if machine.device == "cpu":
        return (RenderPlan(compute_for("cpu"), False, False, False, memory=0),)
    devices = min(machine.devices, max(1, panels))
    share = panels if larger else -(-panels // devices)
    largest = min(MAX_BATCH, 2 * _power_of_two(share))
    batches = [largest >> shift for shift in range(largest.bit_length() - 1)]
    # `fast` counts like `exact`: its few forwards pay from the second call on, when what was compiled is on disk.
    compiled = machine.compiler and panels * settings.steps * 2 * sizes.share >= COMPILE_PAYS
    kinds: list[tuple[int, EightBit | None, Room]] = [(batch, None, "graph") for batch in batches]
    kinds += [(2, None, "offload"), (2, "int8", "shared"), (2, "int8", "offload")]
    return tuple(_render_plan(machine, devices, sizes, compiled, *kind) for kind in kinds)


def _render_plan(
    machine: Machine, devices: int, sizes: Sizes, compiled: bool, batch: int, held: EightBit | None, room: Room
) -> RenderPlan:
    weights = sizes.unet * (RENDER_8_BIT if held else 2)
    images = batch * RENDER_IMAGE * sizes.share
    decoding = DECODE_PICTURE * sizes.latent_area / FULL_AREA
    needs = {
        "graph": weights + images + decoding,
        "shared": weights + max(images, decoding),
        "offload": max(weights + images, decoding),
    }
    compute = Compute("cuda", "float16", batch, None, "cudnn", compiled, eight_bit=held, decoder="float16")
    offload, beside = room == "offload", 2 * sizes.unet * devices if held or room == "offload" else 0
    return RenderPlan(compute, room == "graph", offload, _streams(machine, sizes), int(needs[room]), beside)


def _streams(machine: Machine, sizes: Sizes) -> bool:
    """Whether the text encoder, in half precision, goes through the device one layer at a time."""
    return 2 * sizes.text_encoder + STREAMED_TEXT + WORKSPACE > machine.device_memory


def _power_of_two(count: int) -> int:
    """The smallest power of two that is not below `count`."""
    return 1 << max(0, count - 1).bit_length()
