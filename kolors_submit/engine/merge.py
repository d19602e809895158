# mypy: disable-error-code="no-untyped-def"
"""W + s·B·A for all layers of a group at once, in one pass over the weights."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from kolors_submit.device import has_compiler

TILE = 64
"""Rows and columns of a weight that one program writes."""


def merge(
    values: torch.Tensor, row_scale: torch.Tensor | None, down: torch.Tensor, up: torch.Tensor, scale: float
) -> torch.Tensor:
    """Weights [blocks, layers * out, in] with their LoRA, in the dtype of `down`.

    `values` may be int8 with `row_scale` [blocks, layers * out, 1]; down [blocks, layers * rank, in], up
    [blocks, layers, out, rank].
    """
    if down.is_cuda and has_compiler():
        return merge_by_kernel(values, row_scale, down, up, scale)
    full = values if row_scale is None else values.to(row_scale.dtype) * row_scale
    return full + (up @ down.unflatten(1, (up.shape[1], -1))).flatten(1, 2) * scale


def merge_by_kernel(
    values: torch.Tensor, row_scale: torch.Tensor | None, down: torch.Tensor, up: torch.Tensor, scale: float
) -> torch.Tensor:
    """`merge` by one kernel, whose sums are in float32."""
    blocks, layers, out, rank = up.shape
    merged = torch.empty_like(values, dtype=down.dtype)
    width = values.shape[2]
    grid = (triton.cdiv(width, TILE), triton.cdiv(out, TILE), blocks * layers)
    _merge[grid](
        values, row_scale, down.contiguous(), up.contiguous(), merged, scale, out, width,
        rank=rank, SCALED=row_scale is not None, RANK=max(16, min(64, triton.next_power_of_2(rank))), TILE=TILE,
    )  # fmt: skip
    return merged


@triton.jit
def _merge(
    values, row_scale, down, up, merged, scale, out, width,
    rank: tl.constexpr, SCALED: tl.constexpr, RANK: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One tile of one layer."""
    column = tl.program_id(0) * TILE + tl.arange(0, TILE)
    row = tl.program_id(1) * TILE + tl.arange(0, TILE)
    layer = tl.program_id(2).to(tl.int64)
    inside = (row < out)[:, None] & (column < width)[None, :]
    update = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, rank, RANK):
        number = start + tl.arange(0, RANK)
        b = tl.load(
            up + (layer * out + row)[:, None] * rank + number[None, :],
            (row < out)[:, None] & (number < rank)[None, :],
            0.0,
        )
        a = tl.load(
            down + (layer * rank + number)[:, None] * width + column[None, :],
            (number < rank)[:, None] & (column < width)[None, :],
            0.0,
        )
        update += tl.dot(b, a, input_precision="ieee")  # of float32: by itself it would be TF32
    at = (layer * out + row)[:, None] * width + column[None, :]
    weight = tl.load(values + at, inside, 0.0).to(tl.float32)
    if SCALED:
        weight *= tl.load(row_scale + layer * out + row, row < out, 0.0).to(tl.float32)[:, None]
    tl.store(merged + at, (weight + scale * update).to(merged.dtype.element_ty), inside)
