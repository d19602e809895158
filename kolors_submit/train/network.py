"""Which of the programs trains a story's LoRA: `plain` or `merged`."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from kolors_submit.engine.planning import merges
from kolors_submit.story import Train
from kolors_submit.train.batches import Shape
from kolors_submit.train.merged import Merged
from kolors_submit.train.plain import Apart, Plain

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet

    from kolors_submit.engine.plan import TrainPlan

Network = Plain | Merged


def make_network(unet: SDXLUNet, plan: TrainPlan, settings: Train, device: str, shapes: Collection[Shape]) -> Network:
    """The program for a UNet with a LoRA injected: on a GPU the fast one, where it knows LoRA and optimizer."""
    if device == "cpu":
        return Apart(unet, plan)
    return Merged(unet, plan, device, shapes) if merges(settings) else Plain(unet, plan)
