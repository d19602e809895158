"""Pictures in a folder, with captions in sidecar .txt files, metadata.csv or metadata.jsonl."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from kolors_submit.data.captions import MAX_CHARACTERS
from kolors_submit.data.pictures import SUFFIXES, read_file
from kolors_submit.data.sample import Sample, shown
from kolors_submit.errors import InputError
from kolors_submit.files import expanded, file_digest

METADATA = ("metadata.csv", "metadata.jsonl")
MAX_METADATA_BYTES = 256 * 2**20
MAX_FILES = 1_000_000

Rows = dict[str, dict[str, str]]


def find_folder(place: str, beside: Path | None = None) -> Path:
    """The folder that a source means: in the folder of the story file `beside`, or else in the working folder.

    Raises InputError where there is none.
    """
    path = expanded(place)
    tried = list(dict.fromkeys([*([] if beside is None else [beside.parent / path]), path]))  # an absolute path is one
    folder = next((path for path in tried if path.is_dir()), None)
    if folder is not None:
        return folder
    if any(path.exists() for path in tried):
        what = "is a file, not a folder"
    else:
        both = (
            f" (looked in {shown(str(beside.parent))} and in the working folder)" if beside and len(tried) > 1 else ""
        )
        what = f"is not a folder here{both}"
    raise InputError(
        f"dataset.source {shown(place)} {what}; name a folder of pictures, modelscope:owner/dataset, "
        "huggingface:owner/dataset or picturebook:STYLE"
    )


def read_folder(folder: Path) -> list[Sample]:
    """The pictures of a folder and its subfolders, sorted by name.

    Each has the columns of its metadata row, and `text` from its sidecar (`a.txt` for `a.png`) where there is one.
    Pictures that the metadata names and the folder lacks are listed as well. Raises InputError for a folder or a
    metadata file that cannot be read.
    """
    rows = _metadata(folder)
    pictures = {_relative(folder, path): path for path in _files(folder) if path.suffix.lower() in SUFFIXES}
    found = [_sample(folder, name, path, rows.get(name, {})) for name, path in pictures.items()]
    why = "is named in the metadata, but the folder has no such picture"
    lost = [Sample(shown(name), problem=why) for name in rows.keys() - pictures.keys()]
    return sorted([*found, *lost], key=lambda sample: sample.name)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every picture, sidecar and metadata file: name -> hex digest."""
    result = {}
    for path in _files(folder):
        if path.suffix.lower() in SUFFIXES or path.suffix == ".txt" or path.name in METADATA:
            inside = _is_inside(path, folder)
            name = shown(_relative(folder, path))
            try:
                result[name] = file_digest(path) if inside else "outside"
            except OSError as error:
                result[name] = f"unreadable: {error.strerror}"
    return result


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder in a fixed order; hidden ones and links to folders are left alone."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"{shown(str(folder))} cannot be read ({error.strerror}); fix its permissions") from error
    if len(entries) > MAX_FILES:
        raise InputError(f"{shown(str(folder))} has {len(entries):,} files; at most {MAX_FILES:,} are read")
    for path in entries:
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file() or path.is_symlink():
            yield path


def _sample(folder: Path, name: str, path: Path, row: dict[str, str]) -> Sample:
    """One picture with its columns; what hinders it becomes its problem."""
    columns = dict(row)
    problem = None if _is_inside(path, folder) else "is a link that leads out of the folder"
    sidecar = path.with_suffix(".txt")
    if problem is None and (sidecar.is_file() or sidecar.is_symlink()):
        try:
            columns["text"] = read_sidecar(sidecar, folder)
        except ValueError as error:
            problem = str(error)
    return Sample(shown(name), columns, functools.partial(read_file, path), problem, sidecar)


def read_sidecar(path: Path, folder: Path) -> str:
    """The text of a caption file; raises ValueError that says what is wrong with it."""
    if not _is_inside(path, folder):
        raise ValueError("has a caption file that is a link out of the folder")
    try:
        size = path.stat().st_size
        if size > 8 * MAX_CHARACTERS:
            raise ValueError(f"has a caption file of {size:,} bytes; at most {MAX_CHARACTERS:,} characters are read")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("has a caption file that is not UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise ValueError(f"has a caption file that cannot be read ({error.strerror})") from error


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is a file inside the folder once links are followed."""
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError):  # a dead link, or links in a circle
        return False


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _metadata(folder: Path) -> Rows:
    """Rows of metadata.csv or metadata.jsonl by file name; raises InputError where it cannot be used."""
    there = [folder / name for name in METADATA if (folder / name).is_file()]
    if not there:
        return {}
    if len(there) > 1:
        raise InputError(f"{shown(str(folder))} has both {METADATA[0]} and {METADATA[1]}; keep one")
    path = there[0]
    try:
        if path.stat().st_size > MAX_METADATA_BYTES or not _is_inside(path, folder):
            raise ValueError("too large, or a link out of the folder")
        text = path.read_bytes().decode("utf-8-sig")
        records = _csv(text) if path.suffix == ".csv" else _jsonl(text)
        return {_row_name(record): record for record in records}
    except OSError as error:
        raise InputError(f"{shown(str(path))} cannot be read ({error.strerror}); fix its permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(str(path))} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"{shown(str(path))}: {error}; each row needs file_name and the caption's column") from error


def _csv(text: str) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [{key: value for key, value in row.items() if key is not None and value is not None} for row in rows]


def _jsonl(text: str) -> list[dict[str, str]]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is not JSON") from error
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is not a JSON object")
        records.append(plain_columns(record))
    return records


def plain_columns(record: dict[str, Any]) -> dict[str, str]:
    """The columns of a row that can stand in a caption: text and numbers."""
    return {str(key): str(value) for key, value in record.items() if isinstance(value, str | int | float)}


def _row_name(record: dict[str, str]) -> str:
    """A row's `file_name` as a path below the folder; raises ValueError for a path that leads out of it."""
    name = record.get("file_name", "")
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"file_name {shown(name)!r} is not a path inside the folder")
    return path.as_posix()
