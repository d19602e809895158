"""Texture: how a picture is drawn, not what it shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kolors_submit.metrics.texture import distance, statistics, texture
from kolors_submit.picturebook.paint import draw
from kolors_submit.picturebook.scenes import Person, Scene
from kolors_submit.picturebook.styles import STYLES

LAKE = Scene((Person("girl", "red", "long", "dress", "green"),), "lake", seed=1)
TOWN = Scene((Person("man", "black", "short", "coat", "purple"),), "town", "sunset", seed=2)


def grain(contrast: float, size: int = 256) -> Image.Image:
    """Grey noise of a standard deviation in 8-bit values."""
    noise = np.random.default_rng(0).normal(128, contrast, (size, size, 1)).clip(0, 255)
    return Image.fromarray(np.repeat(noise, 3, axis=2).astype("uint8"))


def test_twice_the_contrast_is_its_logarithm_away() -> None:
    apart = statistics(grain(20)) - statistics(grain(10))
    assert apart[:10] == pytest.approx(np.log(2), abs=0.1), "lightness, at fine scales and every percentile"
    assert np.delete(apart[23:], [20, 21, 22, 43, 44, 45]) == pytest.approx(0, abs=0.1), "grey has no colour"


def test_a_flat_picture_has_the_least_of_all() -> None:
    flat = statistics(Image.new("RGB", (100, 60), (200, 30, 30)))
    for channel in range(3):
        assert flat[23 * channel : 23 * channel + 20] == pytest.approx(np.log(0.1), abs=1e-3)
        assert flat[23 * channel + 20 : 23 * channel + 23] == pytest.approx(0, abs=1e-3), "and nothing goes together"
    less = statistics(Image.new("RGB", (60, 60), (130, 100, 100)))
    assert flat[69:] == pytest.approx(flat[69]) and flat[69] > less[69]


def test_hard_edges_run_through_the_scales_and_grain_does_not() -> None:
    edges = statistics(
        Image.fromarray(np.kron(np.eye(8, dtype="uint8") * 200, np.ones((32, 32), "uint8"))).convert("RGB")
    )
    assert (edges[20:23] > statistics(grain(20))[20:23] + 0.2).all()


@pytest.mark.parametrize("style", STYLES)
def test_one_style_in_two_scenes_is_nearer_than_two_styles_in_one(style: str) -> None:
    own = distance(texture(draw(LAKE, style=style)), texture(draw(TOWN, style=style)))
    others = [
        distance(texture(draw(LAKE, style=style)), texture(draw(LAKE, style=other)))
        for other in STYLES
        if other != style
    ]
    assert own < max(others) and sum(own < other for other in others) >= 3


def test_size_and_turning_hardly_count() -> None:
    small, large = draw(LAKE, style="watercolor"), draw(LAKE, width=512, height=512, style="watercolor")
    assert distance(texture(small), texture(large)) < 0.8
    turned = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert distance(texture(small), texture(turned)) < 0.05
    wide = draw(LAKE, width=384, height=256, style="watercolor")
    assert texture(wide).shape == (74,)
