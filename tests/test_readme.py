"""The README in English and in Chinese say the same: verbs, commands, pictures, figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def rows(text: str) -> list[list[str]]:
    """Each table's row as the code in it, and the figures of those that have figures."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [code(line) + re.findall(r"\d[\d.]* %", line) for line in lines]


def commands(text: str) -> list[str]:
    """The indented lines, without the remark at their end."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return [re.split(r"\s{2,}#", line)[0] for line in lines]


def pictures(text: str) -> list[str]:
    return re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+", text, re.MULTILINE)


@pytest.mark.parametrize("part", [rows, commands, pictures, headings])
def test_both_have_the_same(part):
    assert part(ENGLISH) and part(ENGLISH) == part(CHINESE)


def test_both_name_the_same_files_options_and_figures():
    assert sorted(set(code(ENGLISH))) == sorted(set(code(CHINESE)))
    figures = [sorted(re.findall(r"\d+(?:\.\d+)?", text)) for text in (ENGLISH, CHINESE)]
    assert figures[0] == figures[1]


def test_each_links_to_the_other_at_the_top():
    assert "(README.zh-CN.md)" in "".join(ENGLISH.splitlines()[:3])
    assert "(README.md)" in "".join(CHINESE.splitlines()[:3])


def test_every_picture_is_there():
    assert all((ROOT / name).is_file() for name in pictures(ENGLISH))
