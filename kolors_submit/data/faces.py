"""Where heads probably are in a photo or a drawing, by plain numpy: skin with two eyes in it and hair above.

A few hand-made box features over integral images, after Viola and Jones, "Rapid object detection using a boosted
cascade of simple features" (2001), without any training. It is good enough to aim a crop with, and for no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

SHORT_SIDE, LONG_SIDE = 160, 480
"""Faces are looked for in a picture made this small, in pixels."""

MAX_FACES = 5

_SKIN = ((110.0, 15.0), (147.0, 10.0))  # mean and spread of Cb and Cr over skins light and dark
_SIZES = tuple(0.08 * 1.18**step for step in range(13))  # a face's side as a part of the picture's short side
_PEAKS = 40  # candidates looked at for each size
_LEAST = 0.02  # a face scores at least this
_ENOUGH = 0.45  # and at least this part of the surest one's
_APART = 0.9  # candidates whose centres are nearer than this part of the larger side are one face
_SAME = 0.8  # a candidate with at least this part of its heap's best score widens the heap's box


@dataclass(frozen=True)
class Face:
    """A face's box (chin to brows) in parts of the picture's width and height, and its score (above 0)."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float


def find_faces(image: Image.Image) -> list[Face]:
    """Up to MAX_FACES likely faces of an RGB picture, the surest first; empty where nothing looks like one."""
    scale = min(1, SHORT_SIDE / min(image.size), LONG_SIDE / max(image.size))
    width, height = (max(2, round(side * scale)) for side in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BOX).convert("YCbCr"), dtype=np.float64)
    luma = pixels[..., 0]
    distance = sum(((pixels[..., i + 1] - mean) / spread) ** 2 for i, (mean, spread) in enumerate(_SKIN))
    skin = np.exp(-0.5 * np.asarray(distance)) * np.clip((luma - 40) / 120, 0, 1)  # animals' fur is mostly darker
    dark = np.clip((150 - luma) / 90, 0, 1) * (1 - skin)
    pad = round(0.35 * _SIZES[-1] * min(width, height)) + 1
    skin_sums, dark_sums = _integral(np.pad(skin, pad)), _integral(np.pad(dark, pad))
    found: list[tuple[float, int, int, int]] = []
    for part in _SIZES:
        side = max(4, round(part * min(width, height)))
        score = _face_score(skin_sums, dark_sums, side, pad) * part**0.5  # a large face matters more than a small one
        score *= _not_low(score.shape[0], side, height)
        for index in np.argsort(score, axis=None, kind="stable")[::-1][:_PEAKS]:
            y, x = divmod(int(index), score.shape[1])
            found.append((float(score[y, x]), y, x, side))
    found.sort(reverse=True)
    return [Face(x0 / width, y0 / height, x1 / width, y1 / height, score) for score, y0, y1, x0, x1 in _heaps(found)]


def _face_score(skin: Array, dark: Array, side: int, pad: int) -> Array:
    """How much each square of `side` pixels looks like a face (0 to 1), by its upper left corner."""

    def mean(integral: Array, y0: float, y1: float, x0: float, x1: float) -> Array:
        """The mean over a part of each square; the part is given in sides of the square."""
        top, left = round(y0 * side) + pad, round(x0 * side) + pad
        bottom, right = max(round(y1 * side) + pad, top + 1), max(round(x1 * side) + pad, left + 1)
        rows, columns = (length - 2 * pad - side for length in integral.shape)

        def corner(y: int, x: int) -> Array:
            return integral[y : y + rows, x : x + columns]

        total = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
        return np.clip(total / ((bottom - top) * (right - left)), 0, 1)

    inside = mean(skin, 0.1, 0.95, 0.12, 0.88)
    cheeks, nose = mean(skin, 0.62, 0.95, 0.2, 0.8), mean(skin, 0.3, 0.9, 0.42, 0.58)
    eyes = np.minimum(mean(dark, 0.3, 0.62, 0.12, 0.42), mean(dark, 0.3, 0.62, 0.58, 0.88))
    hair = 1 - mean(skin, -0.3, -0.08, 0.1, 0.9)
    sides = 1 - 0.7 * np.maximum(mean(skin, 0, 0.6, -0.3, -0.1), mean(skin, 0, 0.6, 1.1, 1.3))
    return inside * np.sqrt(cheeks * nose) * np.clip(eyes / 0.12, 0, 1) * hair * sides


def _not_low(rows: int, side: int, height: int) -> Array:
    """1 in the upper part of a picture, less towards its bottom, where hands and legs are taken for faces."""
    middle = (np.arange(rows) + side / 2) / height
    return (1 - 0.5 * np.clip((middle - 0.45) / 0.55, 0, 1))[:, None]


def _heaps(found: list[tuple[float, int, int, int]]) -> list[tuple[float, int, int, int, int]]:
    """Candidates (score, y, x, side; sorted) as heaps around the surest: score, top, bottom, left, right of each.

    A heap's box holds all of its candidates that are nearly as sure: an eye under a fringe may pass for a small face.
    """
    heaps: list[tuple[float, int, int, int, int]] = []
    for score, y, x, side in found:
        if score < _LEAST or (heaps and score < _ENOUGH * heaps[0][0]):
            break
        for number, (best, top, bottom, left, right) in enumerate(heaps):
            reach = _APART * max(side, bottom - top, right - left)
            middle = y + side / 2 - (top + bottom) / 2, x + side / 2 - (left + right) / 2
            if max(map(abs, middle)) <= reach:
                if score >= _SAME * best:
                    heaps[number] = best, min(top, y), max(bottom, y + side), min(left, x), max(right, x + side)
                break
        else:
            if len(heaps) < MAX_FACES:
                heaps.append((score, y, y + side, x, x + side))
    return heaps


def _integral(values: Array) -> Array:
    """Sums over all boxes from the origin, with a row and a column of zeros before them."""
    return np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
