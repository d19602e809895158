"""What the finishes share: noise, blurring and bending of pixels. Lengths are in 1/256 of the picture's height."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

Array = np.ndarray
PAPER_UNITS = 256.0


def unit(image: Image.Image) -> float:
    """Pixels in one unit of length."""
    return image.height / PAPER_UNITS


def noise(size: tuple[int, int], cell: float, rng: np.random.Generator) -> Array:
    """Smooth noise of unit variance at its knots, float32 (height, width), with features about `cell` units wide."""
    width, height = size
    step = cell * height / PAPER_UNITS
    cols, rows = math.ceil(width / step) + 3, math.ceil(height / step) + 3
    knots = Image.fromarray(rng.standard_normal((rows, cols)).astype(np.float32))
    box = (1.0, 1.0, 1.0 + width / step, 1.0 + height / step)
    return np.asarray(knots.resize(size, Image.Resampling.BICUBIC, box=box))


def blur(image: Image.Image, radius: float) -> Image.Image:
    """Gaussian blur of a picture."""
    return image.filter(ImageFilter.GaussianBlur(radius * unit(image)))


def blur_field(field: Array, radius: float) -> Array:
    """Blur of a float field (height, width), done at a quarter of the size where the radius allows."""
    height, width = field.shape
    pixels = radius * height / PAPER_UNITS
    small = max(1, min(8, int(pixels / 1.5)))
    picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    if small > 1:
        picture = picture.resize((max(1, width // small), max(1, height // small)), Image.Resampling.BOX)
    out = _box3(np.asarray(picture), pixels / small)
    return np.asarray(Image.fromarray(out).resize((width, height), Image.Resampling.BICUBIC)) if small > 1 else out


def _box3(field: Array, sigma: float) -> Array:
    """Gaussian blur of small sigma (pixels) by its own kernel, edges repeated."""
    reach = max(1, math.ceil(2.5 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.3)) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        pads = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded, length = np.pad(field, pads, mode="edge"), field.shape[axis]
        field = kernel[0] * _cut(padded, 0, length, axis)
        for i in range(1, len(kernel)):
            field = field + kernel[i] * _cut(padded, i, length, axis)
    return field


def _cut(field: Array, start: int, length: int, axis: int) -> Array:
    return field[start : start + length] if axis == 0 else field[:, start : start + length]


def close(values: Array, width: float, unit_: float) -> Array:
    """Dark lines up to `width` units wide painted over by what is beside them: (height, width, …) of any kind."""
    size = max(1, round(width * unit_))
    return _spread(_spread(values, size, np.maximum), size, np.minimum)


def _spread(values: Array, size: int, choose: np.ufunc) -> Array:
    """The largest or smallest value within `size` pixels to either side, along both axes, by doubling steps."""
    for axis in (0, 1):
        pads = [(size, size) if a == axis else (0, 0) for a in range(values.ndim)]
        out, covered, full = np.pad(values, pads, mode="edge"), 1, 2 * size + 1
        length = values.shape[axis]
        while covered < full:
            step = min(covered, full - covered)
            out = choose(_cut(out, 0, out.shape[axis] - step, axis), _cut(out, step, out.shape[axis] - step, axis))
            covered += step
        values = _cut(out, 0, length, axis)
    return values


def bend(image: Image.Image, amount: float, cell: float, rng: np.random.Generator) -> Image.Image:
    """The picture with its edges made unsteady: every point is taken from up to about 2 x `amount` units away."""
    width, height = image.size
    cols, rows = math.ceil(width / (cell * unit(image))), math.ceil(height / (cell * unit(image)))
    xs, ys = np.linspace(0, width, cols + 1), np.linspace(0, height, rows + 1)
    moves = rng.standard_normal((2, rows + 1, cols + 1)).clip(-2, 2) * amount * unit(image)
    px, py = np.clip(xs[None, :] + moves[0], 0, width), np.clip(ys[:, None] + moves[1], 0, height)
    mesh = []
    for j in range(rows):
        for i in range(cols):
            box = (round(xs[i]), round(ys[j]), round(xs[i + 1]), round(ys[j + 1]))
            corners = ((j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1))
            mesh.append((box, tuple(float(p) for r, c in corners for p in (px[r, c], py[r, c]))))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def smoothstep(field: Array, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, a soft S between."""
    t = np.clip((field - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def edges(image: Image.Image) -> Array:
    """Strength of the strongest colour step at each pixel, float32 (height, width): about 0 to 1."""
    values = np.asarray(image, dtype=np.float32) / 255.0
    down = np.zeros(values.shape[:2], np.float32)
    step = max(1, round(unit(image)))
    down[step:] = np.abs(values[step:] - values[:-step]).max(axis=2)
    right = np.abs(values[:, step:] - values[:, :-step]).max(axis=2)
    down[:, step:] = np.maximum(down[:, step:], right)
    return down


def picture(values: Array) -> Image.Image:
    """Float RGB 0 to 1 as a picture."""
    return Image.fromarray((np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
