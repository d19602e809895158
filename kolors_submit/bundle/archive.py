"""A bundle as one zip file: written with the same bytes each time, opened without trust."""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kolors_submit.bundle import layout, manifest
from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path, write_error

MAX_RATIO = 200
"""Text shrinks to a tenth; zip bombs to a thousandth."""

Limit = Callable[[str], int | None]
"""The most bytes that an entry of this name may have; None for one that is left out."""

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What Python's zipfile raises for a file that is none, or none any more."""

MAX_TABLE = 4 * layout.MEGABYTE
"""Bytes of an archive's table of contents. A million entries would fill the memory before they could be counted."""

_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold


def write_zip(folder: Path, path: Path) -> Path:
    """Write a bundle as a zip file; equal bundles give equal bytes."""
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name in manifest.files_below(folder):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(info, "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    return path


@contextlib.contextmanager
def open_bundle(path: Path) -> Iterator[Path]:
    """The folder of a bundle: itself, or a zip file unpacked into a temporary folder that goes away again.

    Raises InputError where it is neither, or where the zip is not one that a bundle may be in (`problems`).
    """
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kolors-submit-") as temporary:
        unpack(path, Path(temporary))
        yield Path(temporary)


@contextlib.contextmanager
def open_zip(path: Path, encoding: str | None = None, most: int = MAX_TABLE) -> Iterator[zipfile.ZipFile]:
    """A stranger's zip file, its table of contents read, which has at most so many bytes.

    Raises InputError for a larger one, or one of `UNREADABLE`. What lies in it is read by `chunks`.
    """
    with _Table(path, most) as file, zipfile.ZipFile(file, metadata_encoding=encoding) as archive:
        yield archive


class _Table(io.FileIO):
    """A file that gives zipfile no more at once than a table of contents may have; zipfile reads that whole."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path)
        self.most = most

    def read(self, size: int | None = -1) -> bytes:
        """As a file's; raises InputError for too many bytes."""
        if size is not None and size > self.most:
            raise InputError(f"{self.name}: has a table of contents of {size:,} bytes; {self.most:,} are allowed")
        return super().read(-1 if size is None else size) or b""


def unpack(path: Path, folder: Path, limit: Limit = layout.size_limit, encoding: str | None = None) -> None:
    """Unpack a zip file into an empty folder; raises InputError and writes nothing where it has problems.

    `encoding` is that of names which do not say theirs (zip's own rule without it).
    """
    try:
        with open_zip(path, encoding) as archive:
            infos = [info for info in archive.infolist() if _is_folder(info) or limit(info.filename) is not None]
            found = problems(infos, limit)
            if found:
                raise InputError("\n".join(f"{path}: {problem}" for problem in found[:50]))
            for info in infos:
                if not _is_folder(info):
                    _extract(archive, info, folder / info.filename)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; name a bundle's folder or its zip file") from error
    except UNREADABLE as error:
        raise InputError(f"{path} is not a valid zip archive: {error}") from error


def problems(infos: Sequence[zipfile.ZipInfo], limit: Limit = layout.size_limit) -> list[str]:
    """Why an archive's entries are not unpacked, in a sentence each; empty for harmless ones."""
    if len(infos) > layout.MAX_FILES:
        return [f"has {len(infos):,} entries; a bundle has at most {layout.MAX_FILES:,}"]
    found = []
    for info in infos:
        name = info.filename.rstrip("/") if _is_folder(info) else info.filename
        problem = (
            layout.path_problem(name)
            or layout.path_problem(info.orig_filename.rstrip("/"))
            or _entry_problem(info, limit(info.filename) or 0)
        )
        if problem:
            found.append(f"the entry {info.orig_filename[:200]!r} {problem}")
    total = sum(info.file_size for info in infos)
    if total > layout.MAX_BYTES:
        found.append(f"unpacks to {total:,} bytes; a bundle has at most {layout.MAX_BYTES:,}")
    names = [info.filename for info in infos if not _is_folder(info)]
    found += [f"the entries {one!r} and {other!r} would be one file" for one, other in layout.collisions(names)]
    parents = {str(parent) for name in names for parent in Path(name).parents}
    found += [f"the entry {name!r} is a file and a folder" for name in names if name in parents]
    return found


def _entry_problem(info: zipfile.ZipInfo, limit: int) -> str | None:
    """Anything but a plain, unencrypted, stored or deflated file of bounded size."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "uses a compression method that bundles do not"
    if info.file_size > limit and not _is_folder(info):
        return f"has {info.file_size:,} bytes; at most {limit:,} are allowed for its kind"
    if info.file_size > MAX_RATIO * info.compress_size + layout.MEGABYTE:
        return f"is compressed more than {MAX_RATIO}-fold"
    return None


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """Copy one entry; raises OutsideError where it cannot be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in chunks(archive, info):
                file.write(chunk)
    except OSError as error:
        raise write_error(target, error) from error


def chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """What is in an entry, its declared size trusted no further than it goes; zipfile checks the CRC at the end.

    Raises InputError for more than it says, and one of `UNREADABLE`.
    """
    left = info.file_size
    try:
        with archive.open(info) as source:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise InputError(f"the entry {info.filename!r} is longer than it states")
                yield chunk
    except OSError as error:  # a place that is not in the file
        raise zipfile.BadZipFile(str(error)) from error


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """As `ZipInfo.is_dir`, which fails for an empty name."""
    return info.filename.endswith("/")
