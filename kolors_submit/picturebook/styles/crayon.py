"""Wax crayon: slanting strokes that leave the tooth of the paper bare, thick coloured contours."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from .raster import Array, bend, blur, edges, noise, picture, smoothstep

_PAPER = np.array([1.0, 0.99, 0.96], np.float32)


def crayon(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Strong colours rubbed on in strokes; where the strokes are thin, the paper shows."""
    drawn = blur(bend(image, 1.7, 12, rng), 0.9)
    values = np.asarray(drawn, dtype=np.float32) / 255.0
    grey = values.mean(axis=2, keepdims=True)
    wax = np.clip(grey + (values - grey) * 1.35, 0.0, 1.0) ** 1.08
    rubbed = _strokes(image.size, rng)
    tooth = rubbed + 0.45 * noise(image.size, 3.4, rng)
    cover = 0.68 + 0.32 * smoothstep(tooth, -1.7, 0.6)
    wax = wax * (1.0 + 0.06 * rubbed)[..., None]
    contour = smoothstep(edges(blur(drawn, 1.0)) + 0.03 * noise(image.size, 5, rng), 0.1, 0.26)
    wax = wax * (1.0 - 0.5 * contour[..., None])
    cover = np.maximum(cover, contour)[..., None]
    return picture(_PAPER * (1.0 - cover) + wax * cover)


def _strokes(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Noise drawn out along a slant: about 3.4 units across a stroke, 17 along it."""
    width, height = size
    unit = height / 256
    side = math.hypot(width, height)
    knots = rng.standard_normal((math.ceil(side / (3.4 * unit)), math.ceil(side / (17 * unit)))).astype(np.float32)
    field = Image.fromarray(knots)
    # Output pixel -> knot: turn by 38 degrees, then squeeze. One affine map does both.
    c, s = math.cos(math.radians(38)), math.sin(math.radians(38))
    along, across = 1 / (17 * unit), 1 / (3.4 * unit)
    back = (c * along, -s * along, s * height * along, s * across, c * across, 0.0)
    return np.asarray(field.transform(size, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC))
