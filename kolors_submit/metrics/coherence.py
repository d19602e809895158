"""How well the panels of a story belong together, and which of them stands out.

Three views of every pair: what is shown (a tower's features), how it is drawn (texture), and its colours. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kolors_submit.decoders import open_picture
from kolors_submit.metrics import palette, texture
from kolors_submit.metrics.palette import Array

DECIMALS = 4

FEWEST = 4
"""Among fewer panels nobody can say which is the odd one."""

OUTLIER = 1.7
"""A panel so many times as far from the others' mean as they are from theirs stands out: `bench/coherence.py --fit`."""

LEAST_SPREAD = 0.3
"""Panels that lie nearer to their mean than this are taken to be this far from it: less is hardly seen."""


def coherence(pictures: Sequence[Path], features: Sequence[Array], threshold: float | None) -> dict[str, Any]:
    """The figures of scores.json's `coherence` but the tower's name; `features` are what it sees in each picture.

    `similarity` holds cosines, `style` how alike textures are (1 for equal ones), `palette` CIELAB distances, all
    [n][n] in the panels' order; `mean` is the mean style of all pairs; `apart` says how far each panel stands from the
    others, in units of their spread; `outlier` is the number, from 1, of the one that stands out, or None.
    """
    textures, palettes = [], []
    for path in pictures:
        with open_picture(path) as file:
            picture = file.convert("RGB")
        textures.append(texture.texture(picture))
        palettes.append(palette.palette(picture))
    style = likeness(_matrix(textures, texture.distance))
    apart, outlier = stands_out(np.array(textures))
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
    """How alike textures at these distances are: 1 where they are equal, by a Gaussian kernel of width 1."""
    return np.exp(-np.square(distances) / 2)


def stands_out(textures: Array) -> tuple[Array, int | None]:
    """How far each panel of [n, features] stands apart, and the number, from 1, of the one that stands out.

    A panel's distance to the mean of the others over their own spread, neither of which it can sway: the externally
    studentized residual (Cook and Weisberg 1982, Residuals and Influence in Regression), pooled over the features.
    """
    count = len(textures)
    if count < FEWEST:
        return np.ones(count), None
    apart = np.zeros(count)
    for index, own in enumerate(textures):
        others = np.delete(textures, index, axis=0)
        away = np.square(own - others.mean(axis=0)).mean() * (count - 1) / count
        apart[index] = np.sqrt(away) / max(np.sqrt(others.var(axis=0, ddof=1).mean()), LEAST_SPREAD)
    first = int(apart.argmax())
    return apart, first + 1 if apart[first] > OUTLIER else None


def _matrix(values: Sequence[Array], measure: Callable[[Array, Array], float]) -> Array:
    return np.array([[measure(one, other) for other in values] for one in values])


def _rounded(matrix: Array) -> list[list[float]]:
    return [[round(float(value), DECIMALS) for value in row] for row in matrix]
