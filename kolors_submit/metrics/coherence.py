"""How well the panels of a story belong together, and which of them stands out.

Three views of every pair: what is shown (a tower's features), how it is drawn (texture), and its colours. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kolors_submit.metrics import palette, texture
from kolors_submit.metrics.palette import Array

DECIMALS = 4

NEAREST = 5
"""A panel is held to its nearest few: a story may well have panels by day and by night."""

FEWEST = 4
"""Among fewer panels nobody can say which is the odd one."""

OUTLIER = 1.6
"""A panel so many times as far from its nearest as the others are from theirs stands out,"""

OUTLIER_DISTANCE = 0.2
"""if it is also this far from them: less is hardly seen. Both were set on drawn and on generated panels."""


def coherence(pictures: Sequence[Path], features: Sequence[Array], threshold: float | None) -> dict[str, Any]:
    """The figures of scores.json's `coherence` but the tower's name; `features` are what it sees in each picture.

    `similarity` holds cosines, `style` is 1 for equal textures and 0.5 for twice the contrast everywhere, `palette`
    holds CIELAB distances, all [n][n] in the panels' order; `mean` is the mean style of all pairs; `apart` says how
    many times as far a panel is from its nearest as the others are; `outlier` is the number, from 1, of the one that
    stands out, or None.
    """
    textures, palettes = [], []
    for path in pictures:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        textures.append(texture.texture(picture))
        palettes.append(palette.palette(picture))
    distances = _matrix(textures, texture.distance)
    style = likeness(distances)
    apart, outlier = _stands_out(distances)
    pairs = style[np.triu_indices(len(style), 1)]
    mean = round(float(pairs.mean()), DECIMALS) if len(pairs) else 1.0
    return {
        "mean": mean,
        "similarity": _rounded(_matrix(features, lambda one, other: float(one @ other))),
        "style": _rounded(style),
        "palette": _rounded(_matrix(palettes, palette.distance)),
        "apart": [round(float(value), DECIMALS) for value in apart],
        "outlier": outlier,
        "threshold": threshold,
        "passed": None if threshold is None else mean >= threshold,
    }


def likeness(distances: Array) -> Array:
    """How alike textures at these distances are: 1 where they are equal, half of it for twice the contrast."""
    return np.exp(-distances)


def _stands_out(distances: Array) -> tuple[Array, int | None]:
    """How far each panel stands apart, and the number of the one that stands out."""
    count = len(distances)
    if count < FEWEST:
        return np.ones(count), None
    near = np.array([np.sort(np.delete(row, index))[:NEAREST].mean() for index, row in enumerate(distances)])
    others = np.array([np.median(np.delete(near, index)) for index in range(count)])
    apart = near / np.maximum(others, 1e-3)  # equal pictures are at no distance at all
    first = int(apart.argmax())
    stands_out = apart[first] > OUTLIER and near[first] > OUTLIER_DISTANCE
    return apart, first + 1 if stands_out else None


def _matrix(values: Sequence[Array], measure: Callable[[Array, Array], float]) -> Array:
    return np.array([[measure(one, other) for other in values] for one in values])


def _rounded(matrix: Array) -> list[list[float]]:
    return [[round(float(value), DECIMALS) for value in row] for row in matrix]
