# mypy: disable-error-code="no-untyped-def"
"""The kernels of `norm`: sums over pixels, what each channel follows from them, and the pixels again."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def forward_sums(
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
def forward_channels(
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
def forward_pixels(
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
def backward_sums(
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
def backward_channels(
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
def backward_pixels(
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
