"""How a picture is drawn, whatever it shows: fine contrast in its calmest and busiest parts, and how colourful it is.

Paper grain, brush strokes, washes and hard edges are told by how much lightness and colour change over a few pixels;
the calmest tenth of a picture shows its ground, the busiest its line. Averages would mostly tell what is shown.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image

from kolors_submit.metrics.palette import Array, lab

SIDE = 256
"""The shorter side that a picture is made, in pixels, so that size does not count."""

SCALES = (0.6, 1.2, 2.4)
"""Sigmas of the blurs between which contrast is taken, in pixels."""

CELL = 4
"""Side of the cells that contrast is averaged over, in pixels."""

SHARES = (10, 90)
"""The percentiles over the cells."""

COLOUR_SHARES = (25, 50, 75, 90)
"""The percentiles over the cells of how colourful they are."""

LEAST = 0.1
"""Contrast below this, in CIELAB units, is not told from none."""


def texture(picture: Image.Image) -> Array:
    """The texture of an RGB picture, float32 [22]: logarithms of contrast by channel, scale and percentile; of chroma.

    Differences of Gaussians in CIELAB stand for the filter bank of Portilla and Simoncelli 2000, A Parametric Texture
    Model Based on Joint Statistics of Complex Wavelet Coefficients.
    """
    scale = SIDE / min(picture.size)
    size = (max(SIDE, round(picture.width * scale)), max(SIDE, round(picture.height * scale)))
    values = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float32) / 255
    channels = lab(values.reshape(-1, 3)).reshape(values.shape).astype(np.float32)
    found = []
    for channel in np.moveaxis(channels, 2, 0):
        blurs = [channel, *(_blurred(channel, sigma) for sigma in SCALES)]
        for finer, coarser in pairwise(blurs):
            found.append(np.percentile(np.log(_cells(np.abs(finer - coarser)) + LEAST), SHARES))
    chroma = np.hypot(_cells(channels[..., 1]), _cells(channels[..., 2]))
    found.append(np.percentile(np.log(chroma + 1), COLOUR_SHARES))
    return np.concatenate(found).astype(np.float32)


def distance(one: Array, other: Array) -> float:
    """How far apart two textures are, in the mean: 0.69 is twice the contrast everywhere."""
    return float(np.abs(one - other).mean())


def _blurred(field: Array, sigma: float) -> Array:
    """A Gaussian blur of [height, width], edges mirrored."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (kernel / kernel.sum()).astype(np.float32)
    height, width = field.shape
    tall = np.pad(field, ((reach, reach), (0, 0)), mode="reflect")
    field = sum(weight * tall[at : at + height] for at, weight in enumerate(weights))
    broad = np.pad(field, ((0, 0), (reach, reach)), mode="reflect")
    return sum(weight * broad[:, at : at + width] for at, weight in enumerate(weights))


def _cells(field: Array) -> Array:
    """Means over squares of CELL pixels; what is left at the right and below is left out."""
    rows, columns = field.shape[0] // CELL, field.shape[1] // CELL
    whole = field[: rows * CELL, : columns * CELL]
    return whole.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
