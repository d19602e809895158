"""Any picture file to RGB, and what is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from kolors_submit.data.pictures import BadPicture, decode
from tests.data.jobs import encoded, picture

WHITE, RED = (255, 255, 255), (255, 0, 0)


def flat(mode: str, colour: object, format: str = "PNG", **options: object) -> bytes:
    return encoded(Image.new(mode, (16, 16), colour), format, **options)


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        pytest.param(flat("RGB", RED), RED, id="rgb"),
        pytest.param(flat("L", 200), (200, 200, 200), id="grey"),
        pytest.param(flat("1", 1), WHITE, id="bilevel"),
        pytest.param(flat("RGBA", (255, 0, 0, 0)), WHITE, id="transparent onto white"),
        pytest.param(flat("RGBA", (255, 0, 0, 128)), (255, 127, 127), id="half transparent onto white"),
        pytest.param(flat("LA", (0, 0)), WHITE, id="transparent grey"),
        pytest.param(flat("CMYK", (0, 255, 255, 0), "JPEG", quality=100), RED, id="CMYK"),
        pytest.param(flat("I;16", 51400), (200, 200, 200), id="16 bit"),
        pytest.param(flat("I;16", 51400, "TIFF"), (200, 200, 200), id="16 bit TIFF"),
        pytest.param(flat("RGB", RED, "BMP"), RED, id="BMP"),
        pytest.param(flat("RGB", RED, "GIF"), RED, id="GIF"),
        pytest.param(flat("RGB", RED, "WEBP", lossless=True), RED, id="WebP"),
    ],
)
def test_every_mode_becomes_rgb(data: bytes, colour: tuple[int, int, int]) -> None:
    image = decode(data)
    assert image.mode == "RGB" and image.size == (16, 16)
    assert np.abs(np.asarray(image, dtype=int) - colour).max() <= 2


def test_a_palette_with_a_transparent_colour_goes_onto_white() -> None:
    image = picture().quantize(8)
    index = image.getpixel((0, 0))
    assert decode(encoded(image, transparency=index)).getpixel((0, 0)) == WHITE
    assert decode(encoded(image)).size == image.size


def test_the_exif_rotation_is_applied_and_exif_goes_no_further() -> None:
    image = Image.new("RGB", (40, 24), "blue")
    image.paste("red", (0, 0, 20, 24))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left half comes to the top
    turned = decode(encoded(image, "JPEG", exif=exif, quality=95))
    assert turned.size == (24, 40)
    assert turned.getpixel((12, 5))[0] > 200 and turned.getpixel((12, 35))[2] > 200
    assert not turned.getexif() and not turned.info


def animated(format: str) -> bytes:
    file = io.BytesIO()
    picture(1).save(file, format, save_all=True, append_images=[picture(2), picture(3)])
    return file.getvalue()


def test_a_phones_photo_with_a_preview_behind_it_is_its_first_picture() -> None:
    image = decode(animated("MPO"))
    assert np.abs(np.asarray(image, dtype=int) - np.asarray(picture(1), dtype=int)).mean() < 5


def bomb(side: int) -> bytes:
    """A PNG whose header promises side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(b"not a picture", "no picture", id="text"),
        pytest.param(encoded(picture(), "JPEG")[:-200], "truncated", id="truncated JPEG"),
        pytest.param(encoded(picture())[:-200], "truncated", id="truncated PNG"),
        pytest.param(flipped(encoded(picture())), "corrupt", id="one byte flipped"),
        pytest.param(animated("GIF"), "animated", id="animated GIF"),
        pytest.param(animated("WEBP"), "animated", id="animated WebP"),
        pytest.param(animated("PNG"), "animated", id="animated PNG"),
        pytest.param(animated("TIFF"), "several pages", id="TIFF of three pages"),
        pytest.param(encoded(picture().convert("F"), "TIFF"), "floating-point", id="floating point"),
        pytest.param(encoded(picture(size=(300, 4))), "at least 8 pixels", id="a strip"),
        pytest.param(bomb(10_000), "pixels", id="more pixels than allowed"),
        pytest.param(bomb(60_000), "pixels", id="decompression bomb"),
        pytest.param(encoded(picture(), "PPM"), "no picture", id="another format"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_refused_and_why(data: bytes, why: str) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # as importing data_juicer leaves it
    with pytest.raises(BadPicture, match=why):
        decode(data)


def test_random_bytes_behind_a_header_never_raise_anything_else() -> None:
    good = encoded(picture(), "JPEG")
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(good)
        for place in rng.integers(2, len(data), 8):
            data[place] = rng.integers(256)
        with contextlib.suppress(BadPicture):
            assert decode(bytes(data)).mode == "RGB"
