"""Which part of a picture is kept, and at which size: buckets of several shapes, and crops that keep heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kolors_submit.data.faces import Face, find_faces

Array = NDArray[np.float64]
Resize = Literal["attention", "center", "bucket"]

WIDEST = 2.4
"""The longest shape of a bucket, width / height or the other way round; SDXL's own buckets reach 2.4."""

_HEAD = {"x": (0.45, 0.45), "y": (0.8, 0.2)}
_WITH_HAT = {"x": (0.6, 0.6), "y": (1.6, 0.5)}
"""How far a head, and a head with much hair or a hat, reaches beyond its face (left and right, above and below), in
sides of the face's square."""


@dataclass(frozen=True)
class Crop:
    """The kept part of a picture in pixels of the original, right and bottom excluded, and its prepared size."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int


def buckets(size: int) -> list[tuple[int, int]]:
    """Widths and heights of about the area of `size` x `size`, from the tallest to the widest; the square is one.

    Sides are multiples of 64 pixels from 512 on and of 32 below: the UNet halves a latent of 1/8 the side twice.
    Larger than the square's area is none (Podell et al., "SDXL", 2023, appendix I, lists these shapes for 1024).
    """
    step = 64 if size >= 512 else 32
    wide = {(size, size)}
    for width in range(size + step - size % step, 2 * size + 1, step):
        height = size * size // width // step * step
        if height and width / height <= WIDEST:
            wide.add((width, height))
    return sorted(wide | {(height, width) for width, height in wide})


def choose(image: Image.Image, size: int, resize: Resize) -> Crop:
    """The crop of an RGB picture.

    `center` and `attention` give a square of `size` from the middle or from where the heads are; `bucket` gives the
    shape of `buckets(size)` nearest to the picture's own, aimed by attention too. Each crop is as large as it can be.
    """
    width, height = image.size
    target = (size, size)
    if resize == "bucket":
        target = min(buckets(size), key=lambda shape: abs(math.log(shape[0] / shape[1] * height / width)))
    scale = min(width / target[0], height / target[1])
    kept_width = min(width, max(1, round(target[0] * scale)))
    kept_height = min(height, max(1, round(target[1] * scale)))
    if resize == "center":
        left, top = (width - kept_width) // 2, (height - kept_height) // 2
    else:
        left, top = _attend(image, kept_width, kept_height)
    return Crop(left, top, left + kept_width, top + kept_height, *target)


def apply(image: Image.Image, crop: Crop) -> Image.Image:
    """The kept part at its prepared size (Lanczos)."""
    box = (crop.left, crop.top, crop.right, crop.bottom)
    return image.resize((crop.width, crop.height), Image.Resampling.LANCZOS, box=box)


def _attend(image: Image.Image, kept_width: int, kept_height: int) -> tuple[int, int]:
    """Where a crop of this size begins so that it keeps heads, or what is most detailed where there is no head."""
    width, height = image.size
    if (kept_width, kept_height) == (width, height):
        return 0, 0
    faces = find_faces(image)
    if width - kept_width >= height - kept_height:
        spans = [_span(face, "x", width) for face in faces]
        left = _best_start(width, kept_width, spans, 0.5, lambda: _detail(image, 0))
        return left, (height - kept_height) // 2
    spans = [_span(face, "y", height) for face in faces]
    top = _best_start(height, kept_height, spans, 0.3, lambda: _detail(image, 1))
    return (width - kept_width) // 2, top


@dataclass(frozen=True)
class _Span:
    """A face on one axis, in pixels, and its score."""

    begin: float
    end: float
    score: float
    axis: Literal["x", "y"]

    @property
    def side(self) -> float:
        return self.end - self.begin

    def cut(self, starts: Array, kept: int, length: int, reach: tuple[float, float]) -> Array:
        """How many sides of the face are cut from a head that reaches so far, for each start of the crop."""
        begin = max(self.begin - reach[0] * self.side, 0.0)
        end = min(self.end + reach[1] * self.side, float(length))
        return (np.maximum(0, starts - begin) + np.maximum(0, end - starts - kept)) / self.side


def _span(face: Face, axis: Literal["x", "y"], length: int) -> _Span:
    begin, end = (face.x0, face.x1) if axis == "x" else (face.y0, face.y1)
    return _Span(begin * length, end * length, face.score, axis)


def _best_start(length: int, kept: int, faces: list[_Span], rest: float, detail: Callable[[], Array]) -> int:
    """Where `kept` of `length` pixels begin: whole heads first, then their hats, then near `rest`.

    `rest` says where the crop lies between the near end (0) and the far one (1) if nothing else decides.
    """
    starts = np.arange(length - kept + 1.0)
    worth = -1e-4 * np.abs(starts - rest * (length - kept)) / length
    for face in faces:
        head, hat = (face.cut(starts, kept, length, reach[face.axis]) for reach in (_HEAD, _WITH_HAT))
        whole, hatted = np.clip(1 - head / 0.8, 0, 1), np.clip(1 - hat / max(_WITH_HAT[face.axis]), -1, 1)
        worth += face.score * (whole + 0.5 * hatted)
    if not faces:
        total = detail()
        share = np.interp(np.arange(length + 1), np.linspace(0, length, len(total)), total)
        worth += share[kept:] - share[: len(starts)]
    return int(np.argmax(worth))


def _detail(image: Image.Image, axis: int) -> Array:
    """How much of the picture's detail lies before each of some points along an axis (0: x, 1: y), from 0 to 1."""
    grey = image.convert("L")
    grey.thumbnail((256, 256), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.float64)
    edges = np.abs(np.diff(values, axis=0, prepend=values[:1])) + np.abs(np.diff(values, axis=1, prepend=values[:, :1]))
    along = np.concatenate([[0.0], edges.sum(axis).cumsum()])
    return along / max(along[-1], 1e-9)
