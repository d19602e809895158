"""The gradients of A and B of many layers at once, from the layers' inputs and their outputs' gradients."""

from __future__ import annotations

import torch

ROWS = 2048
"""Inputs summed in one product for a LoRA's gradient; more are shared out, or most of the card would wait."""


def lora_gradients(
    inputs: torch.Tensor, gradients: torch.Tensor, down: torch.Tensor, up: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of A and B from those of a batch of products' outputs, but for the LoRA's factor s.

    inputs [blocks, rows, in], gradients [blocks, rows, layers * out], down [blocks, layers * rank, in],
    up [blocks, layers, out, rank]: dB = dYᵀ·(X·Aᵀ), dA = (dY·B)ᵀ·X.
    """
    blocks, layers, out, rank = up.shape
    by_up = _summed(gradients, inputs @ down.mT).view(blocks, layers, out, layers, rank)
    own = by_up.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # the rest is one layer's gradient in another's rank
    by_down = _summed(gradients @ block_diagonal(up), inputs)
    return by_down.to(down.dtype), own.to(up.dtype)


def _summed(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """leftᵀ · right for [blocks, rows, …], the rows shared out and summed in float32."""
    rows = left.shape[1]
    parts = rows // ROWS if rows % ROWS == 0 else 1
    if parts <= 1:
        return left.mT @ right
    shared = left.unflatten(1, (parts, ROWS)).mT @ right.unflatten(1, (parts, ROWS))
    return shared.sum(1, dtype=torch.float32)


def block_diagonal(up: torch.Tensor) -> torch.Tensor:
    """B of layers with one input, [blocks, layers, out, rank], as one matrix [blocks, layers * out, layers * rank]."""
    blocks, layers, out, rank = up.shape
    if layers == 1:
        return up[:, 0]
    spread = up.new_zeros(blocks, layers, out, layers, rank)
    spread.diagonal(dim1=1, dim2=3).copy_(up.permute(0, 2, 3, 1))
    return spread.view(blocks, layers * out, layers * rank)
