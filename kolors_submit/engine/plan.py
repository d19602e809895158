"""How a machine computes a story: pure functions of what it has, tried from the fastest plan to the leanest.

Each function returns all plans for a machine, in that order; `fitting` drops those that need more memory than is free,
and a stage that runs out of memory all the same goes on with the next. Nothing here imports torch or looks at the
machine: `device.read_machine` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from kolors_submit.device import Machine
from kolors_submit.engine.memory import WORKSPACE, Compute, compute_for
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

GRAPH_PAYS = 4 * 0.45e9
"""Activations of a forward up to which launching its kernels takes longer than running them."""

# Bytes at the full size, 1024x1024, measured on one H200 (bench/results/gpu.json).
FULL_UNET = 2_579_000_000
FULL_AREA = 128 * 128
RENDER_IMAGE = 0.45e9
"""Activations of one image in a forward."""
RENDER_8_BIT = 1.3
"""Bytes of a parameter where the linear layers are in 8 bits and the convolutions as they are."""
DECODE_PICTURE = 4.6e9
"""The VAE's decoder on one picture, in float32."""
TRAIN_SAMPLE = {"none": 4.6e9, "selective": 0.7e9}
"""Activations of one training sample, by checkpointing."""
TRAIN_LORA = {"none": 2.9e9, "selective": 1.5e9}
"""The LoRA with its optimizer, and the weights it is merged into: all of them, or one stack's at a time."""
TRAIN_8_BIT = 1.4
"""Bytes of a parameter where the frozen base is in 8 bits: the convolutions stay as they are."""
STREAMED_TEXT = 1.6e9
"""The text encoder one layer at a time, whose widest part is the embedding table."""

Checkpointing = Literal["none", "selective"]
EightBit = Literal["int8"]


@dataclass(frozen=True)
class Sizes:
    """What memory and time follow from: parameters of the two large networks, positions of the largest latent."""

    unet: int
    text_encoder: int
    latent_area: int

    @property
    def share(self) -> float:
        """Arithmetic and activations of one image, as a share of full-size Kolors at 1024x1024."""
        return self.unet / FULL_UNET * self.latent_area / FULL_AREA


@dataclass(frozen=True)
class TrainPlan:
    """How a LoRA is trained on one device. The LoRA's own weights are float32 whatever the plan."""

    dtype: str
    """Of the frozen base and of the products; float16 needs loss scaling."""
    checkpointing: Checkpointing
    """What the backward pass computes again: nothing, or the insides of the transformer blocks."""
    eight_bit: EightBit | None
    """Whether the frozen base is held in 8 bits."""
    compile_blocks: bool
    cuda_graph: bool
    fused_optimizer: bool
    stream_text_encoder: bool
    memory: int
    """Device memory that is expected, in bytes."""

    def __str__(self) -> str:
        """The plan in a line."""
        checkpointing = f"{self.checkpointing} checkpointing" if self.checkpointing != "none" else None
        return _line(self.dtype, _held(self.eight_bit), checkpointing, *_switches(self), _expected(self.memory))

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RenderPlan:
    """How panels are rendered on one device; only `compute` changes their bytes."""

    compute: Compute
    cuda_graph: bool
    offload: bool
    """Whether the UNet waits in host memory while the VAE decodes."""
    stream_text_encoder: bool
    memory: int
    """Device memory that is expected, in bytes."""

    def __str__(self) -> str:
        """The plan in a line."""
        compute = self.compute
        images = "1 image a forward" if compute.batch == 1 else f"{compute.batch} images a forward"
        offload = "UNet moved out for the VAE" if self.offload else None
        held = _held(compute.eight_bit)
        return _line(compute.dtype, held, images, *_switches(self), offload, _expected(self.memory))

    @property
    def compile_blocks(self) -> bool:
        """Whether the repeated blocks are compiled."""
        return self.compute.compile


Plan = TypeVar("Plan", TrainPlan, RenderPlan)


def train_plans(machine: Machine, settings: Train, sizes: Sizes) -> tuple[TrainPlan, ...]:
    """Plans for training, fastest first; the story's own precision and checkpointing are kept to.

    Raises InputError for float16 on a CPU, where gradients cannot be scaled.
    """
    dtype = _train_dtype(machine, settings)
    wish = settings.gradient_checkpointing
    if machine.device == "cpu":
        checkpointing: Checkpointing = "selective" if wish is True else "none"
        return (TrainPlan(dtype, checkpointing, None, False, False, False, False, memory=0),)
    work = settings.steps * settings.accumulation * settings.batch_size * sizes.share
    compiled = machine.compiler and work >= COMPILE_PAYS_TRAINING
    levels: dict[Any, tuple[Checkpointing, ...]] = {True: ("selective",), False: ("none",)}
    kinds: list[tuple[Checkpointing, bool, EightBit | None]] = []
    for checkpointing in levels.get(wish, ("none", "selective")):
        kinds.append((checkpointing, compiled, None))
    leanest = kinds[-1][0]
    kinds += [(leanest, True, "int8")] if compiled else []
    kinds.append((leanest, False, "int8"))
    return tuple(_train_plan(machine, settings, sizes, dtype, *kind) for kind in kinds)


