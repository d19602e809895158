"""Hostile zip files: the sound bundle as an archive, with entries beside its own that mean harm."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from kolors_submit.bundle.archive import write_zip
from tests.hostile.case import Case, Spoil

Change = Callable[[zipfile.ZipFile], object]


def archive(change: Change) -> Spoil:
    """The bundle as a zip file beside its folder, changed while it is open for writing."""

    def spoil(folder: Path) -> Path:
        path = write_zip(folder, folder.parent / "entry.zip")
        with zipfile.ZipFile(path, "a") as file:
            change(file)
        return path

    return spoil


def entry(name: str, data: bytes = b"x", mode: int = 0o100644, method: int = zipfile.ZIP_STORED) -> Change:
    def change(file: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name  # as it is: the constructor would cut it at a NUL
        info.external_attr = mode << 16
        info.compress_type = method
        file.writestr(info, data)

    return change


def both(one: Change, other: Change) -> Change:
    def change(file: zipfile.ZipFile) -> None:
        one(file)
        other(file)

    return change


def link(target: bytes) -> Change:
    return entry("lora/link.safetensors", target, stat.S_IFLNK | 0o777)


def device(kind: int) -> Change:
    return entry("lora/device.safetensors", b"", kind | 0o666)


def crowd(count: int) -> Change:
    def change(file: zipfile.ZipFile) -> None:
        for number in range(count):
            file.writestr(zipfile.ZipInfo(f"comfyui/{number}.json"), b"")

    return change


def million_entries() -> bytes:
    """A table of contents with a million entries, and nothing else."""
    name = b"comfyui/x.json"
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 788, 20, 0, 0, 0, 33, 0, 0, 0, len(name), *[0] * 4, 0, 0) + name
    size = len(entry) * 10**6
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, size, 0)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, size, 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return entry * 10**6 + end


def million(folder: Path) -> Path:
    path = folder.parent / "entry.zip"
    path.write_bytes(million_entries())
    return path


def claimed_size(size: int) -> Change:
    """An entry that says it is of another size than it is."""

    def change(file: zipfile.ZipFile) -> None:
        entry("comfyui/x.json", bytes(100_000), method=zipfile.ZIP_DEFLATED)(file)
        file.infolist()[-1].file_size = size

    return change


def two_names_for_one_place(file: zipfile.ZipFile) -> None:
    """Many entries of the table that share one place in the file."""
    first = file.infolist()[0]
    for number in range(50):
        other = zipfile.ZipInfo(f"comfyui/{number}.json", first.date_time)
        other.header_offset, other.CRC = first.header_offset, first.CRC
        other.file_size, other.compress_size = first.file_size, first.compress_size
        other.external_attr, other.create_system = first.external_attr, first.create_system
        file.filelist.append(other)
        file.NameToInfo[other.filename] = other
    entry("comfyui/last.json", b"{}")(file)


def another_name_in_its_place(file: zipfile.ZipFile) -> None:
    """The table says one name, the place another."""
    entry("../../outside.md", b"x")(file)
    file.infolist()[-1].filename = "post2.md"


def encrypted(file: zipfile.ZipFile) -> None:
    entry("comfyui/x.json", b"{}")(file)
    file.infolist()[-1].flag_bits |= 0x1


def harmless(file: zipfile.ZipFile) -> None:
    """The bundle's own files and nothing else."""


def cut(folder: Path) -> Path:
    path = write_zip(folder, folder.parent / "entry.zip")
    path.write_bytes(path.read_bytes()[:-2000])
    return path


SOUND = archive(harmless)


def case(kind: str, name: str, change: Change) -> Case:
    return Case(kind, name, archive(change), SOUND)


ARCHIVES = [
    *(case("path", f"archive, {name}", entry(name)) for name in (
        "../outside.md", "/tmp/outside.md", "lora/../../outside.md", "C:\\outside.md", "..\\outside.md",
        "README.md\0.exe", "./story.yaml", "lora//x.ckpt")),
    case("path", "archive, another name in its place", another_name_in_its_place),
    *(case("link", f"archive, to {target.decode()}", link(target)) for target in (b"/etc/passwd", b"../..", b"x")),
    *(case("device", f"archive, {name}", device(kind)) for name, kind in (
        ("character device", stat.S_IFCHR), ("block device", stat.S_IFBLK), ("pipe", stat.S_IFIFO),
        ("socket", stat.S_IFSOCK))),
    *(case("collision", f"archive, {name}", entry(name)) for name in ("README.md", "readme.MD", "images/01.PNG")),
    *(case("collision", f"archive, {one!a} and {other!a}", both(entry(one), entry(other))) for one, other in (
        ("comfyui/\u00e9.json", "comfyui/e\u0301.json"), ("comfyui/\ufb01.json", "comfyui/fi.json"))),
    case("collision", "archive, a file that is a folder", entry("story.yaml/x.md")),
    case("crowd", "archive, 4,001 entries", crowd(4001)),
    case("crowd", "archive, 30,000 entries", crowd(30_000)),
    Case("crowd", "archive, a million entries", million, SOUND),
    case("crowd", "archive, entries that share a place", two_names_for_one_place),
    case("size", "archive, zeros", entry("comfyui/x.json", bytes(30_000_000), method=zipfile.ZIP_DEFLATED)),
    case("size", "archive, more than its kind may have", entry("comfyui/x.json", bytes(33_000_000))),
    case("size", "archive, says it is small", claimed_size(10)),
    case("size", "archive, says it is endless", claimed_size(2**40)),
    case("archive", "encrypted", encrypted),
    case("archive", "lzma", entry("comfyui/x.json", b"{}" * 99, method=zipfile.ZIP_LZMA)),
    case("archive", "bzip2", entry("comfyui/x.json", b"{}" * 99, method=zipfile.ZIP_BZIP2)),
    Case("archive", "cut", cut, SOUND),
]  # fmt: skip
