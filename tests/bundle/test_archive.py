"""Zip files: hostile ones are refused whole, and leave nothing behind."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from kolors_submit.bundle import layout
from kolors_submit.bundle.archive import unpack, write_zip
from kolors_submit.bundle.check import check
from kolors_submit.errors import InputError


def zipped(path: Path, *entries: tuple[str, bytes], mode: int = 0o100644, method: int = zipfile.ZIP_STORED) -> Path:
    """A zip file with these entries."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = method
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name",
    ["../a.md", "/a.md", "a/../../b.md", "C:/a.md", "..\\a.md", "a\x01.md", "a\u202e.md", "con.md", "a /b.md",
     "a./b.md", "a//b.md", "./a.md", "x" * 300],
)  # fmt: skip
def test_names_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="the entry"):
        unpack(zipped(tmp_path / "a.zip", ("ok.md", b"1"), (name, b"1")), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "entries",
    [
        [("a.md", b"1"), ("A.md", b"1")],
        [("a.md", b"1"), ("a.md", b"1")],
        [("\u00e9.md", b"1"), ("e\u0301.md", b"1")],
        [("ﬁ.md", b"1"), ("fi.md", b"1")],
        [("a", b"1"), ("a/b.md", b"1")],
    ],
)
def test_collisions(tmp_path: Path, entries: list[tuple[str, bytes]]) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"one file|a file and a folder"):
        unpack(zipped(tmp_path / "a.zip", *entries), tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    with pytest.raises(InputError, match="link or a device"):
        unpack(zipped(tmp_path / "a.zip", ("a.md", b"/etc/passwd"), mode=kind | 0o777), tmp_path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "a.zip", ("a.png", bytes(30_000_000)), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="more than 200-fold"):
        unpack(bomb, tmp_path)
    with pytest.raises(InputError, match="has 2,000,000 bytes"):
        unpack(zipped(tmp_path / "b.zip", ("story.yaml", bytes(2_000_000))), tmp_path)
    with pytest.raises(InputError, match="a compression method"):
        unpack(zipped(tmp_path / "c.zip", ("a.md", b"1"), method=zipfile.ZIP_LZMA), tmp_path)
    many = zipped(tmp_path / "d.zip", *((f"{n}.md", b"") for n in range(layout.MAX_FILES + 1)))
    with pytest.raises(InputError, match="4,001 entries"):
        unpack(many, tmp_path)
    monkeypatch.setattr(layout, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="unpacks to 20 bytes"):
        unpack(zipped(tmp_path / "e.zip", ("a.md", bytes(10)), ("b.md", bytes(10))), tmp_path)


def test_damaged_files(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a.md", b"hello hello"))
    path.write_bytes(path.read_bytes().replace(b"hello hello", b"hello hellO"))
    with pytest.raises(InputError, match="not a valid zip archive"):
        unpack(path, tmp_path)
    (tmp_path / "b.zip").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="not a valid zip archive"):
        unpack(tmp_path / "b.zip", tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        unpack(tmp_path / "c.zip", tmp_path)


def test_a_zip_is_checked_like_its_folder(packed: Path, tmp_path: Path) -> None:
    path = write_zip(packed, tmp_path / "a.zip")
    assert check(path) == check(packed)
    hostile = zipped(tmp_path / "b.zip", ("../a.md", b"1"))
    assert [(one.level, one.rule) for one in check(hostile)] == [("fail", "archive")]
    assert not (tmp_path.parent / "a.md").exists()
