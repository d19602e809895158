"""Distances of colours, in CIELAB units."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kolors_submit.metrics.palette import distance, lab, palette


def grey(lightness: float) -> Image.Image:
    """A picture of one grey of this CIELAB lightness."""
    y = ((lightness + 16) / 116) ** 3
    value = 12.92 * y if y <= 0.0031308 else 1.055 * y ** (1 / 2.4) - 0.055
    return Image.new("RGB", (64, 64), (round(255 * value),) * 3)


def test_lab_of_known_colours() -> None:
    """White, black, and sRGB's red and blue, from the published values for D65."""
    found = lab(np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]], float))
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    assert found == pytest.approx(np.array(expected), abs=0.05)


@pytest.mark.parametrize(("one", "other"), [(50, 60), (20, 21), (10, 90)])
def test_a_change_of_lightness_is_its_own_distance(one: int, other: int) -> None:
    assert distance(palette(grey(one)), palette(grey(other))) == pytest.approx(abs(one - other), rel=0.1)


def test_only_colours_count_not_where_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    assert distance(palette(picture), palette(turned)) == pytest.approx(0, abs=1e-4)
    half = Image.fromarray(np.where(np.arange(32)[:, None, None] < 16, pixels, 255 - pixels)).resize((64, 64))
    assert distance(palette(picture), palette(half)) > 3


def test_size_hardly_counts() -> None:
    picture = Image.radial_gradient("L").convert("RGB")
    assert distance(palette(picture), palette(picture.resize((96, 96)))) < 1
