"""Chinese ink painting: brush lines of uneven width, grey washes that bleed, rice paper, a breath of colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .raster import Array, bend, blur, blur_field, close, edges, noise, picture, smoothstep, unit

_PAPER = np.array([0.955, 0.925, 0.85], np.float32)
_INK = np.array([0.1, 0.1, 0.13], np.float32)
_GREY = np.array([0.3, 0.59, 0.11], np.float32)


def ink(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lines where the drawing has them or colours meet, washes where it was dark; vivid things keep some colour."""
    drawn = bend(image, 0.9, 14, rng)
    values = np.asarray(drawn)
    filled = close(values, 1.3, unit(image))
    light = blur_field(filled @ (_GREY / 255.0), 1.5)
    top = max(0.4, float(np.percentile(light[::8, ::8], 85)))
    dark = np.clip(1.0 - light / top, 0.0, 1.0)
    wash = 0.86 * (0.68 * dark + 0.32 * blur_field(dark, 5.0)) * (1.0 + 0.16 * noise(image.size, 22, rng))
    wash = np.clip(np.floor(wash * 5 + 0.5) / 5 * 0.5 + wash * 0.5, 0.0, 0.84)[..., None]

    stroke = _strokes(drawn, values, filled, rng)[..., None]
    colour = np.asarray(blur(drawn, 1.5), dtype=np.float32) / 255.0
    chroma = colour - (colour @ _GREY)[..., None]
    vivid = smoothstep(np.abs(chroma).max(axis=2), 0.06, 0.34)
    paper = _PAPER * (1.0 + 0.016 * noise(image.size, 3.5, rng))[..., None]
    tone = paper * (1.0 - wash) + _INK * wash + chroma * (0.07 + 0.43 * vivid)[..., None]
    return picture(tone * (1.0 - stroke) + _INK * stroke)


def _strokes(drawn: Image.Image, values: Array, filled: Array, rng: np.random.Generator) -> Array:
    """The brush: the drawing's own dark lines, and a lighter line where two colours meet; pressure comes and goes."""
    own = filled @ (_GREY / 255.0) - values @ (_GREY / 255.0)
    meet = edges(
        blur(Image.fromarray(255 - close(255 - filled, 1.4, unit(drawn))), 0.7)
    )  # stars and flakes get no line
    pressure = 1.0 + 0.3 * noise(drawn.size, 17, rng) + 0.12 * noise(drawn.size, 4, rng)
    line = blur_field(np.maximum(own * 2.6, np.minimum(meet * 2.4, 0.75)), 0.65)
    return smoothstep(line * np.clip(pressure, 0.35, 1.7), 0.16, 0.55) * 0.9
