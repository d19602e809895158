"""The measures of difference against values that are known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kolors_submit.reproduce.pictures import Difference, compare, perceptual_hash, ssim
from kolors_submit.reproduce.verdict import LIMITS, judge, worst


@pytest.fixture
def picture():
    blocks = np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((96, 80), Image.Resampling.BICUBIC)


def saved(tmp_path, name, picture):
    picture.save(tmp_path / name)
    return tmp_path / name


def test_equal_pictures(tmp_path, picture):
    path = saved(tmp_path, "a.png", picture)
    assert compare(path, path) == Difference(0.0, 0, 1.0, 0)


def test_one_pixel(tmp_path, picture):
    one = saved(tmp_path, "a.png", picture)
    picture.putpixel((5, 5), tuple((value + 128) % 256 for value in picture.getpixel((5, 5))))
    found = compare(one, saved(tmp_path, "b.png", picture))
    assert found.maximum == 128 and found.mean == pytest.approx(128 / (96 * 80), abs=1e-6) and 0.98 < found.ssim < 1


def test_ssim_of_two_flat_pictures_is_its_first_factor():
    a, b = np.full((32, 32), 100.0), np.full((32, 32), 150.0)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_ssim_of_a_picture_and_its_negative_is_negative():
    a = np.random.default_rng(1).uniform(0, 255, (64, 64))
    assert ssim(a, 255 - a) < -0.8


def test_the_hash_survives_blur_and_not_another_picture(picture):
    own = perceptual_hash(picture)
    assert own.shape == (64,)
    assert np.count_nonzero(own != perceptual_hash(picture.filter(ImageFilter.GaussianBlur(1)))) <= 2
    assert np.count_nonzero(own != perceptual_hash(picture.transpose(Image.Transpose.ROTATE_90))) > 12


def test_other_sizes_and_no_picture(tmp_path, picture):
    one = saved(tmp_path, "a.png", picture)
    assert compare(saved(tmp_path, "b.png", picture.resize((64, 64))), one) is None
    (tmp_path / "c.png").write_text("no picture")
    assert compare(tmp_path / "c.png", one) is None
    assert compare(tmp_path / "missing.png", one) is None


def test_verdicts():
    near = Difference(LIMITS["mean"], 40, LIMITS["ssim"], int(LIMITS["hash_bits"]))
    assert judge(True, near, None) == "identical"
    assert judge(False, near, None) == "equivalent"
    assert judge(False, near, 0.05) == "equivalent"
    assert judge(False, near, -0.2) == "different"
    assert judge(False, None, None) == "different"
    assert judge(False, Difference(0.0, 0, 1.0, 7), None) == "different"
    assert worst(["identical", "different", "equivalent"]) == "different"
