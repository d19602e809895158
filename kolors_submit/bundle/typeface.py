"""The page's own letters: the package's font, cut down to the characters of one page.

So a machine without any hanzi shows them, and the page looks the same everywhere. A browser's fallback to a font of the
page is not reliable, so each of the two families comes first where it is used: one has every character, for headings;
the other only wide ones, for text whose Latin letters are the system's.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from importlib.resources import as_file, files

WIDE_RANGE = "U+2E80-9FFF, U+F900-FAFF, U+FE30-FE4F, U+FF00-FFEF"
"""Hanzi, kana and their punctuation; without it a font that lacks Latin letters would still set the line's height."""


def font_faces(text: str) -> str:
    """CSS rules for the families Story Kai and Story Hanzi with the characters of `text`; same text, same rules."""
    wide = "".join(char for char in text if unicodedata.east_asian_width(char) in "WF")
    return _rule("Story Kai", text) + _rule("Story Hanzi", wide, f" unicode-range: {WIDE_RANGE};")


def _rule(family: str, text: str, more: str = "") -> str:
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options(flavor="woff", hinting=False, layout_features=[], notdef_outline=True)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=sorted({ord(char) for char in text}))
    buffer = io.BytesIO()
    whole = files("kolors_submit.fonts").joinpath("story-kai.woff")
    with as_file(whole) as path, TTFont(path, recalcTimestamp=False) as font:
        subsetter.subset(font)
        font.flavor = "woff"
        font.save(buffer)
    source = f"url(data:font/woff;base64,{base64.b64encode(buffer.getvalue()).decode()})"
    return f'@font-face {{ font-family: "{family}"; src: {source} format("woff");{more} }}\n'
