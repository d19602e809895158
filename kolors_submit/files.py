"""Files that are written whole or not at all, their digests, and JSON with one form."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kolors_submit.errors import OutsideError

PARTIAL = ".partial"
"""Suffix of a file that is being written; whatever bears it was left by a killed run."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare blanks: one text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for files that people read: sorted keys, two blanks, a final newline."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def expanded(place: str) -> Path:
    """A path as a person writes it, ~ being the home folder; ~name of nobody here is a name like any other."""
    with contextlib.suppress(RuntimeError):
        return Path(place).expanduser()
    return Path(place)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` by rename when the block ends well, and is deleted when it does not.

    Raises OutsideError where the disk is full, the folder cannot be written, or the block cannot read another file.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        _discard(partial)
        if isinstance(error.filename, str) and not partial.is_relative_to(error.filename):
            raise OutsideError(f"cannot read {error.filename}: {error.strerror}; run again") from error
        raise write_error(path, error) from error
    except BaseException:
        _discard(partial)
        raise


def _discard(partial: Path) -> None:
    """Delete a half-written file; what hinders that is what hindered the write, and is said of it."""
    with contextlib.suppress(OSError):
        partial.unlink()


def write_error(path: Path, error: OSError) -> OutsideError:
    """A sentence for a write that the system refused."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space and run again",
        errno.EDQUOT: "the disk quota is used up; free some space and run again",
        errno.EACCES: "no permission to write there; choose another folder, or fix its ownership",
        errno.EPERM: "no permission to write there; choose another folder, or fix its ownership",
        errno.ENOTDIR: "a file stands where a folder has to be; choose another folder, or move that file",
        errno.EEXIST: "a file stands where a folder has to be; choose another folder, or move that file",
        errno.EROFS: "the file system is read-only; choose another folder",
    }.get(error.errno or 0, f"{error.strerror or error}; run again")
    return OutsideError(f"cannot write {path}: {advice}")


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 file whole or not at all."""
    return write_bytes(path, text.encode("utf-8"))


def write_new(path: Path, text: str) -> bool:
    """Write a UTF-8 file whole where there is none; returns False, and touches nothing, where there is one.

    Raises OutsideError where the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")  # no run's lock guards people's own folders
    try:
        write_text(partial, text)
        os.link(partial, path)  # unlike a rename it fails where the name is taken, even since a moment ago
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise write_error(path, error) from error
        if path.exists():  # a file system without hard links
            return False
        partial.replace(path)
    finally:
        _discard(partial)
    return True


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file for people, whole or not at all."""
    return write_text(path, pretty_json(value))


def read_json(path: Path) -> Any:
    """The value of a JSON file of ours, or None where there is none or it was not written whole."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def keep_only(folder: Path, keep: Iterable[Path]) -> None:
    """Delete every link below `folder`, every file that is not in `keep`, and the folders this empties."""
    wanted = {path.resolve() for path in keep}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path.resolve() not in wanted):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def free_bytes(folder: Path) -> int:
    """Free disk space where `folder` is or will be, in bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
