"""Pieces that several engine tests make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from kolors_submit.engine.lora import Lora, LoraModule, layer_shapes

TARGETS = ("to_q", "to_k", "to_v", "to_out")


def random_lora(
    config: Mapping[str, Any], rank: int = 4, alpha: float = 2.0, scale: float = 0.3, seed: int = 0
) -> Lora:
    """A LoRA with noticeable values on every attention layer of a UNet config."""
    generator = torch.Generator().manual_seed(seed)
    modules = {}
    for name, shape in layer_shapes(config).items():
        if name.rsplit(".", 1)[-1] in TARGETS:
            down = torch.randn(rank, shape[1], generator=generator) * scale
            up = torch.randn(shape[0], rank, generator=generator) * scale
            modules[name] = LoraModule(down, up, alpha)
    return Lora(modules)


def same(one: Lora, other: Lora, tolerance: float = 0.0) -> bool:
    """Whether two LoRAs change a UNet alike."""
    if one.modules.keys() != other.modules.keys():
        return False
    pairs = ((module.update(), other.modules[name].update()) for name, module in one.modules.items())
    return all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference over the norm."""
    return float((ours - theirs).norm() / theirs.norm())
