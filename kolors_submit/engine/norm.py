"""Group normalisation with SiLU on channels-last pictures, forward and backward in three kernels each.

The parameters are frozen, so the backward pass has only the input's gradient. Sums over a group are formed in a fixed
order: the same input gives the same bytes. `shift` is what is added to every pixel of a channel before (a convolution's
bias and the time embedding), so that no pass over the picture is spent on it.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from kolors_submit.device import has_compiler
from kolors_submit.engine import norm_kernels as kernels

COLUMNS = 64
"""Channels of one program."""
ROWS = 64
"""Pixels that a program reads at a time."""
SPLITS = 64
"""Programs at most that share out one picture's pixels."""


def norm_silu(
    pictures: torch.Tensor, norm: torch.nn.GroupNorm, shift: torch.Tensor | None = None, *, silu: bool = True
) -> torch.Tensor:
    """`silu(norm(pictures + shift))` for pictures [n, C, H, W]; shift is [n, C] and gets no gradient.

    The pictures should lie channels last. Without a CUDA device or a C compiler torch's own layers do it.
    """
    if pictures.is_cuda and has_compiler():
        return _NormSilu.apply(pictures, norm.weight, norm.bias, shift, norm.num_groups, norm.eps, silu)
    return plain_norm_silu(pictures, norm, shift, silu=silu)


def plain_norm_silu(
    pictures: torch.Tensor, norm: torch.nn.GroupNorm, shift: torch.Tensor | None = None, *, silu: bool = True
) -> torch.Tensor:
    """`norm_silu` in torch's own kernels."""
    normed = norm(pictures if shift is None else pictures + shift[:, :, None, None])
    return torch.nn.functional.silu(normed) if silu else normed


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pictures: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        shift: torch.Tensor | None,
        groups: int,
        eps: float,
        silu: bool,
    ) -> torch.Tensor:
        x = pictures.contiguous(memory_format=torch.channels_last)
        work = _Work(x, groups, silu)
        sums = work.sums()
        work.run(kernels.forward_sums, x, sums[0], sums[1])
        # For each picture and channel: y = silu(slope x + offset), with the group's mean and 1 / deviation.
        slope, offset, mean, scale = work.per_channel(4)
        kernels.forward_channels[(work.batch, groups)](
            *sums, weight, bias, shift, slope, offset, mean, scale, eps, work.pixels, work.channels, work.splits,
            HAS_SHIFT=shift is not None, **work.group_sizes,
        )  # fmt: skip
        y = torch.empty_like(x)
        work.run(kernels.forward_pixels, x, slope, offset, y)
        ctx.work, ctx.shift = work, shift
        ctx.save_for_backward(x, weight, slope, offset, mean, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        x, weight, slope, offset, mean, scale = ctx.saved_tensors
        work: _Work = ctx.work
        dy = gradient.contiguous(memory_format=torch.channels_last)
        sums = work.sums()
        work.run(kernels.backward_sums, x, dy, slope, offset, sums[0], sums[1])
        # dx = slope g + along x + constant, where g is the gradient before SiLU.
        along, constant = work.per_channel(2)
        kernels.backward_channels[(work.batch, x.shape[1] // work.width)](
            *sums, weight, ctx.shift, mean, scale, along, constant, work.pixels, work.channels, work.splits,
            HAS_SHIFT=ctx.shift is not None, **work.group_sizes,
        )  # fmt: skip
        dx = torch.empty_like(x)
        work.run(kernels.backward_pixels, x, dy, slope, offset, along, constant, dx)
        return dx, None, None, None, None, None, None


class _Work:
    """How one tensor's pixels and channels are shared out."""

    def __init__(self, x: torch.Tensor, groups: int, silu: bool) -> None:
        self.device = x.device
        self.batch, self.channels = x.shape[:2]
        self.pixels = x.shape[2] * x.shape[3]
        self.width = self.channels // groups
        self.silu = silu
        self.splits = min(SPLITS, triton.cdiv(self.pixels, ROWS))
        self.group_sizes = {
            "WIDTH": self.width,
            "PADDED": triton.next_power_of_2(self.width),
            "SPLITS": triton.next_power_of_2(self.splits),
        }

    def sums(self) -> torch.Tensor:
        """Room for two sums of each split of each channel."""
        return torch.empty((2, self.batch, self.splits, self.channels), device=self.device, dtype=torch.float32)

    def per_channel(self, count: int) -> torch.Tensor:
        """Room for so many numbers of each channel."""
        return torch.empty((count, self.batch, self.channels), device=self.device, dtype=torch.float32)

    def run(self, kernel: Any, *tensors: torch.Tensor) -> None:
        """Run a kernel over all pixels and channels."""
        grid = (self.batch, self.splits, triton.cdiv(self.channels, COLUMNS))
        each = triton.cdiv(triton.cdiv(self.pixels, self.splits), ROWS)
        kernel[grid](
            *tensors, self.pixels, self.channels, EACH=each, ROWS=ROWS, COLUMNS=COLUMNS, SILU=self.silu, num_warps=4
        )
