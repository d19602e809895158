"""A way to train or to render on a machine, and which of several to begin with; `engine.planning` makes them.

`fitting` drops those that need more memory than is free, on the device or beside it, and a stage that runs out of
memory all the same goes on with the next. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from kolors_submit.device import Machine
from kolors_submit.engine.memory import WORKSPACE, Compute

FULL_UNET, FULL_AREA = 2_579_000_000, 128 * 128
"""Parameters of Kolors' UNet, positions of a latent of 1024x1024 pixels."""

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
    main_memory: int = 0
    """Main memory that the base takes on its way, in bytes."""

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
    main_memory: int = 0
    """Main memory that the base takes on its way or while it waits, in bytes."""

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


def fitting(plans: Sequence[Plan], machine: Machine) -> tuple[Plan, ...]:
    """The plans that the free memory carries; where none does, those that the device carries, or the leanest."""
    on_device = tuple(plan for plan in plans if plan.memory + WORKSPACE <= machine.device_memory)
    carried = tuple(plan for plan in on_device if plan.main_memory <= machine.main_memory)
    return carried or on_device or (plans[-1],)


def beginning_with(
    made_by: Mapping[str, Any] | None, plans: Sequence[RenderPlan], carried: tuple[RenderPlan, ...]
) -> tuple[RenderPlan, ...]:
    """The carried plans, from the one on whose arithmetic earlier pictures were made by, so that they still hold.

    Where the memory no longer carries that plan, it still comes first: with nothing left to render nothing is needed.
    """
    # Plans that differ in where the UNet waits have one arithmetic: the first of these may not be carried.
    first = next((plan for plan in (*carried, *plans) if plan.compute.record() == made_by), None)
    if first is None:
        return carried
    return carried[carried.index(first) :] if first in carried else (first, *carried)


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
