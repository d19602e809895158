"""The same picture as plain drawing, watercolour, ink, crayon or cut paper.

A style is a finish laid over the drawn pixels; cut paper also changes the shapes before they are drawn. Lengths are in
parts of 1/256 of the picture's height, so a picture of 1024 px made small looks like one drawn small at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from .crayon import crayon
from .ink import ink
from .papercut import papercut, sheets
from .watercolor import watercolor

_FINISHES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "watercolor": watercolor,
    "ink": ink,
    "crayon": crayon,
    "papercut": papercut,
}
STYLES = ("plain", *_FINISHES)


def restyle(markup: str, style: str) -> str:
    """SVG markup with the shapes as one of `STYLES` has them."""
    return sheets(markup) if style == "papercut" else markup


def apply(image: Image.Image, style: str, seed: int) -> Image.Image:
    """An RGB picture finished in one of `STYLES`; the same picture, style and seed give the same pixels."""
    if style == "plain":
        return image
    if style not in _FINISHES:
        raise ValueError(f"picture-book style {style!r} is not known: choose one of {', '.join(STYLES)}")
    return _FINISHES[style](image, np.random.default_rng(seed))
