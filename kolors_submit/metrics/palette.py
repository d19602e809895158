"""How far apart the colours of two pictures are, whatever lies where."""

from __future__ import annotations

import numpy as np
from PIL import Image

Array = np.ndarray

SIDE = 32
"""A picture is made this small, in pixels a side, before its colours are taken."""

DIRECTIONS = 32
"""Lines through colour space along which colours are compared."""

# sRGB to CIE XYZ (IEC 61966-2-1), and the white point D65.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.0890])


def lab(rgb: Array) -> Array:
    """CIELAB (D65) of sRGB values 0 to 1, [n, 3]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ.T / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def palette(picture: Image.Image) -> Array:
    """The colours of an RGB picture: float32 [DIRECTIONS, SIDE * SIDE], its CIELAB values sorted along each line."""
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
    return np.sort(_lines() @ lab(small.reshape(-1, 3)).T, axis=1).astype(np.float32)


def distance(one: Array, other: Array) -> float:
    """Distance of two palettes in CIELAB units: the sliced Wasserstein distance of order 1.

    A picture and the same one with every colour moved by delta E are delta E apart: a line in a random direction sees
    half of a move on average (Bonneel et al. 2015, Sliced and Radon Wasserstein Barycenters of Measures).
    """
    return float(2 * np.abs(one - other).mean())


def _lines() -> Array:
    """Unit vectors [DIRECTIONS, 3], evenly over the half sphere (a Fibonacci lattice)."""
    index = np.arange(DIRECTIONS)
    height = (index + 0.5) / DIRECTIONS
    turn = index * np.pi * (3 - 5**0.5)
    radius = np.sqrt(1 - height**2)
    return np.stack([height, radius * np.cos(turn), radius * np.sin(turn)], axis=1)
