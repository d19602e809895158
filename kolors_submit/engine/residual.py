# mypy: disable-error-code="no-untyped-def"
"""The end of a residual block on channels-last pictures: both branches and their biases added in one pass."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from kolors_submit.device import has_compiler

BLOCK = 2048
"""Values of one program."""


def add_branches(skipped: torch.Tensor, inside: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`skipped + inside + bias` for pictures [n, C, H, W] and a frozen bias [C].

    The pictures should lie channels last. Without a CUDA device or a C compiler torch's own layers do it.
    """
    if inside.is_cuda and has_compiler():
        return _Added.apply(skipped, inside, bias)
    return plain_add_branches(skipped, inside, bias)


def plain_add_branches(skipped: torch.Tensor, inside: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`add_branches` in torch's own kernels."""
    return skipped + (inside + bias[:, None, None])


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, skipped: torch.Tensor, inside: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        one, two = (part.contiguous(memory_format=torch.channels_last) for part in (skipped, inside))
        result = torch.empty_like(two)
        count = two.numel()
        _add[(triton.cdiv(count, BLOCK),)](one, two, bias, result, count, CHANNELS=two.shape[1], BLOCK=BLOCK)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient, gradient, None


@triton.jit
def _add(skipped, inside, bias, result, count, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum in float32, rounded once."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = at < count
    total = tl.load(skipped + at, here, 0.0).to(tl.float32) + tl.load(inside + at, here, 0.0).to(tl.float32)
    total += tl.load(bias + at % CHANNELS, here, 0.0).to(tl.float32)
    tl.store(result + at, total.to(result.dtype.element_ty), here)
