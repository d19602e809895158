"""SHA-256 of weights: large files are read once, and afterwards trusted while size and time stay the same.

The record lies beside the folder: `weights/kolors.digests.json` for `weights/kolors/`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kolors_submit.errors import OutsideError
from kolors_submit.files import file_digest, read_json, write_json

LARGE = 64 * 2**20
"""Files below this many bytes are read every time: it takes milliseconds."""

FORMAT = 1


def record_path(folder: Path) -> Path:
    """Where a folder's digests are kept."""
    folder = folder.resolve()
    return folder.with_name(folder.name + ".digests.json")


def read_record(folder: Path) -> dict[str, Any]:
    """What is known of a folder: `files` (path -> size, mtime_ns, sha256), and its source once fetched."""
    record = read_json(record_path(folder))
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("files"), dict):
        return {"format": FORMAT, "files": {}}
    return record


def entry_of(path: Path, sha256: str) -> dict[str, Any]:
    """The record of one file."""
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}


def is_unchanged(path: Path, entry: Any) -> bool:
    """Whether a file has the size and time of its record."""
    if not isinstance(entry, dict) or not path.is_file():
        return False
    status = path.stat()
    return (entry.get("size"), entry.get("mtime_ns")) == (status.st_size, status.st_mtime_ns)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files below `folder`, reading a large one only where its size or time is new."""
    record = read_record(folder)
    digests, news = {}, {}
    for name in names:
        path, entry = folder / name, record["files"].get(name)
        if path.stat().st_size >= LARGE and is_unchanged(path, entry):
            digests[name] = entry["sha256"]
            continue
        digests[name] = file_digest(path)
        if path.stat().st_size >= LARGE:
            news[name] = entry_of(path, digests[name])
    if news:
        # A folder that cannot be written beside (a read-only mount) is read again the next time; that is all.
        with contextlib.suppress(OutsideError):
            write_json(record_path(folder), record | {"files": record["files"] | news})
    return digests


def verify(folder: Path) -> list[str]:
    """Read every recorded file and return what is wrong, in words; empty when all bytes are as they were."""
    problems = []
    for name, entry in read_record(folder)["files"].items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.stat().st_size != entry["size"] or file_digest(path) != entry["sha256"]:
            problems.append(f"{path} is not what was fetched")
    return problems
