"""The UNet with its LoRA, as one of three programs trains it: peft's own layers, on a CPU with a core for each pair of
samples, or on a GPU `engine.lora_unet`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.functional import mse_loss

from kolors_submit.engine.gpu_kernels import fast_attention
from kolors_submit.engine.lora import injected_parameters
from kolors_submit.engine.lora_unet import LoraUNet
from kolors_submit.engine.memory import core_pool
from kolors_submit.engine.planning import merges
from kolors_submit.story import Train
from kolors_submit.train.batches import Shape

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet

    from kolors_submit.engine.plan import TrainPlan

COMPILED_SHAPES = 3
"""Shapes of pictures for which compiling, some ten seconds each, is worth it; buckets of more are only captured."""
WARM_UP = 3
"""Steps before a graph is captured, in which libraries choose their kernels."""

PAIR = 2
"""Samples that a CPU's core takes at once: on two cores a step of four is done soonest so."""

State = dict[Any, Any]
"""An optimizer's state: number of the parameter -> name of the value -> value."""


class Batch(NamedTuple):
    """What the UNet is given for n pictures of one shape, and the noise that it should see."""

    noisy: torch.Tensor
    """[n, 4, h, w]."""
    timesteps: torch.Tensor
    """[n]."""
    text: torch.Tensor
    """[n, 256, C]."""
    sizes: torch.Tensor
    """[n, 6], float32."""
    pooled: torch.Tensor
    """[n, C]."""
    noise: torch.Tensor
    """[n, 4, h, w], float32."""


class Plain:
    """DiffSynth's UNet and peft's layers, for any LoRA on any device."""

    def __init__(self, unet: SDXLUNet, plan: TrainPlan) -> None:
        """`unet` has a LoRA injected."""
        self.unet = self.predict = unet
        self._lora = list(injected_parameters(unet).values())  # looked for once, not at every step
        self.dtype: torch.dtype = getattr(torch, plan.dtype)
        self.checkpointing = plan.checkpointing != "none"
        # DiffSynth recomputes blocks in training mode only, which nothing else in this UNet knows.
        unet.train(self.checkpointing)

    def trained(self) -> list[torch.nn.Parameter]:
        """What the optimizer changes."""
        return self._lora

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean squared error of the noise."""
        prediction = self.unet(
            batch.noisy.to(self.dtype),
            timestep=batch.timesteps,
            encoder_hidden_states=batch.text.to(self.dtype),
            add_text_embeds=batch.pooled.to(self.dtype),
            add_time_id=batch.sizes,
            use_gradient_checkpointing=self.checkpointing,
        )
        return mse_loss(prediction.float(), batch.noise)

    def saved_lora(self) -> dict[str, torch.Tensor]:
        """A copy of the LoRA in main memory, by its names in the UNet."""
        return _copied(injected_parameters(self.unet))

    def saved_state(self, state: State) -> State:
        """A copy of an optimizer's state in main memory, by the LoRA's layers."""
        return {number: _copied(values) for number, values in state.items()}

    def loaded_state(self, state: State) -> State:
        """The other way round."""
        return state


class Apart(Plain):
    """On a CPU, whose cores share out the samples, a pair each: their number changes no byte."""

    def __init__(self, unet: SDXLUNet, plan: TrainPlan) -> None:
        """`unet` has a LoRA injected."""
        super().__init__(unet, plan)
        self._cores = core_pool()  # new threads at every step would find no memory of their own

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean squared error of the noise."""
        loss: torch.Tensor = _Apart.apply(self._cores, super().loss, batch, *self.trained())
        return loss


