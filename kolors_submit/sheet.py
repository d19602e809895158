"""The contact sheet of a story: title, numbered panels, captions, in one JPEG with the package's own font."""

from __future__ import annotations

import io
import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kolors_submit.decoders import open_picture

FONT = Path(__file__).parent / "fonts" / "story-kai.woff"
PAPER, INK, GREY, ACCENT, LINE = (250, 247, 240), (46, 42, 38), (128, 120, 110), (176, 74, 52), (214, 206, 192)
COLUMNS = 4
CELL = 480
"""Width of a panel on the sheet, in pixels."""
WIDEST = 3840
"""Width of all panels side by side where there are more than eight rows of four, in pixels."""
CAPTION_LINES = 6
NO_LINE_START = "，。！？；：、）》」』】〉…—”’,.!?;:)]}%·ー～"
"""Characters that belong to the one before."""


@dataclass(frozen=True)
class Layout:
    """Sizes on the sheet, in pixels."""

    columns: int
    cell: int

    @property
    def gap(self) -> int:
        """Between columns."""
        return max(4, self.cell // 14)

    @property
    def margin(self) -> int:
        """Around everything."""
        return max(24, self.cell // 6)

    @property
    def text(self) -> int:
        """Font size of the captions."""
        return max(9, self.cell // 17)

    @property
    def width(self) -> int:
        """Of the whole sheet."""
        return self.columns * self.cell + (self.columns - 1) * self.gap + 2 * self.margin


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The shipped font at a size in pixels; laid out by Pillow itself, so that every machine draws the same pixels."""
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)


def story_sheet(panels: Sequence[Path], captions: Sequence[str], title: str, team: str = "") -> bytes:
    """Draw all panels, four a row, with title and numbered captions; returns a JPEG, the same bytes for the same input.

    Raises ValueError where panels and captions differ in number or there are none.
    """
    if not panels or len(panels) != len(captions):
        raise ValueError(f"{len(panels)} panels and {len(captions)} captions")
    layout = _layout(len(panels))
    heading = _heading(layout.width, layout.margin, title, team)
    rows = [_row(layout, panels, captions, start) for start in range(0, len(panels), layout.columns)]
    height = heading.height + sum(row.height for row in rows) + layout.margin // 2
    sheet = Image.new("RGB", (layout.width, height), PAPER)
    top = 0
    for part in (heading, *rows):
        sheet.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return buffer.getvalue()


def wrap(text: str, size: int, width: int, lines: int) -> list[str]:
    """Break a text into at most `lines` lines of `width` pixels: between words, and anywhere between hanzi or kana."""
    broken = list(islice(_broken(text, size, width), lines + 1))
    if len(broken) > lines:
        last = broken[lines - 1]
        while last and font(size).getlength(last + "…") > width:
            last = last[:-1]
        broken = [*broken[: lines - 1], last.rstrip() + "…"]
    return broken


def _broken(text: str, size: int, width: int) -> Iterator[str]:
    """All lines of a text, made as they are asked for: it may be a stranger's, and long."""
    measure = font(size).getlength
    line = ""
    for piece in _pieces(text):
        if line and measure((line + piece).rstrip()) > width:
            yield from _split_long(line.strip(), size, width)
            line = piece.lstrip()
        else:
            line += piece
    yield from _split_long(line.strip(), size, width)


def _pieces(text: str) -> list[str]:
    """A text in parts that lines may end after; blanks and control characters become one blank."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    pieces: list[str] = []
    for char in plain:
        joins = bool(pieces) and (
            char in NO_LINE_START
            or char == " "
            or not (_is_wide(char) or _is_wide(pieces[-1][-1]) or pieces[-1][-1] == " ")
        )
        if joins:
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _split_long(line: str, size: int, width: int) -> Iterator[str]:
    """A word that is wider than a line, cut where it must be."""
    measure = font(size).getlength
    while len(line) > 1 and measure(line) > width:
        cut = max(1, bisect_right(range(1, len(line)), float(width), key=lambda n: measure(line[:n])))
        yield line[:cut].strip()
        line = line[cut:]
    yield line.strip()


def _layout(count: int) -> Layout:
    """Four columns up to eight rows; of more panels as many columns as rows, so that no sheet is a long strip."""
    if count <= 8 * COLUMNS:
        return Layout(min(COLUMNS, count), CELL)
    columns = math.ceil(math.sqrt(count))
    return Layout(columns, WIDEST // columns)


def _heading(width: int, margin: int, title: str, team: str) -> Image.Image:
    """Title and team over a thin line."""
    inner = width - 2 * margin
    size, least = (84, 30) if inner > CELL else (48, 20)
    while size > least and len(wrap(title, size, inner, 3)) > 1:
        size -= 2
    lines = wrap(title, size, inner, 3)
    small = max(20, size * 2 // 5)
    below = wrap(team, small, inner, 1) if team.strip() else []
    top, step = margin * 3 // 4, size * 5 // 4
    height = top + len(lines) * step + len(below) * small * 3 // 2 + size // 3
    image = Image.new("RGB", (width, height + size // 2), PAPER)
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((width / 2, top + index * step + step / 2), line, font=font(size), fill=INK, anchor="mm")
    for line in below:
        draw.text((width / 2, top + len(lines) * step + small * 3 / 4), line, font=font(small), fill=GREY, anchor="mm")
    draw.line((margin, height, width - margin, height), fill=LINE, width=2)
    return image


def _row(layout: Layout, panels: Sequence[Path], captions: Sequence[str], start: int) -> Image.Image:
    """One row: pictures, below each its number and caption; a short last row stands in the middle."""
    count = min(layout.columns, len(panels) - start)
    size = layout.text
    indent = round(font(size).getlength(f"{len(panels)}")) + size // 2
    texts = [wrap(captions[start + i], size, layout.cell - indent, CAPTION_LINES) for i in range(count)]
    pictures = [_fitted(path, layout.cell) for path in panels[start : start + count]]
    step, below = size * 4 // 3, max(picture.height for picture in pictures)
    height = below + size // 2 + max(map(len, texts)) * step + layout.gap
    image = Image.new("RGB", (layout.width, height), PAPER)
    draw = ImageDraw.Draw(image)
    left = (layout.width - count * layout.cell - (count - 1) * layout.gap) // 2
    for i, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
        x = left + i * (layout.cell + layout.gap)
        image.paste(picture, (x + (layout.cell - picture.width) // 2, below - picture.height))
        y = below + size // 2 + step / 2
        draw.text((x, y), f"{start + i + 1}", font=font(size), fill=ACCENT, anchor="lm")
        for number, line in enumerate(lines):
            draw.text((x + indent, y + number * step), line, font=font(size), fill=INK, anchor="lm")
    return image


def _fitted(path: Path, cell: int) -> Image.Image:
    """A panel as wide as its cell and whole, or as high as two cells where it is very tall."""
    with open_picture(path) as file:
        image = file.convert("RGB")
    scale = min(cell / image.width, 2 * cell / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
