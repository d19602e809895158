"""Every hostile entry is refused with a sentence and leaves nothing behind; its harmless twin is accepted."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from kolors_submit.bundle.check import check
from tests.bundle.conftest import packed  # noqa: F401 - a fixture
from tests.bundle.spoil import rebuild
from tests.hostile.corpus import CASES, RULES, Case

HARM = Path("/tmp/harm")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Temporary files too are looked at."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def outside(folder: Path) -> set[Path]:
    """Every file beside the entry."""
    return {path for path in folder.parent.rglob("*") if folder not in path.parents and path != folder}


def spoiled(packed: Path, folder: Path, change, case: Case) -> Path:
    """The entry that was spoiled, a folder or a zip file."""
    shutil.copytree(packed, folder)
    made = change(folder)
    if isinstance(made, Path):
        return made
    if case.rebuild and all(path.is_file() for path in folder.rglob("*") if not path.is_dir()):
        rebuild(folder)
    return folder


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hostile_entry_is_refused(packed, tmp_path, case):
    path = spoiled(packed, tmp_path / "entry", case.spoil, case)
    before = outside(tmp_path / "entry")
    failures = [finding for finding in check(path) if finding.level == "fail"]
    apt = [one for one in failures if one.rule in RULES[case.kind] and "another LoRA" not in one.message]
    assert apt, f"accepted, or refused for something else: {failures}"
    assert all(0 < len(str(failure)) < 2000 for failure in failures)
    assert all(character.isprintable() or character == "\n" for one in failures for character in str(one))
    assert outside(tmp_path / "entry") == before and not HARM.exists()


@pytest.mark.parametrize("case", {case.twin: case for case in CASES}.values(), ids=str)
def test_hostile_entrys_twin_is_accepted(packed, tmp_path, case):
    """In an entry of another version, whose documents may say more than this one's do."""
    path = spoiled(packed, tmp_path / "entry", case.twin, case)
    if path.is_dir():
        (path / "history.json").unlink()
        rebuild(path)
    assert [str(finding) for finding in check(path) if finding.level == "fail"] == []


def test_hostile_corpus_is_whole():
    assert len(CASES) >= 60
    assert min(Counter(case.kind for case in CASES).values()) >= 4
    assert len({str(case) for case in CASES}) == len(CASES)
