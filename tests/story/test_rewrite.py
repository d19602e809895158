"""Seeds written into a story file: nothing else changes, and an edit in between is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kolors_submit.errors import InputError
from kolors_submit.story import load_story
from kolors_submit.story.rewrite import write_seeds

ROOT = Path(__file__).parents[2]
STORIES = sorted((ROOT / "stories").glob("*.yaml"))

BLOCK = """# 一个故事
title:   "雨天"   # two blanks, kept
dataset: {source:   pictures}
panels:
    - scene: a
      seed:
        0x10    # seed: 1
      prompt: >-
        folded
        seed: 3
    - {scene: b, prompt: b, seed: 2}   # seed: 2
"""
FLOW = """schema: 1
title: t
dataset: {source: p}
panels: [{scene: a, prompt: "seed: 5, }", seed: 5}, {seed: 6, scene: b, prompt: b},
  {scene: c, prompt: c, seed: '7'}]  # the end
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
def test_only_the_digits_of_the_seeds_change(story: Path, tmp_path: Path) -> None:
    path = tmp_path / story.name
    path.write_bytes(story.read_bytes())
    before = load_story(path)
    write_seeds(path, {2: 7, 8: 2**53 - 1}, digest(path))
    old, new = story.read_text("utf-8").splitlines(), path.read_text("utf-8").splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert [b.strip() for _, b in changed] == ["seed: 7", f"seed: {2**53 - 1}"]
    assert [len(b) - len(b.lstrip()) for _, b in changed] == [len(a) - len(a.lstrip()) for a, _ in changed]
    seeds = [panel.seed for panel in before.panels]
    assert [panel.seed for panel in load_story(path).panels] == [seeds[0], 7, *seeds[2:7], 2**53 - 1]


@pytest.mark.parametrize(
    ("text", "seeds", "expected"),
    [
        (FLOW, {1: 50, 3: 70}, FLOW.replace("seed: 5}", "seed: 50}").replace("'7'", "70")),
        (FLOW.replace("\n", "\r\n"), {2: 60}, FLOW.replace("seed: 6", "seed: 60").replace("\n", "\r\n")),
        (BLOCK, {1: 7, 2: 20}, BLOCK.replace("0x10 ", "7 ").replace("seed: 2}", "seed: 20}")),
    ],
    ids=["flow style, two on a line, quoted", "Windows' line ends", "comments, hexadecimal, on a line of its own"],
)
def test_every_other_character_stays(text: str, seeds: dict[int, int], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_bytes(text.encode())
    write_seeds(path, seeds, digest(path))
    assert path.read_bytes() == expected.encode()


def test_an_edit_in_between_is_noticed_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_text(FLOW)
    seen = digest(path)
    path.write_text(FLOW.replace("the end", "my own words"))
    with pytest.raises(InputError, match="edited in the meantime; nothing was written"):
        write_seeds(path, {1: 50}, seen)
    assert path.read_text() == FLOW.replace("the end", "my own words")
    assert not list(tmp_path.glob(".*"))


def test_an_edit_at_the_last_moment_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolors_submit.story import rewrite

    path = tmp_path / "story.yaml"
    path.write_text(FLOW)

    def copy_and_edit(source: Path, target: Path) -> None:
        path.write_text("edited")

    monkeypatch.setattr(rewrite.shutil, "copymode", copy_and_edit)
    with pytest.raises(InputError, match="edited in the meantime"):
        write_seeds(path, {1: 50}, digest(path))
    assert path.read_text() == "edited"
    assert not list(tmp_path.glob(".*"))


def test_mode_and_link_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "real.yaml", tmp_path / "story.yaml"
    path.write_text(FLOW)
    path.chmod(0o640)
    link.symlink_to(path)
    write_seeds(link, {1: 50}, digest(path))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert "seed: 50}" in path.read_text()


def test_what_cannot_be_changed_safely_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_text(FLOW.replace(", seed: 5}", "}"))
    before = path.read_bytes()
    with pytest.raises(InputError, match="panel 1 has no seed of its own"):
        write_seeds(path, {1: 50}, digest(path))
    assert path.read_bytes() == before


def test_a_byte_order_mark_stays(tmp_path: Path) -> None:
    path = tmp_path / "story.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FLOW.encode())
    write_seeds(path, {1: 50}, digest(path))
    assert path.read_bytes() == b"\xef\xbb\xbf" + FLOW.replace("seed: 5}", "seed: 50}").encode()
