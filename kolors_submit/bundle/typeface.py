"""The page's own letters: the package's font, cut down to the characters of one page.

So a machine without any hanzi shows them, and the page looks the same everywhere. A browser's fallback to a font of the
page is not reliable, so each of the two families comes first where it is used: one has every character, for headings;
the other only wide ones, for text whose Latin letters are the system's.
"""

from __future__ import annotations

import base64
import functools
import io
import unicodedata
from importlib.resources import files

WIDE_RANGE = "U+2E80-9FFF, U+F900-FAFF, U+FE30-FE4F, U+FF00-FFEF"
"""Hanzi, kana and their punctuation; without it a font that lacks Latin letters would still set the line's height."""


@functools.lru_cache(maxsize=2)  # a page is made, and checked after that
def font_faces(text: str) -> str:
    """CSS rules for the families Story Kai and Story Hanzi with the characters of `text`; same text, same rules."""
    wide = "".join(char for char in text if unicodedata.east_asian_width(char) in "WF")
    whole = files("kolors_submit.fonts").joinpath("story-kai.woff").read_bytes()
    every = _letters(whole, text)
    hanzi = _letters(every, wide)  # of the small one: to read the whole font takes most of the time
    return _rule("Story Kai", every) + _rule("Story Hanzi", hanzi, f" unicode-range: {WIDE_RANGE};")


def _letters(font: bytes, text: str) -> bytes:
    """A font (WOFF) cut down to the characters of a text."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options(flavor="woff", hinting=False, layout_features=[], notdef_outline=True)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=sorted({ord(char) for char in text}))
    buffer = io.BytesIO()
    # The glyphs stay as they are, and so do their bounds: to find them again takes most of the time.
    with TTFont(io.BytesIO(font), recalcTimestamp=False, recalcBBoxes=False) as opened:
        subsetter.subset(opened)
        opened.flavor = "woff"
        opened.save(buffer)
    return buffer.getvalue()


def _rule(family: str, font: bytes, more: str = "") -> str:
    source = f"url(data:font/woff;base64,{base64.b64encode(font).decode()})"
    return f'@font-face {{ font-family: "{family}"; src: {source} format("woff");{more} }}\n'
