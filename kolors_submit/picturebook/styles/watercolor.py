"""Watercolour: thin washes on grained paper, darker at their edges, with an unpainted margin."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .raster import Array, bend, blur, blur_field, noise, picture, smoothstep

_PAPER = np.array([0.985, 0.965, 0.92], np.float32)


def watercolor(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Pigment as optical density: paler than the drawing, gathered at the wash's edge, uneven and granulated."""
    wet = blur(bend(bend(image, 1.4, 14, rng), 0.8, 8, rng), 0.75)
    density = -np.log(np.asarray(wet, dtype=np.float32) / 255.0 * 0.94 + 0.05)
    depth = density.mean(axis=2)
    gathered = np.maximum(depth - blur_field(depth, 3.2), 0.0)
    flow = 1.0 + 0.2 * noise(image.size, 34, rng) + 0.1 * noise(image.size, 9, rng)
    grain = noise(image.size, 3.2, rng)
    amount = 0.66 * np.clip(flow + 0.1 * grain, 0.35, 1.6) + 1.1 * gathered
    amount *= 1.0 - 0.4 * smoothstep(noise(image.size, 15, rng) + 0.3 * grain, 1.3, 1.9)  # the brush ran dry
    density = density * (amount * _margin(image.size, rng))[..., None]
    paper = _PAPER * (1.0 + 0.014 * grain)[..., None]
    return picture(paper * np.exp(-density))


def _margin(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """1 where the wash lies and 0 on the bare paper round it, with a wandering edge and pigment gathered on it."""
    width, height = size
    unit = height / 256
    across = np.minimum(np.arange(width), np.arange(width)[::-1]).astype(np.float32)[None, :] / unit
    down = np.minimum(np.arange(height), np.arange(height)[::-1]).astype(np.float32)[:, None] / unit
    inside = np.minimum(across, down) + 1.8 * noise(size, 16, rng) + 0.6 * noise(size, 5, rng)
    wash = smoothstep(inside, 6.0, 8.2)
    return wash * (1.0 + 0.45 * (1.0 - smoothstep(inside, 8.5, 12.5)))
