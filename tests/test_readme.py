"""README and guide say the same in English and in Chinese: verbs, commands, pictures, figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAIRS = {"README.md": "README.zh-CN.md", "docs/guide.md": "docs/guide.zh-CN.md"}
BOTH = pytest.mark.parametrize(
    ("english", "chinese"), [[(ROOT / name).read_text("utf-8") for name in pair] for pair in PAIRS.items()], ids=PAIRS
)


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


@BOTH
@pytest.mark.parametrize("part", [rows, commands, pictures, headings])
def test_both_have_the_same(part: Callable[[str], list[Any]], english: str, chinese: str) -> None:
    assert part(english) == part(chinese)


@BOTH
def test_both_name_the_same_files_options_and_figures(english: str, chinese: str) -> None:
    assert code(english) and set(code(english)) == set(code(chinese))
    figures = [sorted(re.findall(r"\d+(?:\.\d+)?", text)) for text in (english, chinese)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(("english", "chinese"), PAIRS.items())
def test_each_links_to_the_other_at_the_top(english: str, chinese: str) -> None:
    for here, there in ((english, chinese), (chinese, english)):
        assert f"({Path(there).name})" in "".join((ROOT / here).read_text("utf-8").splitlines()[:3])


@pytest.mark.parametrize("name", [*PAIRS, *PAIRS.values()])
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^):]+)\)", (ROOT / name).read_text("utf-8"))
    assert links and all(((ROOT / name).parent / link).is_file() for link in links)
