"""Buckets, and crops that keep heads: measured on drawn pictures whose head boxes are known."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from PIL import Image

from kolors_submit.data.crop import Crop, apply, buckets, choose
from kolors_submit.data.faces import find_faces
from kolors_submit.picturebook.grammar import sample_training
from kolors_submit.picturebook.paint import draw, head_boxes

SIZES = ((512, 384), (384, 512), (480, 384), (384, 480), (576, 384), (384, 576))
Box = tuple[float, float, float, float]


@pytest.mark.parametrize("size", [64, 96, 256, 512, 768, 1024])
def test_buckets_have_the_squares_area_and_sides_that_the_unet_can_halve(size: int) -> None:
    shapes = buckets(size)
    step = 64 if size >= 512 else 32
    assert (size, size) in shapes and shapes == sorted(set(shapes))
    for width, height in shapes:
        assert (height, width) in shapes
        assert (width, height) == (size, size) or (width % step == 0 and height % step == 0)
        assert 0.5 * size**2 < width * height <= size**2
        assert max(width / height, height / width) <= 2.4


def test_the_buckets_of_1024_are_sdxls() -> None:
    known = {(1024, 1024), (1152, 896), (1216, 832), (1344, 768), (1536, 640), (896, 1152), (832, 1216), (768, 1344)}
    assert known <= set(buckets(1024))


@pytest.mark.parametrize("resize", ["attention", "center", "bucket"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (1000, 90), (9, 700), (65, 64)])
def test_a_crop_is_as_large_as_it_can_be_and_inside(resize: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    crop = choose(image, 64, resize)  # type: ignore[arg-type]
    assert 0 <= crop.left < crop.right <= size[0] and 0 <= crop.top < crop.bottom <= size[1]
    assert crop.right - crop.left == size[0] or crop.bottom - crop.top == size[1]
    assert apply(image, crop).size == (crop.width, crop.height)
    if resize != "bucket":
        assert crop.right - crop.left == crop.bottom - crop.top == min(size) and (crop.width, crop.height) == (64, 64)


def test_the_centre_crop_is_in_the_middle() -> None:
    assert choose(Image.new("RGB", (300, 200)), 64, "center") == Crop(50, 0, 250, 200, 64, 64)


def test_without_a_face_the_crop_goes_where_the_detail_is() -> None:
    image = Image.new("RGB", (600, 200), "#203060")
    texture = np.random.default_rng(1).integers(0, 256, (200, 150, 1), dtype=np.uint8).repeat(3, 2)
    texture[..., 0] = 0  # no skin in it
    image.paste(Image.fromarray(texture), (450, 0))
    assert find_faces(image) == []
    assert choose(image, 64, "attention").right == 600
    flat = Image.new("RGB", (600, 200), "#203060")
    assert choose(flat, 64, "attention").left == 200


def is_whole(head: Box, crop: Crop, size: tuple[int, int]) -> bool:
    """Whether all of a head that the picture shows is in the crop, to the pixel."""
    x0, y0, x1, y1 = max(head[0], 0), max(head[1], 0), min(head[2], size[0]), min(head[3], size[1])
    return x0 >= crop.left - 1 and y0 >= crop.top - 1 and x1 <= crop.right + 1 and y1 <= crop.bottom + 1


def heads_kept(count: int, seed: int, style: str = "plain") -> dict[str, float]:
    """The share of heads that each way of cropping keeps whole, over drawn pictures of six shapes."""
    rng = Random(seed)
    kept: dict[str, list[bool]] = {"attention": [], "center": [], "bucket": []}
    for number in range(count):
        scene, (width, height) = sample_training(rng), SIZES[number % len(SIZES)]
        image = draw(scene, width=width, height=height, style=style)
        for resize, found in kept.items():
            crop = choose(image, 1024, resize)  # type: ignore[arg-type]
            found += [is_whole(head, crop, image.size) for head in head_boxes(scene, width=width, height=height)]
    return {resize: sum(found) / len(found) for resize, found in kept.items()}


def test_the_attention_crop_keeps_heads_whole(record_property: Callable[[str, object], None]) -> None:
    share = heads_kept(40, seed=7)
    print("heads kept whole:", share)
    record_property("heads_kept_whole", share)
    assert share["attention"] >= 0.95 and share["bucket"] >= 0.95
    assert share["attention"] > share["center"]
