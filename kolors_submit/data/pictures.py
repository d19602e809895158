"""A picture file of any format as RGB pixels, strictly checked: what is broken is named, never repaired by guessing."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from kolors_submit.decoders import open_picture

SUFFIXES = frozenset(
    (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)
"""What a picture file in a folder is called, in lower case."""

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 80_000_000
_ORIENTATION = 0x0112
MIN_SIDE = 8
"""Below this many pixels a side there is nothing to learn from, and filters divide by nearly zero."""


class BadPicture(Exception):
    """A picture that cannot be used; the message says why, in a few words."""


def read_file(path: Path) -> bytes:
    """A picture file's bytes; raises BadPicture where it cannot be read or is larger than MAX_BYTES."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadPicture(f"is {size:,} bytes; at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror})") from error


def is_plain(data: bytes) -> bool:
    """Whether any program would read this picture's pixels as `decode` does: RGB and upright as it is stored."""
    with open_picture(io.BytesIO(data)) as image:
        return image.mode == "RGB" and not image.has_transparency_data and image.getexif().get(_ORIENTATION, 1) == 1


def decode(data: bytes) -> Image.Image:
    """The picture as RGB with its EXIF rotation applied; transparent parts become white.

    16-bit greys are scaled to 8 bits. Raises BadPicture for what is empty, truncated, corrupt, animated, of another
    format than decoders.FORMATS, larger than MAX_PIXELS or MAX_BYTES, or smaller than MIN_SIDE.
    """
    if not data:
        raise BadPicture("is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise BadPicture(f"is {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # other packages switch it on for the whole process
    try:
        return _decode(data)
    except BadPicture:
        raise
    except Image.DecompressionBombError as error:
        raise BadPicture(f"has more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise BadPicture("is no picture of a known format (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF)") from error
    except Exception as error:  # decoders raise nearly anything on crafted bytes, and one file must not stop the run
        raise BadPicture(f"is corrupt or truncated ({str(error)[:120] or type(error).__name__})") from error


def _decode(data: bytes) -> Image.Image:
    with open_picture(io.BytesIO(data)) as image:
        _check_header(image)
        if image.format == "PNG":
            image.verify()  # checksums of all chunks, which loading skips
    with open_picture(io.BytesIO(data)) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        rgb = _to_rgb(upright)
    # A fresh picture: no EXIF, profile or text of the original goes further.
    clean = Image.new("RGB", rgb.size)
    clean.paste(rgb)
    return clean


def _check_header(image: Image.Image) -> None:
    """What can be refused before a single pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadPicture(f"is {width}x{height}; at most {MAX_PIXELS:,} pixels are read")
    if min(width, height) < MIN_SIDE:
        raise BadPicture(f"is {width}x{height}; each side needs at least {MIN_SIDE} pixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a phone's MPO holds one photo and its previews
        raise BadPicture(f"is animated or has several pages ({frames}); save one of them as a still picture")


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB from any of Pillow's modes."""
    if image.mode == "F":
        raise BadPicture("has floating-point pixels, which say nothing about what is white; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image, dtype=np.int64)
        return Image.fromarray(np.clip((grey + 128) // 257, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Within the block Pillow's warnings of a broken file's oddities are muted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
