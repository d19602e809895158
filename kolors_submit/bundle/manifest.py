"""manifest.json: the SHA-256 and size of every file of a bundle but itself."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolors_submit.bundle import layout
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest, pretty_json, write_text

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One file of a bundle: SHA-256 in hex, and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """Path below the bundle, with forward slashes -> its entry."""

    files: Mapping[str, Entry]

    @property
    def text(self) -> str:
        """The bytes of manifest.json: sorted, one text for one bundle."""
        files = {name: {"sha256": entry.sha256, "size": entry.size} for name, entry in self.files.items()}
        return pretty_json({"format": FORMAT, "files": files})

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole bundle: that of manifest.json as this program writes it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def files_below(folder: Path) -> list[str]:
    """Every file and link below a folder, as sorted paths with forward slashes; links are not followed.

    Raises InputError where there are more than a bundle may have.
    """
    names: list[str] = []
    pending = [folder]
    while pending:
        for path in pending.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                pending.append(path)
            else:
                names.append(path.relative_to(folder).as_posix())
            if len(names) + len(pending) > layout.MAX_FILES:
                raise InputError(f"{folder} holds more than {layout.MAX_FILES} files, so it is not a bundle")
    return sorted(names)


def build(folder: Path) -> Manifest:
    """The manifest of the files that lie in a folder now."""
    names = [name for name in files_below(folder) if name != layout.MANIFEST]
    return Manifest({name: Entry(file_digest(folder / name), (folder / name).stat().st_size) for name in names})


def write(folder: Path) -> Path:
    """Write manifest.json for the files that lie in a folder now."""
    return write_text(folder / layout.MANIFEST, build(folder).text)


def read(path: Path) -> Manifest:
    """Read a manifest.json, which may be a stranger's; raises InputError where it is none or of a newer format."""
    value = read_json_strictly(path)
    refuse_newer(path, value, FORMAT)
    files = value.get("files")
    if not isinstance(files, dict) or len(files) > layout.MAX_FILES:
        raise InputError(f"{path} has no table of files with at most {layout.MAX_FILES} entries")
    entries = {}
    for name, entry in files.items():
        problem = layout.path_problem(name)
        if problem:
            raise InputError(f"{path}: the name {name[:200]!r} {problem}")
        if not isinstance(entry, dict) or not is_sha256(entry.get("sha256")) or not _is_size(entry.get("size")):
            raise InputError(f"{path}: the entry of {name!r} is not a SHA-256 with a size")
        entries[name] = Entry(entry["sha256"], entry["size"])
    return Manifest(entries)


def differences(folder: Path, manifest: Manifest) -> list[str]:
    """Everything that is not as the manifest says, in a sentence each; empty for a whole bundle."""
    present = set(files_below(folder)) - {layout.MANIFEST}
    found = [f"{name} is missing" for name in sorted(manifest.files.keys() - present)]
    found += [f"{name} is not in the manifest" for name in sorted(present - manifest.files.keys())]
    for name in sorted(present & manifest.files.keys()):
        path, entry = folder / name, manifest.files[name]
        if path.is_symlink() or not path.is_file():
            found.append(f"{name} is not a regular file")
        elif path.stat().st_size != entry.size:
            found.append(f"{name} has {path.stat().st_size} bytes, the manifest says {entry.size}")
        elif file_digest(path) != entry.sha256:
            found.append(f"{name} was changed: its SHA-256 is not the manifest's")
    return found


def read_json_strictly(path: Path) -> dict[str, Any]:
    """A JSON object from a file that may be a stranger's, every value of which can be written as JSON again.

    Raises InputError for a file that is too large, a key that is given twice, a number that no float holds or half a
    character.
    """
    try:
        if path.stat().st_size > layout.size_limit(path.name):
            raise InputError(f"{path} is larger than {layout.size_limit(path.name):,} bytes")
        text = path.read_text("utf-8")
        value = json.loads(text, object_pairs_hook=no_repeats, parse_constant=_finite, parse_float=_finite)
        if "\\ud" in text.lower():  # how half a character is written, and half of a whole one
            _refuse_halves(value)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a JSON object")
    return value


def refuse_newer(path: Path, value: Mapping[str, Any], known: int) -> None:
    """Raises InputError for a format this program does not know."""
    format = value.get("format")
    if not isinstance(format, int) or isinstance(format, bool) or format < 1:
        raise InputError(f"{path} has no format number")
    if format > known:
        raise NewerFormat(f"{path} is format {format}; this program reads up to {known}: update kolors-submit")


class NewerFormat(InputError):
    """A file written by a newer program than this one."""


def is_sha256(value: Any) -> bool:
    """Whether a value of a stranger's JSON is a SHA-256 in hex."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= layout.MAX_BYTES


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different (json's object_pairs_hook); raises ValueError for others."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is given twice")
    return value


def _finite(text: str) -> float:
    """A number with a point or an exponent (json's parse_float), or one of json's own constants (parse_constant)."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _refuse_halves(value: Any) -> None:
    """Raises ValueError where a text in a JSON value holds half a character, which no file in UTF-8 can."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"it holds half a character ({error.object[error.start]!a})") from error
