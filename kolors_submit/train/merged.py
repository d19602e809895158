"""The UNet with the LoRA merged into its weights at every step, which a GPU replays as one CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import mse_loss

from kolors_submit.engine.gpu_kernels import fast_attention
from kolors_submit.engine.lora import injected_parameters
from kolors_submit.engine.lora_unet import LoraUNet
from kolors_submit.train.batches import Batch, Shape
from kolors_submit.train.checkpoint import Snapshot, State

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet

    from kolors_submit.engine.plan import TrainPlan

COMPILED_SHAPES = 3
"""Shapes of pictures for which compiling, some ten seconds each, is worth it; buckets of more are only captured."""
WARM_UP = 3
"""Steps before a graph is captured, in which libraries choose their kernels."""


class Merged:
    """The LoRA merged into the weights at every step, the step one CUDA graph."""

    def __init__(self, unet: SDXLUNet, plan: TrainPlan, device: str, shapes: Collection[Shape]) -> None:
        """`unet` has a LoRA injected, and may come in main memory; `shapes` are those of the pictures' latents."""
        self.unet = unet
        self.predict = LoraUNet(
            unet,
            device,
            compile_blocks=plan.compile_blocks,
            checkpointing=plan.checkpointing != "none",
            eight_bit=plan.eight_bit is not None,
        )
        self.graphed, self.shapes = plan.cuda_graph, shapes
        self._graphs: dict[Shape, Callable[..., Any]] = {}
        self._written: list[torch.Tensor] = []
        """Memory that the graphs write to and do not keep themselves."""
        self._places = _places(unet, self.predict)

    def trained(self) -> list[torch.nn.Parameter]:
        """What the optimizer changes."""
        return [self.predict.vector]

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean squared error of the noise."""
        with torch.autocast(batch.noisy.device.type, enabled=False), fast_attention():
            if not self.graphed:
                return self._loss(self.predict.vector, *batch)
            if not self._graphs:
                self._capture(batch)
            height, width = batch.noisy.shape[2:]
            loss: torch.Tensor = self._graphs[height, width](_OwnGradient.apply(self.predict.vector), *batch)
            return loss

    def _capture(self, batch: Batch) -> None:
        """A graph for each shape, which take turns in the memory of the largest; a warm-up needs its own beside it.

        The room for gradients put aside is made in the first warm-up, by the largest shape, and all graphs write to it.
        Where another needs more after all, that of the earlier ones is kept.
        """
        memory = torch.cuda.graph_pool_handle()
        for shape in sorted(self.shapes, key=math.prod, reverse=True):
            empty = batch.noisy.new_zeros(*batch.noisy.shape[:2], *shape)
            inputs = batch._replace(noisy=empty, noise=empty.clone())
            # A captured backward pass gives the gradients of the arguments, of which one is the LoRA.
            self._graphs[shape] = torch.cuda.make_graphed_callables(  # type: ignore[assignment]
                self._loss, (self.predict.vector, *inputs), num_warmup_iters=WARM_UP, pool=memory
            )
            self._written += self.predict.room.values()

    def _loss(self, vector: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        batch = Batch(*values)
        predicted = self.predict(batch.noisy, batch.timesteps, batch.text, batch.sizes, batch.pooled, vector)
        return mse_loss(predicted.float(), batch.noise)

    def by_layers(self, taken: Snapshot) -> tuple[dict[str, torch.Tensor], State]:
        """The LoRA by its names in the UNet, and the optimizer's state by the numbers of its layers."""
        (whole,) = taken.parameters

        def part(value: Any, place: slice, shape: torch.Size) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            # Not one tensor for all, or peft's optimizer would count one step for each layer.
            return value[place].view(shape) if value.shape == whole.shape else value.clone()

        lora = [whole[place].view(shape) for place, shape in self._places]
        state = {
            number: {name: part(value, place, shape) for name, value in taken.state.get(0, {}).items()}
            for number, (place, shape) in enumerate(self._places)
        }
        return dict(zip(injected_parameters(self.unet), lora, strict=True)), state if taken.state else {}

    def loaded_state(self, state: State) -> State:
        """The other way round."""
        if not state:
            return {}
        joined = {}
        for name, value in state[0].items():
            if not isinstance(value, torch.Tensor) or value.shape != self._places[0][1]:
                joined[name] = value
                continue
            joined[name] = torch.empty(self.predict.vector.shape)
            for number, (place, _) in enumerate(self._places):
                joined[name][place] = state[number][name].flatten()
        return {0: joined}


class _OwnGradient(torch.autograd.Function):
    """The same tensor, whose gradient is a copy: a graph writes every step's gradient to the same place."""

    @staticmethod
    def forward(ctx: Any, vector: torch.Tensor) -> torch.Tensor:
        """The tensor itself."""
        return vector.view_as(vector)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """A copy."""
        return gradient.clone()


def _places(unet: SDXLUNet, merged: LoraUNet) -> list[tuple[slice, torch.Size]]:
    """Where the injected parameters are in the vector, in their order in the UNet, and their shapes."""
    start = merged.vector.data_ptr()
    size = merged.vector.element_size()
    places = []
    for parameter in injected_parameters(unet).values():
        first = (parameter.data_ptr() - start) // size
        places.append((slice(first, first + parameter.numel()), parameter.shape))
    return places
