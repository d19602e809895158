"""How much two pictures differ: in pixels, in structure, and to the eye at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kolors_submit.decoders import UNSOUND

WINDOW, SIGMA = 11, 1.5
"""SSIM's Gaussian window, in pixels (Wang, Bovik, Sheikh and Simoncelli 2004, section III.C)."""

K1, K2 = 0.01, 0.03
HASH_SIDE, HASH_CORNER = 32, 8
"""The perceptual hash: the 8x8 lowest frequencies of a 32x32 grey picture."""


@dataclass(frozen=True)
class Difference:
    """Mean and largest difference of a channel's values (0 to 255), SSIM (1 is equal), differing bits of 64."""

    mean: float
    maximum: int
    ssim: float
    hash_bits: int


def compare(one: Path, other: Path) -> Difference | None:
    """The difference of two PNGs, or None where `one` (a stranger's) is none or has another size than `other`.

    A picture of another size is not decoded.
    """
    try:
        with Image.open(one, formats=["PNG"]) as first, Image.open(other, formats=["PNG"]) as second:
            if first.size != second.size:
                return None
            a, b = first.convert("RGB"), second.convert("RGB")
    except UNSOUND:
        return None
    pixels = np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16))
    bits = int(np.count_nonzero(perceptual_hash(a) != perceptual_hash(b)))
    return Difference(
        mean=round(float(pixels.mean()), 6),
        maximum=int(pixels.max()),
        ssim=round(ssim(np.asarray(a.convert("L"), np.float64), np.asarray(b.convert("L"), np.float64)), 6),
        hash_bits=bits,
    )


def is_picture(path: Path, size: tuple[int, int]) -> bool:
    """Whether a stranger's file is a whole PNG of this size; one of another size is not decoded."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.size != size:
                return False
            picture.load()
    except UNSOUND:
        return False
    return True


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two grey pictures [height, width] with values from 0 to 255.

    Equation 13 of Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    """
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((top / bottom).mean())


def perceptual_hash(picture: Image.Image) -> np.ndarray:
    """64 bits: which of the lowest frequencies of the picture's cosine transform lie above their median."""
    small = picture.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.LANCZOS)
    n = np.arange(HASH_SIDE)
    cosines = np.cos(np.pi * (2 * n[None, :] + 1) * n[:HASH_CORNER, None] / (2 * HASH_SIDE))
    low = cosines @ np.asarray(small, np.float64) @ cosines.T
    bits: np.ndarray = (low > np.median(low)).reshape(-1)
    return bits


def _blur(values: np.ndarray) -> np.ndarray:
    """Gaussian mean around each pixel that has a whole window [height - 10, width - 10]."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=axis)
        values = windows @ weights
    return values
