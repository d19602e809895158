"""Cut paper: every shape a sheet with a pale cut edge, throwing a shadow on the sheets below."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from .raster import noise, picture

_SHAPE = re.compile(r"<(?:path|ellipse|rect|circle) [^>]*?/>")
_FILL = re.compile(r' fill="(?!none)[^"]*"')
_OPACITY = re.compile(r' (?:fill-|stroke-)?opacity="[^"]*"')
_STROKE = re.compile(r' stroke(?:-[a-z]+)?="[^"]*"')
_SHADOW = ' fill="#241a3a" fill-opacity="0.2" transform="translate({0},{1})"'


def sheets(markup: str) -> str:
    """SVG markup with a shadow laid below each opaque shape, and contours turned into the paper's pale edge."""
    return _SHAPE.sub(_sheet, markup)


def _sheet(match: re.Match[str]) -> str:
    shape = match.group(0)
    if not _FILL.search(shape) or _OPACITY.search(shape) or " transform=" in shape:
        return shape
    outlined = " stroke=" in shape  # figures have contours, and are drawn at about twice the scale
    bare = _STROKE.sub("", shape)
    shadow = _FILL.sub(_SHADOW.format(*((0.9, 1.1) if outlined else (1.8, 2.2))), bare, count=1)
    if outlined:
        shape = re.sub(r' stroke="[^"]*"', ' stroke="#fff6e6"', shape)
    return shadow + shape


def papercut(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The fibre of the paper, and colours a little stronger, as dyed paper has them."""
    values = np.asarray(image, dtype=np.float32) / 255.0
    grey = values.mean(axis=2, keepdims=True)
    fibre = noise(image.size, 3.4, rng) + 0.8 * noise(image.size, 9, rng)
    return picture((grey + (values - grey) * 1.15) * (1.0 + 0.03 * fibre)[..., None])
