"""The training step: SDXL's objective on the cached latents, driven by Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule

from kolors_submit.engine.schedule import add_noise
from kolors_submit.story import Train
from kolors_submit.train.batches import draw_batch
from kolors_submit.train.cache import Example
from kolors_submit.train.checkpoint import Checkpoint
from kolors_submit.train.plan import Plan, learning_rate_factor

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet

SGD_MOMENTUM = 0.9


class LoraTraining(LightningModule):
    """Trains the LoRA that is injected in `unet`; a batch is only its number, everything else follows from the seed."""

    def __init__(
        self,
        unet: SDXLUNet,
        examples: Sequence[Example],
        settings: Train,
        plan: Plan,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.examples = examples
        self.settings = settings
        self.plan = plan
        self.shapes = tuple(example.shape for example in examples)
        self.start = checkpoint.step if checkpoint else 0
        self.losses: list[float] = checkpoint.losses.tolist() if checkpoint else []
        self._restored = checkpoint
        self._pending: list[torch.Tensor] = []
        if checkpoint:
            for name, parameter in self.lora_parameters().items():
                parameter.data.copy_(checkpoint.lora[name])

    def lora_parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, under its names in the UNet."""
        return {name: parameter for name, parameter in self.unet.named_parameters() if parameter.requires_grad}

    def training_step(self, batch: int, batch_idx: int) -> torch.Tensor:
        """Mean squared error between the noise put in and the noise the UNet sees, one timestep a sample.

        The objective is DDPM's simple loss (Ho et al. 2020, equation 14) with SDXL's micro-conditioning.
        """
        draws = draw_batch(self.settings, self.shapes, batch)
        chosen = [self.examples[draw.picture] for draw in draws]
        latents = torch.stack([example.latents[draw.flipped] for example, draw in zip(chosen, draws, strict=True)])
        noise = torch.stack([draw.noise for draw in draws])
        timesteps = torch.tensor([draw.timestep for draw in draws])
        noisy = add_noise(latents, noise, timesteps)
        time_ids = torch.stack([example.time_ids[draw.flipped] for example, draw in zip(chosen, draws, strict=True)])
        prediction = self.unet(
            self._to_device(noisy),
            timestep=timesteps.to(self.device),
            encoder_hidden_states=self._to_device(torch.stack([example.conditioning.embedding for example in chosen])),
            add_text_embeds=self._to_device(torch.stack([example.conditioning.pooled for example in chosen])),
            add_time_id=time_ids.to(self.device),
            use_gradient_checkpointing=self.plan.checkpointing,
        )
        loss = torch.nn.functional.mse_loss(prediction.float(), noise.to(self.device))
        self._pending.append(loss.detach())
        return loss

    def collect_losses(self) -> list[float]:
        """The loss of every step so far, the mean of its batches; waits for the device."""
        if self._pending:
            batches = torch.stack(self._pending).view(-1, self.settings.accumulation)
            self.losses += batches.mean(dim=1).tolist()
            self._pending.clear()
        return self.losses

    def configure_optimizers(self) -> Any:
        """The story's optimizer over the LoRA's parameters, with the schedule going on where the checkpoint was."""
        parameters = list(self.lora_parameters().values())
        optimizer = make_optimizer(self.settings, parameters)
        if self._restored:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": self._restored.optimizer})
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda steps: learning_rate_factor(self.settings, self.start + steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Put back the gradient scaling of float16."""
        if self._restored and self._restored.scaler:
            self.trainer.precision_plugin.load_state_dict(self._restored.scaler)

    def checkpoint(self) -> Checkpoint:
        """The state after the last optimizer step."""
        losses = self.collect_losses()
        return Checkpoint(
            step=len(losses),
            lora={name: parameter.detach().cpu() for name, parameter in self.lora_parameters().items()},
            optimizer=self.trainer.optimizers[0].state_dict()["state"],
            scaler=self.trainer.precision_plugin.state_dict() or None,
            losses=torch.tensor(losses),
        )

    def _to_device(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.device, self.plan.dtype)


def make_optimizer(settings: Train, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the story names."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=SGD_MOMENTUM)
    return torch.optim.Adafactor(parameters, lr=rate, weight_decay=decay)
