"""The UNet with peft's own layers: any LoRA on any device, and on a CPU a core for each pair of samples."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import mse_loss

from kolors_submit.engine.lora import injected_parameters
from kolors_submit.engine.memory import core_pool
from kolors_submit.train.batches import Batch
from kolors_submit.train.checkpoint import Snapshot, State

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet

    from kolors_submit.engine.plan import TrainPlan

PAIR = 2
"""Samples that a CPU's core takes at once: on two cores a step of four is done soonest so."""


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

    def by_layers(self, taken: Snapshot) -> tuple[dict[str, torch.Tensor], State]:
        """The LoRA by its names in the UNet, and the optimizer's state by the numbers of its layers."""
        return dict(zip(injected_parameters(self.unet), taken.parameters, strict=True)), taken.state

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
