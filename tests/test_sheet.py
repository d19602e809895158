"""The contact sheet: every number and shape of panels, every script of a story, the same bytes each time."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw

from kolors_submit.sheet import FONT, PAPER, font, story_sheet, wrap

CAPTIONS = ["小狐狸在雪地里画画", "The fox looks at the moon, and the moon looks back at her"] * 4


@pytest.fixture
def panels(tmp_path: Path) -> list[Path]:
    """Eight panels of 128 px in eight colours."""
    paths = [tmp_path / f"{n:02d}.png" for n in range(1, 9)]
    for n, path in enumerate(paths):
        Image.new("RGB", (128, 128), (220, 20 * n, 20)).save(path)
    return paths


def glyph(char: str) -> Image.Image:
    image = Image.new("L", (64, 64))
    ImageDraw.Draw(image).text((8, 8), char, font=font(40), fill=255)
    return image


@pytest.mark.parametrize("char", [*"画龍水彩，。《》「」のアéßЖ~Aa9", "…", "—", "“"])
def test_glyph_is_not_the_missing_box(char: str) -> None:
    missing = glyph("\U0010ffff")
    assert missing.getbbox() is not None
    assert glyph(char).getbbox() is not None
    assert ImageChops.difference(glyph(char), missing).getbbox() is not None


def test_font_has_every_gb2312_character() -> None:
    from fontTools.ttLib import TTFont

    known = TTFont(FONT).getBestCmap()
    hanzi = [bytes((a, b)).decode("gb2312", "ignore") for a in range(0xB0, 0xF8) for b in range(0xA1, 0xFF)]
    assert len([char for char in hanzi if char]) == 6763
    assert not [char for char in hanzi if char and ord(char) not in known]


def test_font_is_small_and_licensed() -> None:
    assert FONT.stat().st_size <= 3_000_000
    assert "SIL OPEN FONT LICENSE" in FONT.with_name("OFL.txt").read_text("utf-8")


def test_same_bytes_twice_and_of_a_reasonable_size(panels: list[Path]) -> None:
    sheet = story_sheet(panels, CAPTIONS, "雪夜里的小狐狸", "一队")
    assert sheet == story_sheet(panels, CAPTIONS, "雪夜里的小狐狸", "一队")
    assert len(sheet) < 2_000_000
    image = Image.open(io.BytesIO(sheet))
    assert image.format == "JPEG"
    assert image.width > image.height  # 4 x 2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 33])
def test_any_number_of_panels(panels: list[Path], count: int) -> None:
    many = (panels * 5)[:count]
    sheet = Image.open(io.BytesIO(story_sheet(many, [f"第{n}幅" for n in range(count)], "故事")))
    coloured = sheet.convert("HSV").getchannel("S").point(lambda s: 255 * (s > 100)).histogram()[255]
    columns = 4 if 4 <= count <= 32 else count if count < 4 else 6
    cell = 480 if columns <= 4 else 3840 // 6
    assert coloured == pytest.approx(count * cell**2, rel=0.02)


@pytest.mark.parametrize("size", [(512, 64), (64, 512), (64, 2048)])
def test_a_picture_of_any_shape_is_whole(panels: list[Path], tmp_path: Path, size: tuple[int, int]) -> None:
    odd = tmp_path / "odd.png"
    image = Image.new("RGB", size, (0, 0, 255))
    ImageDraw.Draw(image).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(255, 0, 0), width=min(size) // 16)
    image.save(odd)
    sheet = Image.open(io.BytesIO(story_sheet([odd, *panels[1:]], CAPTIONS, "故事"))).convert("RGB")
    blue = [(x, y) for x in range(0, 620, 2) for y in range(0, sheet.height, 2) if _is(sheet, x, y, (0, 0, 255))]
    left, right = min(x for x, _ in blue), max(x for x, _ in blue)
    top, bottom = min(y for _, y in blue), max(y for _, y in blue)
    seen = (right - left + 2) / (bottom - top + 2)
    inner = [side - 2 * (min(size) // 16) for side in size]
    assert seen == pytest.approx(inner[0] / inner[1], rel=0.15)


def _is(image: Image.Image, x: int, y: int, colour: tuple[int, int, int]) -> bool:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    "text", ["雪，落在山上。" * 20, "snow falls on the hill " * 20, "x" * 300, "画", "", "a\n\tb\x00c"]
)
def test_wrapped_lines_fit(text: str) -> None:
    lines = wrap(text, 28, 400, 6)
    assert 1 <= len(lines) <= 6
    assert all(font(28).getlength(line) <= 400 + 28 for line in lines)  # a closing stop may hang out
    assert not any(line[:1] in set("，。") for line in lines)


def test_short_text_is_kept_whole_and_a_long_one_ends_in_an_ellipsis() -> None:
    assert wrap("The fox looks back", 28, 150, 6) == ["The fox", "looks back"]
    assert wrap("雪" * 500, 28, 400, 2)[-1].endswith("…")


@pytest.mark.parametrize("text", ["x" * 10_000, "雪" * 10_000, "x y " * 2500], ids=["word", "hanzi", "words"])
def test_a_strangers_endless_text_is_wrapped_at_once(text: str) -> None:
    start = time.process_time()
    lines = wrap(text, 28, 400, 6)
    assert len(lines) == 6 and lines[-1].endswith("…")
    assert time.process_time() - start < 5, "it took minutes for a word of 2,000 letters"


def test_a_long_word_is_cut_where_the_line_is_full() -> None:
    lines = wrap("abcdefghij" * 20, 28, 400, 20)
    assert "".join(lines) == "abcdefghij" * 20
    measure = font(28).getlength
    assert all(measure(line) <= 400 < measure(line + after[0]) for line, after in pairwise(lines))


def test_long_title_and_no_title_stay_on_the_paper(panels: list[Path]) -> None:
    for title in ("很长的故事名" * 33, "", "A " * 99):
        sheet = Image.open(io.BytesIO(story_sheet(panels, CAPTIONS, title, "队" * 200))).convert("RGB")
        edge = sheet.crop((0, 0, 40, sheet.height))
        assert all(high - low < 24 for low, high in edge.getextrema())
        assert _is(sheet, 5, 5, PAPER)


def test_panels_and_captions_must_agree(panels: list[Path]) -> None:
    with pytest.raises(ValueError, match="8 panels and 1 captions"):
        story_sheet(panels, ["one"], "故事")
    with pytest.raises(ValueError, match="0 panels"):
        story_sheet([], [], "故事")
