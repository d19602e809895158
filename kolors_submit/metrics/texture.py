"""How a picture is drawn, whatever it shows: its fine contrast, how edges run through the scales, how colourful it is.

Paper grain, brush strokes, washes and hard edges are told by how much lightness and colour change over a few pixels, in
the calmest parts of a picture (its ground) as in the busiest (its line). A night or a close view changes most of these
together; so they are taken in units of how far panels of one style vary, along every direction.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from kolors_submit.metrics.palette import Array, lab

SIDE = 256
"""The shorter side that a picture is made, in pixels, so that size does not count."""

SCALES = (0.6, 1.2, 2.4, 4.8)
"""Sigmas of the blurs between which contrast is taken, in pixels."""

CELL = 4
"""Side of the cells that contrast is averaged over, in pixels."""

SHARES = (5, 25, 50, 75, 95)
"""The percentiles over the cells, of contrast and of how colourful they are."""

LEAST = 0.1
"""Contrast below this, in CIELAB units, is not told from none."""

MATRIX = Path(__file__).with_name("texture.npy")
"""Float32 [74, 74], fitted by `bench/coherence.py --fit` on generated panels and drawn pictures."""


def texture(picture: Image.Image) -> Array:
    """The texture of an RGB picture, float32 [74], in which panels of one style have a mean variance of about 1.

    Raw statistics are whitened by their covariance within a style and weighted by what tells styles apart: a softened
    linear discriminant (Fisher 1936, The Use of Multiple Measurements in Taxonomic Problems).
    """
    return statistics(picture) @ _matrix()


def distance(one: Array, other: Array) -> float:
    """How far apart two textures are: the root mean square over the entries."""
    return float(np.sqrt(np.square(one - other).mean()))


def statistics(picture: Image.Image) -> Array:
    """Raw statistics of an RGB picture, float32 [74].

    By channel of CIELAB: logarithms of contrast by scale and percentile, and how far contrast at one scale goes with
    that at the next, which tells hard edges from washes; then the logarithm of chroma by percentile. Differences of
    Gaussians stand for the filter bank, and these for the statistics, of Portilla and Simoncelli 2000, A Parametric
    Texture Model Based on Joint Statistics of Complex Wavelet Coefficients.
    """
    scale = SIDE / min(picture.size)
    size = (max(SIDE, round(picture.width * scale)), max(SIDE, round(picture.height * scale)))
    values = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float32) / 255
    channels = lab(values.reshape(-1, 3)).reshape(values.shape).astype(np.float32)
    found = []
    for channel in np.moveaxis(channels, 2, 0):
        blurs = [channel, *(_blurred(channel, sigma) for sigma in SCALES)]
        bands = [np.abs(finer - coarser) for finer, coarser in pairwise(blurs)]
        found += [np.percentile(np.log(_cells(band) + LEAST), SHARES) for band in bands]
        found.append(np.array([_correlation(finer, coarser) for finer, coarser in pairwise(bands)]))
    chroma = np.hypot(_cells(channels[..., 1]), _cells(channels[..., 2]))
    found.append(np.percentile(np.log(chroma + 1), SHARES))
    return np.concatenate(found).astype(np.float32)


@cache
def _matrix() -> Array:
    return np.load(MATRIX, allow_pickle=False)


def _correlation(one: Array, other: Array) -> float:
    """Correlation of two fields; next to none where there is hardly any contrast."""
    spread = np.sqrt((one.var() + LEAST**2) * (other.var() + LEAST**2))
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread)


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
