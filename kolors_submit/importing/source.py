"""An entry of another program as a folder of plain files: a folder itself, a zip file, or a hub's repository."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from kolors_submit.bundle import archive, layout, manifest
from kolors_submit.data.pictures import SUFFIXES as PICTURES
from kolors_submit.errors import InputError
from kolors_submit.hub import source as hubs
from kolors_submit.hub.source import HubSource
from kolors_submit.report import Reporter

LORAS = (".ckpt", ".safetensors")
TABLES = (".csv", ".tsv")
TEXTS = (".md", ".txt")
WORKFLOWS = (".json",)
_LIKE = {".ckpt": LORAS, ".csv": TABLES, ".md": TEXTS, ".json": WORKFLOWS, ".png": tuple(PICTURES)}
_LIMITS = {suffix: layout.LIMITS[like] for like, suffixes in _LIKE.items() for suffix in suffixes}


def limit(name: str) -> int | None:
    """The most bytes of a file that is read here, by its suffix; None for one that is not, or that is hidden."""
    path = PurePosixPath(name)
    if any((part[0] == "." and part != "..") or part == "__MACOSX" for part in path.parts):
        return None
    return _LIMITS.get(path.suffix.lower())


@contextlib.contextmanager
def open_entry(source: HubSource | Path, fetched: Path, report: Reporter) -> Iterator[Path]:
    """The entry as a folder; a zip is unpacked into a temporary one, a hub's files are fetched into `fetched`.

    Raises InputError where there is nothing that can be read, OutsideError where a hub fails.
    """
    if isinstance(source, HubSource):
        _fetch(source, fetched, report)
        yield fetched
    elif source.is_dir():
        yield source
    else:
        with tempfile.TemporaryDirectory(prefix="kolors-submit-") as temporary:
            archive.unpack(source, Path(temporary), limit, _encoding(source))
            yield Path(temporary)


def names_in(folder: Path) -> list[str]:
    """The files that are read here, as paths below the folder; raises InputError for a link, a pipe or a huge one."""
    names = [name for name in manifest.files_below(folder) if limit(name) is not None]
    for name in names:
        path, most = folder / name, limit(name) or 0
        problem = layout.path_problem(name)
        if problem:
            raise InputError(f"{name[:200]!r} {problem}; give it another name")
        if path.is_symlink() or not path.is_file():
            raise InputError(f"{name} is a link or not a regular file; put the file itself there")
        if path.stat().st_size > most:
            raise InputError(f"{name} has {path.stat().st_size:,} bytes; at most {most:,} are allowed for its kind")
    for one, other in layout.collisions(names):
        raise InputError(f"{one} and {other} would be one file on some systems; rename one")
    return names


def of_kind(names: Sequence[str], suffixes: Sequence[str] | frozenset[str]) -> list[str]:
    """The names with one of these suffixes."""
    return [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]


def _encoding(path: Path) -> str | None:
    """What the names in a zip are written in where they do not say: UTF-8, or else GBK, as Chinese Windows does."""
    try:
        with archive.open_zip(path) as opened:
            names = [info.orig_filename.encode("cp437") for info in opened.infolist() if not info.flag_bits & 0x800]
    except archive.UNREADABLE:
        return None  # opening it again says what is wrong with it
    if all(name.isascii() for name in names):
        return None
    try:
        b"".join(names).decode("utf-8")
    except UnicodeDecodeError:
        return "gbk"
    return "utf-8"


def _fetch(source: HubSource, folder: Path, report: Reporter) -> None:
    """Fetch what a repository has of the files read here, each checked against the hub's own list."""
    repository, listed = source.open()
    wanted = [one for one in listed if limit(one.path) is not None]
    problems = layout.listing_problems([(one.path, one.size) for one in wanted], limit)
    if problems:
        lines = "\n".join(f"  {line}" for line in problems[:50])
        raise InputError(f"{source} cannot be fetched:\n{lines}")
    hubs.fetch(repository, wanted, folder, report)