class Merged:
    """The LoRA merged into the weights at every step, the step one CUDA graph."""

    def __init__(self, unet: SDXLUNet, plan: TrainPlan, device: str, shapes: Collection[Shape]) -> None:
        """`unet` has a LoRA injected, and may come in main memory; `shapes` are those of the pictures' latents."""
        self.unet = unet
        self.predict = LoraUNet(
            unet,
            device,
            compile_blocks=plan.compile_blocks and len(shapes) <= COMPILED_SHAPES,
            checkpointing=plan.checkpointing != "none",
            eight_bit=plan.eight_bit is not None,
        )
        self.graphed, self.shapes = plan.cuda_graph, shapes
        self._graphs: dict[Shape, Callable[..., Any]] = {}
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
        """A graph for each shape, which take turns in the memory of the largest; a warm-up needs its own beside it."""
        memory = torch.cuda.graph_pool_handle()
        for shape in sorted(self.shapes, key=math.prod, reverse=True):
            empty = batch.noisy.new_zeros(*batch.noisy.shape[:2], *shape)
            inputs = batch._replace(noisy=empty, noise=empty.clone())
            # A captured backward pass gives the gradients of the arguments, of which one is the LoRA.
            self._graphs[shape] = torch.cuda.make_graphed_callables(  # type: ignore[assignment]
                self._loss, (self.predict.vector, *inputs), num_warmup_iters=WARM_UP, pool=memory
            )

    def _loss(self, vector: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        batch = Batch(*values)
        predicted = self.predict(batch.noisy, batch.timesteps, batch.text, batch.sizes, batch.pooled, vector)
        return mse_loss(predicted.float(), batch.noise)

    def saved_lora(self) -> dict[str, torch.Tensor]:
        """A copy of the LoRA in main memory, by its names in the UNet."""
        whole = _copied({"": self.predict.vector})[""]
        parts = [whole[place].view(shape) for place, shape in self._places]
        return dict(zip(injected_parameters(self.unet), parts, strict=True))

    def saved_state(self, state: State) -> State:
        """A copy of an optimizer's state in main memory, by the LoRA's layers."""
        if not state:
            return {}
        whole = self.predict.vector.shape

        def part(value: Any, place: slice, shape: torch.Size) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            # Not one tensor for all, or peft's optimizer would count one step for each layer.
            return value[place].view(shape) if value.shape == whole else value.clone()

        copied = _copied(state[0])
        return {
            number: {name: part(value, place, shape) for name, value in copied.items()}
            for number, (place, shape) in enumerate(self._places)
        }

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


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """With tensors as they are now, in main memory: pinned, since training waits for what comes from a GPU."""

    def copy(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return torch.empty_like(value, device="cpu", pin_memory=value.is_cuda).copy_(value.detach())

    return {name: copy(value) for name, value in values.items()}


class _Apart(torch.autograd.Function):
    """A batch's loss, for which each pair of samples goes forward and backward on whichever core is free."""

    @staticmethod
    def forward(
        ctx: Any, cores: Executor, loss_of: Callable[[Batch], torch.Tensor], batch: Batch, *lora: torch.Tensor
    ) -> torch.Tensor:
        """The mean of `loss_of` over the batch's samples; the gradient of `lora` is known with it."""
        count = len(batch.noisy)
        mixed, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")  # each thread has its own

        def share(first: int) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            part = Batch(*(value[first : first + PAIR] for value in batch))
            with torch.autocast("cpu", dtype, enabled=mixed):
                loss = loss_of(part) * (len(part.noisy) / count)
            return loss.detach(), torch.autograd.grad(loss, lora)

        losses, gradients = zip(*cores.map(share, range(0, count, PAIR)), strict=True)
        ctx.gradient = [torch.stack(parts).sum(0) for parts in zip(*gradients, strict=True)]
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """That of the LoRA."""
        return None, None, None, *(gradient * part for part in ctx.gradient)


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


def make_network(
    unet: SDXLUNet, plan: TrainPlan, settings: Train, device: str, shapes: Collection[Shape]
) -> Plain | Merged:
    """The program for a UNet with a LoRA injected: on a GPU the fast one, where it knows LoRA and optimizer."""
    if device == "cpu":
        return Apart(unet, plan)
    return Merged(unet, plan, device, shapes) if merges(settings) else Plain(unet, plan)


def _places(unet: SDXLUNet, merged: LoraUNet) -> list[tuple[slice, torch.Size]]:
    """Where the injected parameters are in the vector, in their order in the UNet, and their shapes."""
    start = merged.vector.data_ptr()
    size = merged.vector.element_size()
    places = []
    for parameter in injected_parameters(unet).values():
        first = (parameter.data_ptr() - start) // size
        places.append((slice(first, first + parameter.numel()), parameter.shape))
    return places
