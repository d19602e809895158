"""Strangers' words: which characters of them a terminal, a page or a table would obey instead of showing."""

from __future__ import annotations

import re

STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line ends, those that turn the direction of writing, and halves of characters."""


def tame(text: str) -> str:
    """The text with a replacement mark for every such character."""
    return STEERING.sub("\N{REPLACEMENT CHARACTER}", text)


def cut(text: str, limit: int) -> str:
    """The text, of one longer than `limit` what fits in whole words."""
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " …"
