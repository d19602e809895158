"""A picture's caption: its own, or the story's template with the columns of the source put in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

MAX_CHARACTERS = 4_000
"""A caption longer than this is no caption; ChatGLM reads 256 tokens of it."""

COLUMNS = ("text", "caption", "prompt")
"""Columns that hold a caption where the story names none, in this order (letters' case does not matter)."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class BadCaption(Exception):
    """A caption that cannot be used; the message says why, in a few words."""


def caption(template: str | None, columns: Mapping[str, str]) -> str:
    """The caption of a picture: `template` with `{column}` put in, or the first of COLUMNS without a template.

    Line breaks and runs of blanks become one blank. Raises BadCaption where there is none, where it is empty or too
    long, or where the template names a column that the picture does not have or has a brace that stands alone.
    """
    if template is None:
        own = own_column(columns)
        if own is None:
            raise BadCaption("has no caption")
        text = columns[own]
    else:
        text = _BRACES.sub(lambda match: _put(match, columns), template)
    text = " ".join(text.split())
    if not text:
        raise BadCaption("has an empty caption")
    if len(text) > MAX_CHARACTERS:
        raise BadCaption(f"has a caption of {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise BadCaption("has control characters in its caption")
    return text


def own_column(columns: Mapping[str, str]) -> str | None:
    """The name of the column that holds the source's own caption, or None."""
    return next((name for wanted in COLUMNS for name in columns if name.lower() == wanted), None)


def _put(match: re.Match[str], columns: Mapping[str, str]) -> str:
    token = match.group(0)
    if token in ("{{", "}}"):
        return token[0]
    if match.group(1) is None:
        raise BadCaption(f"cannot use dataset.captions: a lone {token!r} in it; write {token * 2} for a brace")
    name = match.group(1).strip()
    found = name if name in columns else next((key for key in columns if key.lower() == name.lower()), None)
    if found is None:
        raise BadCaption(f"has no column {name!r} for its caption (there are: {', '.join(columns) or 'none'})")
    return columns[found]
