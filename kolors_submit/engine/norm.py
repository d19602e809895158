# mypy: disable-error-code="no-untyped-def"
"""Group normalisation with SiLU on channels-last pictures, forward and backward in three kernels each.

The parameters are frozen, so the backward pass has only the input's gradient. Sums over a group are formed in a fixed
order: the same input gives the same bytes. `shift` is what is added to every pixel of a channel before (a convolution's
bias and the time embedding), so that no pass over the picture is spent on it.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

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

    On CUDA the pictures have to lie channels last.
    """
    if pictures.is_cuda:
        return _NormSilu.apply(pictures, norm.weight, norm.bias, shift, norm.num_groups, norm.eps, silu)
    if shift is not None:
        pictures = pictures + shift[:, :, None, None]
    normed = norm(pictures)
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
        work.run(_forward_sums, x, sums[0], sums[1])
        # For each picture and channel: y = silu(slope x + offset), with the group's mean and 1 / deviation.
        slope, offset, mean, scale = work.per_channel(4)
        _forward_channels[(work.batch, groups)](
            *sums, weight, bias, shift, slope, offset, mean, scale, eps, work.pixels, work.channels, work.splits,
            HAS_SHIFT=shift is not None, **work.group_sizes,
        )  # fmt: skip
        y = torch.empty_like(x)
        work.run(_forward_pixels, x, slope, offset, y)
        ctx.work, ctx.shift = work, shift
        ctx.save_for_backward(x, weight, slope, offset, mean, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        x, weight, slope, offset, mean, scale = ctx.saved_tensors
        work: _Work = ctx.work
        dy = gradient.contiguous(memory_format=torch.channels_last)
        sums = work.sums()
        work.run(_backward_sums, x, dy, slope, offset, sums[0], sums[1])
        # dx = slope g + along x + constant, where g is the gradient before SiLU.
        along, constant = work.per_channel(2)
        _backward_channels[(work.batch, x.shape[1] // work.width)](
            *sums, weight, ctx.shift, mean, scale, along, constant, work.pixels, work.channels, work.splits,
            HAS_SHIFT=ctx.shift is not None, **work.group_sizes,
        )  # fmt: skip
        dx = torch.empty_like(x)
        work.run(_backward_pixels, x, dy, slope, offset, along, constant, dx)
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


@triton.jit
def _forward_sums(
    x,
    first,
    second,
    pixels,
    channels,
    EACH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SILU: tl.constexpr,
):
    """Sums of x and of its square."""
    n, split, column = tl.program_id(0), tl.program_id(1), tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    here = column < channels
    one = tl.zeros((COLUMNS,), tl.float32)
    two = tl.zeros((COLUMNS,), tl.float32)
    for i in range(EACH):
        row = (split * EACH + i) * ROWS + tl.arange(0, ROWS)
        mask = (row < pixels)[:, None] & here[None, :]
        at = (n.to(tl.int64) * pixels + row)[:, None] * channels + column[None, :]
        values = tl.load(x + at, mask, 0.0).to(tl.float32)
        one += tl.sum(values, 0)
        two += tl.sum(values * values, 0)
    at_sum = (n * tl.num_programs(1) + split) * channels + column
    tl.store(first + at_sum, one, here)
    tl.store(second + at_sum, two, here)


@triton.jit
def _forward_channels(
    first, second, weight, bias, shift, slope, offset, mean, scale, eps, pixels, channels, splits,
    HAS_SHIFT: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Mean and deviation of one group, and from them each channel's slope and offset."""
    n, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, PADDED)
    here = lane < WIDTH
    column = group * WIDTH + lane
    split = tl.arange(0, SPLITS)
    mask = (split < splits)[:, None] & here[None, :]
    at = (n * splits + split)[:, None] * channels + column[None, :]
    one = tl.sum(tl.load(first + at, mask, 0.0), 0)
    two = tl.sum(tl.load(second + at, mask, 0.0), 0)
    if HAS_SHIFT:
        added = tl.load(shift + n * channels + column, here, 0.0).to(tl.float32)
        two += added * (2 * one + pixels * added)
        one += pixels * added
    else:
        added = tl.zeros((PADDED,), tl.float32)
    count = pixels * WIDTH
    middle = tl.sum(one, 0) / count
    inverse = tl.rsqrt(tl.maximum(tl.sum(two, 0) / count - middle * middle, 0.0) + eps)
    a = tl.load(weight + column, here, 0.0).to(tl.float32) * inverse
    b = tl.load(bias + column, here, 0.0).to(tl.float32) + a * (added - middle)
    to = n * channels + column
    tl.store(slope + to, a, here)
    tl.store(offset + to, b, here)
    tl.store(mean + to, tl.zeros((PADDED,), tl.float32) + middle, here)
    tl.store(scale + to, tl.zeros((PADDED,), tl.float32) + inverse, here)


@triton.jit
def _forward_pixels(
    x,
    slope,
    offset,
    y,
    pixels,
    channels,
    EACH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SILU: tl.constexpr,
):
    """The normalised picture."""
    n, split, column = tl.program_id(0), tl.program_id(1), tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    here = column < channels
    a = tl.load(slope + n * channels + column, here, 0.0)[None, :]
    b = tl.load(offset + n * channels + column, here, 0.0)[None, :]
    for i in range(EACH):
        row = (split * EACH + i) * ROWS + tl.arange(0, ROWS)
        mask = (row < pixels)[:, None] & here[None, :]
        at = (n.to(tl.int64) * pixels + row)[:, None] * channels + column[None, :]
        u = a * tl.load(x + at, mask, 0.0).to(tl.float32) + b
        if SILU:
            u = u * tl.sigmoid(u)
        tl.store(y + at, u.to(y.dtype.element_ty), mask)


@triton.jit
def _backward_sums(
    x, dy, slope, offset, first, second, pixels, channels,
    EACH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Sums of g, the gradient before SiLU, and of g x."""
    n, split, column = tl.program_id(0), tl.program_id(1), tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    here = column < channels
    a = tl.load(slope + n * channels + column, here, 0.0)[None, :]
    b = tl.load(offset + n * channels + column, here, 0.0)[None, :]
    one = tl.zeros((COLUMNS,), tl.float32)
    two = tl.zeros((COLUMNS,), tl.float32)
    for i in range(EACH):
        row = (split * EACH + i) * ROWS + tl.arange(0, ROWS)
        mask = (row < pixels)[:, None] & here[None, :]
        at = (n.to(tl.int64) * pixels + row)[:, None] * channels + column[None, :]
        values = tl.load(x + at, mask, 0.0).to(tl.float32)
        g = tl.load(dy + at, mask, 0.0).to(tl.float32)
        if SILU:
            u = a * values + b
            s = tl.sigmoid(u)
            g = g * s * (1 + u * (1 - s))
        one += tl.sum(g, 0)
        two += tl.sum(g * values, 0)
    at_sum = (n * tl.num_programs(1) + split) * channels + column
    tl.store(first + at_sum, one, here)
    tl.store(second + at_sum, two, here)


@triton.jit
def _backward_channels(
    first, second, weight, shift, mean, scale, along, constant, pixels, channels, splits,
    HAS_SHIFT: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """The two numbers of each channel by which a group's sums come into the gradient of each of its pixels."""
    n, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, PADDED)
    here = lane < WIDTH
    column = group * WIDTH + lane
    split = tl.arange(0, SPLITS)
    mask = (split < splits)[:, None] & here[None, :]
    at = (n * splits + split)[:, None] * channels + column[None, :]
    one = tl.sum(tl.load(first + at, mask, 0.0), 0)
    two = tl.sum(tl.load(second + at, mask, 0.0), 0)
    to = n * channels + column
    gamma = tl.load(weight + column, here, 0.0).to(tl.float32)
    inverse = tl.load(scale + to, here, 0.0)
    centre = -tl.load(mean + to, here, 0.0)  # what is added to x to centre it
    if HAS_SHIFT:
        centre += tl.load(shift + to, here, 0.0).to(tl.float32)
    count = pixels * WIDTH
    mean_g = tl.sum(gamma * one, 0) / count
    mean_gx = tl.sum(gamma * inverse * (two + centre * one), 0) / count
    p = -inverse * inverse * mean_gx
    tl.store(along + to, p, here)
    tl.store(constant + to, p * centre - inverse * mean_g, here)


@triton.jit
def _backward_pixels(
    x, dy, slope, offset, along, constant, dx, pixels, channels,
    EACH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """The input's gradient."""
    n, split, column = tl.program_id(0), tl.program_id(1), tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    here = column < channels
    a = tl.load(slope + n * channels + column, here, 0.0)[None, :]
    b = tl.load(offset + n * channels + column, here, 0.0)[None, :]
    p = tl.load(along + n * channels + column, here, 0.0)[None, :]
    q = tl.load(constant + n * channels + column, here, 0.0)[None, :]
    for i in range(EACH):
        row = (split * EACH + i) * ROWS + tl.arange(0, ROWS)
        mask = (row < pixels)[:, None] & here[None, :]
        at = (n.to(tl.int64) * pixels + row)[:, None] * channels + column[None, :]
        values = tl.load(x + at, mask, 0.0).to(tl.float32)
        g = tl.load(dy + at, mask, 0.0).to(tl.float32)
        if SILU:
            u = a * values + b
            s = tl.sigmoid(u)
            g = g * s * (1 + u * (1 - s))
        tl.store(dx + at, (a * g + p * values + q).to(dx.dtype.element_ty), mask)