def _train_plan(
    machine: Machine,
    settings: Train,
    sizes: Sizes,
    dtype: str,
    checkpointing: Checkpointing,
    compiled: bool,
    held: EightBit | None,
) -> TrainPlan:
    width = 4 if dtype == "float32" else 2
    weights = sizes.unet * (TRAIN_8_BIT if held else width)
    activations = TRAIN_SAMPLE[checkpointing] * settings.batch_size * sizes.share
    memory = int(weights + (activations + TRAIN_LORA[checkpointing] * sizes.unet / FULL_UNET) * width / 2)
    return TrainPlan(
        dtype=dtype,
        checkpointing=checkpointing,
        eight_bit=held,
        compile_blocks=compiled,
        cuda_graph=True,
        fused_optimizer=True,
        stream_text_encoder=_streams(machine, sizes),
        memory=memory,
    )


def _train_dtype(machine: Machine, settings: Train) -> str:
    if settings.precision != "auto":
        if settings.precision == "float16" and machine.device == "cpu":
            raise InputError("train.precision is float16, which needs a GPU; use auto, float32 or bfloat16")
        return settings.precision
    if machine.device == "cpu":
        return "float32"
    return "bfloat16" if machine.capability >= BFLOAT16 else "float16"


def render_plans(machine: Machine, settings: Render, panels: int, sizes: Sizes) -> tuple[RenderPlan, ...]:
    """Plans for rendering so many panels, fastest first.

    Several devices share a story's panels out in equal batches; a batch's shape, not its device, decides its bytes.
    """
    if machine.device == "cpu":
        return (RenderPlan(compute_for("cpu"), False, False, False, memory=0),)
    share = -(-panels // machine.devices)
    largest = min(MAX_BATCH, 2 * _power_of_two(share))
    batches = [largest >> shift for shift in range(largest.bit_length() - 1)]
    compiled = machine.compiler and panels * settings.steps * 2 * sizes.share >= COMPILE_PAYS
    plans = [_render_plan(machine, sizes, batch, compiled, None, offload=False) for batch in batches]
    plans.append(_render_plan(machine, sizes, 2, compiled, None, offload=True))
    plans.append(_render_plan(machine, sizes, 2, compiled, "int8", offload=True))
    return tuple(plans)


def _render_plan(
    machine: Machine, sizes: Sizes, batch: int, compiled: bool, held: EightBit | None, *, offload: bool
) -> RenderPlan:
    weights = sizes.unet * (RENDER_8_BIT if held else 2)
    images = batch * RENDER_IMAGE * sizes.share
    decoding = DECODE_PICTURE * sizes.latent_area / FULL_AREA
    memory = max(weights + images, decoding) if offload else weights + max(images, decoding)
    compute = Compute("cuda", "float16", batch, None, attention="cudnn", compile=compiled, eight_bit=held)
    # A graph's addresses are fixed, so a network that is moved out cannot be in one; and of many images the GPU has
    # more to do than the processor has to launch.
    graph = not offload and images <= GRAPH_PAYS
    return RenderPlan(compute, graph, offload, _streams(machine, sizes), int(memory))


def fitting(plans: Sequence[Plan], machine: Machine) -> tuple[Plan, ...]:
    """The plans that the free memory carries; where none does, the leanest by itself."""
    carried = tuple(plan for plan in plans if plan.memory + WORKSPACE <= machine.device_memory)
    return carried or (plans[-1],)


def beginning_with(
    made_by: Mapping[str, Any] | None, plans: Sequence[RenderPlan], carried: tuple[RenderPlan, ...]
) -> tuple[RenderPlan, ...]:
    """The carried plans, from the one on whose arithmetic earlier pictures were made by, so that they still hold.

    Where the memory no longer carries that plan, it still comes first: with nothing left to render nothing is needed.
    """
    first = next((plan for plan in plans if plan.compute.record() == made_by), None)
    if first is None:
        return carried
    return carried[carried.index(first) :] if first in carried else (first, *carried)


def _streams(machine: Machine, sizes: Sizes) -> bool:
    """Whether the text encoder, in half precision, goes through the device one layer at a time."""
    return 2 * sizes.text_encoder + STREAMED_TEXT + WORKSPACE > machine.device_memory


def _power_of_two(count: int) -> int:
    """The smallest power of two that is not below `count`."""
    return 1 << max(0, count - 1).bit_length()


def _held(kind: EightBit | None) -> str | None:
    return f"{kind} weights" if kind else None


def _switches(plan: TrainPlan | RenderPlan) -> Iterable[str | None]:
    yield "compiled blocks" if plan.compile_blocks else None
    yield "CUDA graph" if plan.cuda_graph else None
    yield "text encoder layer by layer" if plan.stream_text_encoder else None


def _expected(memory: int) -> str | None:
    return f"about {memory / 1e9:.1f} GB" if memory else None


def _line(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
