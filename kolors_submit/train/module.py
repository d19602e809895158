"""The training step: SDXL's objective on the cached latents, driven by Lightning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule

from kolors_submit.engine.lora import injected_parameters
from kolors_submit.engine.schedule import add_noise
from kolors_submit.errors import OutsideError
from kolors_submit.story import Train
from kolors_submit.train.batches import Batch, draw_batch
from kolors_submit.train.cache import Example
from kolors_submit.train.checkpoint import Checkpoint, Snapshot
from kolors_submit.train.network import Network
from kolors_submit.train.plan import learning_rate_factor

SGD_MOMENTUM = 0.9


class LoraTraining(LightningModule):
    """Trains the LoRA of a network; a batch is only its number, everything else follows from the seed."""

    def __init__(
        self,
        network: Network,
        examples: Sequence[Example],
        settings: Train,
        checkpoint: Checkpoint | None = None,
        *,
        fused: bool = False,
        lean: bool = False,
    ) -> None:
        """`fused`: whether the optimizer's step is one kernel; `lean`: whether the device's memory is short."""
        super().__init__()
        self.unet = network.unet
        self.network = network
        self.trained = torch.nn.ParameterList(network.trained())
        self.examples = examples
        self.settings = settings
        self.fused, self.lean = fused, lean
        self.shapes = tuple(example.shape for example in examples)
        self.start = checkpoint.step if checkpoint else 0
        self.losses: list[float] = checkpoint.losses.tolist() if checkpoint else []
        self._restored = checkpoint
        self._pending: list[torch.Tensor] = []
        if checkpoint:
            for name, parameter in self.lora_parameters().items():
                parameter.data.copy_(checkpoint.lora[name])

    def cpu(self) -> Self:
        """Stay on the device: Lightning moves a module to main memory after training, which takes Kolors 4 s."""
        return self

    def lora_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The LoRA under its names in the UNet."""
        return injected_parameters(self.unet)

    def training_step(self, batch: int, batch_idx: int) -> torch.Tensor:
        """Mean squared error between the noise put in and the noise the UNet sees, one timestep a sample.

        The objective is DDPM's simple loss (Ho et al. 2020, equation 14) with SDXL's micro-conditioning.
        """
        loss = self.network.loss(self._batch(batch))
        self._pending.append(loss.detach().clone())
        return loss

    def _batch(self, number: int) -> Batch:
        """All of a batch that this process sees to, on the device."""
        draws = draw_batch(self.settings, self.shapes, number)[self.global_rank :: self.trainer.world_size]
        chosen = [self.examples[draw.picture] for draw in draws]
        latents = torch.stack([example.latents[draw.flipped] for example, draw in zip(chosen, draws, strict=True)])
        noise = torch.stack([draw.noise for draw in draws])
        timesteps = torch.tensor([draw.timestep for draw in draws])
        sizes = torch.stack([example.time_ids[draw.flipped] for example, draw in zip(chosen, draws, strict=True)])
        values = Batch(
            noisy=add_noise(latents, noise, timesteps),
            timesteps=timesteps,
            text=torch.stack([example.conditioning.embedding for example in chosen]),
            sizes=sizes,
            pooled=torch.stack([example.conditioning.pooled for example in chosen]),
            noise=noise,
        )
        if self.device.type == "cpu":
            return values
        # From pinned memory, so that nobody waits for the device to be done with the step before.
        return Batch(*(value.pin_memory().to(self.device, non_blocking=True) for value in values))

    def collect_losses(self) -> list[float]:
        """The loss of every step so far, the mean of its batches; waits for the device."""
        if self._pending:
            batches = self._of_all(torch.stack(self._pending)).view(-1, self.settings.accumulation)
            self.losses += batches.mean(dim=1).tolist()
            self._pending.clear()
        return self.losses

    def _of_all(self, losses: torch.Tensor) -> torch.Tensor:
        """The mean of all processes' losses."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(losses)
            losses /= self.trainer.world_size
        return losses

    def configure_optimizers(self) -> Any:
        """The story's optimizer over the LoRA's parameters, with the schedule going on where the checkpoint was."""
        optimizer = make_optimizer(self.settings, self.network.trained(), self.fused)
        if self._restored:
            state = self.network.loaded_state(self._restored.optimizer)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda steps: learning_rate_factor(self.settings, self.start + steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Put back the gradient scaling of float16.

        Raises OutsideError where another process has read another checkpoint, whose file this one could not read.
        """
        starts = self.all_gather(torch.tensor(self.start, device=self.device))
        if isinstance(starts, torch.Tensor) and len(starts.unique()) > 1:
            raise OutsideError("the training processes found different checkpoints; run again to go on")
        if self._restored and self._restored.scaler:
            self.trainer.precision_plugin.load_state_dict(self._restored.scaler)

    def checkpoint(self) -> Callable[[], Checkpoint]:
        """What makes a checkpoint, once, of the state after the last optimizer step, whatever is trained meanwhile.

        The state is copied at once; the call brings it to main memory, and may be another thread's.
        """
        losses = torch.tensor(self.collect_losses())
        state = self.trainer.optimizers[0].state_dict()["state"]
        taken = [Snapshot.take(self.network.trained(), state, lean=self.lean)]
        scaler = self.trainer.precision_plugin.state_dict() or None

        def made() -> Checkpoint:
            lora, state = self.network.by_layers(taken.pop().fetched())  # the device is not to keep it any longer
            return Checkpoint(len(losses), lora, state, scaler, losses)

        return made


def make_optimizer(settings: Train, parameters: list[torch.nn.Parameter], fused: bool) -> torch.optim.Optimizer:
    """The optimizer that the story names."""
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adafactor":
        return torch.optim.Adafactor(parameters, **common)
    if fused:
        common["fused"] = True
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **common)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, **common)
    return torch.optim.SGD(parameters, momentum=SGD_MOMENTUM, **common)
