"""Hostile entries made by code: each spoils a sound bundle in one way, and its twin changes it harmlessly nearby.

A case is `(class, name, spoil, twin)`; both functions change a copy of the sound bundle. The manifest is made true
again after either, unless the case is about the manifest. Zip files are in `archives`.
"""

from __future__ import annotations

import html
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from kolors_submit.bundle import documents, manifest
from tests.bundle.spoil import edit_json
from tests.hostile.archives import ARCHIVES, million_entries
from tests.hostile.case import Case, Spoil, nothing

# ---------------------------------------------------------------------------------------------------- files


def link(target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "images/01.png").unlink()
        (folder / "images/01.png").symlink_to(target)

    return spoil


def fifo(folder: Path) -> None:
    (folder / "scores.json").unlink()
    os.mkfifo(folder / "scores.json")


def add(name: str, data: bytes = b"x") -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return spoil


def many(folder: Path) -> None:
    for number in range(4100):
        (folder / "comfyui").mkdir(exist_ok=True)
        (folder / "comfyui" / f"{number}.json").write_bytes(b"{}")


def sparse(name: str, size: int) -> Spoil:
    """A file that says it is large; it takes no disk."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return spoil


FILES = [
    Case("link", "to /etc/passwd", link("/etc/passwd"), nothing),
    Case("link", "to a neighbour", link("02.png"), nothing),
    Case("link", "dangling", link("/nowhere/at/all"), nothing),
    Case("device", "pipe", fifo, nothing),
    Case("file", "python beside the LoRA", add("lora/setup.py"), nothing),
    Case("file", "hidden file", add(".git/config"), nothing),
    Case("file", "another suffix", add("images/01.PNG"), nothing),
    Case("file", "a device's name", add("lora/con.safetensors"), nothing),
    Case("file", "direction-changing name", add("lora/a\u202egnp.safetensors"), nothing),
    Case("crowd", "thousands of files", many, nothing, rebuild=False),
    Case("size", "story of a gigabyte", sparse("story.yaml", 10**9), nothing, rebuild=False),
    Case("size", "scores of a gigabyte", sparse("scores.json", 10**9), nothing, rebuild=False),
]


# ---------------------------------------------------------------------------------------------------- manifest


def manifest_text(text: str) -> Spoil:
    return lambda folder: (folder / "manifest.json").write_text(text, "utf-8")


def manifest_entry(name: str, entry: Any) -> Spoil:
    return lambda folder: edit_json(folder, "manifest.json", lambda value: value["files"].update({name: entry}))


def pretty(folder: Path) -> None:
    """The same manifest with other blanks."""
    value = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(value, indent=7))


SOUND = {"sha256": "0" * 64, "size": 1}


def reserialised(kind: str, name: str, spoil: Spoil) -> Case:
    return Case(kind, name, spoil, pretty, rebuild=False)


MANIFESTS = [
    reserialised("path", "manifest, outside", manifest_entry("../../etc/cron.d/x", SOUND)),
    reserialised("path", "manifest, absolute", manifest_entry("/etc/cron.d/x", SOUND)),
    reserialised("path", "manifest, Windows drive", manifest_entry("C:\\x", SOUND)),
    reserialised("path", "manifest, NUL", manifest_entry("a\0b", SOUND)),
    reserialised("manifest", "no digest", manifest_entry("README.md", {"sha256": "../..", "size": 1})),
    reserialised("manifest", "negative size", manifest_entry("README.md", {"sha256": "0" * 64, "size": -1})),
    reserialised("manifest", "endless size", manifest_entry("README.md", {"sha256": "0" * 64, "size": 10**30})),
    reserialised("crowd", "manifest, a hundred thousand", manifest_text(
        json.dumps({"format": 1, "files": {f"{n}.md": SOUND for n in range(100_000)}}))),
    reserialised("manifest", "a key twice", manifest_text('{"format": 1, "format": 1, "files": {}}')),
    reserialised("manifest", "not a number", manifest_text('{"format": NaN, "files": {}}')),
    reserialised("manifest", "a deep nest", manifest_text("[" * 100_000)),
    reserialised("manifest", "a list", manifest_text("[]")),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- story


def story_line(line: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "story.yaml"
        path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")

    return spoil


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""Megabytes are written here, which takes PyYAML without libyaml seconds."""


def story_value(*keys: Any, value: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "story.yaml"
        values = inner = yaml.load(path.read_text("utf-8"), LOADER)
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(yaml.dump(values, Dumper=DUMPER, allow_unicode=True, sort_keys=False), "utf-8")

    return spoil


LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 9)}]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)
comment = story_line("# a harmless comment: !!python/object &a *a")

STORIES = [
    Case("yaml-tag", "python object", story_line("x: !!python/object/apply:os.system ['touch /tmp/harm']"), comment),
    Case("yaml-tag", "python name", story_line("x: !!python/name:os.system"), comment),
    Case("yaml-tag", "own", story_line("x: !harm 1"), comment),
    Case("yaml-tag", "binary", story_line("x: !!binary aGFybQ=="), comment),
    Case("yaml-tag", "set", story_line("x: !!set {a, b}"), comment),
    Case("yaml-anchor", "that explode", story_line(LAUGHS), comment),
    Case("yaml-anchor", "that hold themselves", story_line("x: &x [*x]"), comment),
    Case("yaml-anchor", "merged", story_line("x: &x {a: 1}\ny: {<<: *x}"), comment),
    Case("yaml-anchor", "that is never used", story_line("x: &x 1"), comment),
    Case("story", "merge key", story_line("x: {<<: {a: 1}}"), comment),
    Case("story", "deep nest", story_line("x: " + "[" * 50_000), comment),
    Case("story", "two documents", story_line("---\ntitle: x"), comment),
    Case("story", "key twice", story_line("title: another"), comment),
    Case("prompt-size", "ten megabytes", story_value("panels", 0, "prompt", value="y" * 10**7), comment),
    Case("prompt-size", "twenty thousand characters", story_value("panels", 0, "prompt", value="x" * 20_000), comment),
    Case("prompt-size", "a table of a gigabyte", sparse("prompts.csv", 10**9), comment, rebuild=False),
    Case("prompt-size", "over the tokens' limit", story_value("panels", 0, "prompt", value="cat " * 400), comment),
    *(Case("prompt-control", f"{char!a}", story_value("panels", 0, "prompt", value=f"a{char}[2Jb"), comment)
      for char in ("\x1b", "\0", "\x07", "\x9b", "\u202e", "\u2066")),
    Case("story", "seed beyond browsers", story_value("panels", 0, "seed", value=2**60), comment),
    Case("story", "endless picture", story_value("render", "width", value=10**6), comment),
    Case("story", "a million steps", story_value("render", "steps", value=10**6), comment),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- LoRA


def lora_path(folder: Path) -> Path:
    return sorted(path for path in (folder / "lora").glob("*.safetensors") if "diffusers" not in path.stem)[0]


def lora_tensors(change: Callable[[dict[str, np.ndarray]], object], metadata: dict[str, str] | None = None) -> Spoil:
    def spoil(folder: Path) -> None:
        path = lora_path(folder)
        tensors = {name: array.copy() for name, array in load_file(path).items()}
        change(tensors)
        save_file(tensors, path, metadata)

    return spoil


def header(text: bytes, length: int | None = None) -> Spoil:
    """A safetensors file that is a header alone."""
    return lambda folder: lora_path(folder).write_bytes(struct.pack("<Q", length or len(text)) + text)


def fill(ending: str, value: float) -> Callable[[dict[str, np.ndarray]], object]:
    def change(tensors: dict[str, np.ndarray]) -> None:
        name = next(name for name in sorted(tensors) if name.endswith(ending))
        tensors[name] = np.full_like(tensors[name], value)

    return change


def reshape(tensors: dict[str, np.ndarray]) -> None:
    name = next(name for name in sorted(tensors) if name.endswith("lora_up.weight"))
    tensors[name] = tensors[name].reshape(-1, 1)


def third_dimension(tensors: dict[str, np.ndarray]) -> None:
    name = next(name for name in sorted(tensors) if name.endswith("lora_down.weight"))
    tensors[name] = tensors[name][..., None]


def without_a_half(tensors: dict[str, np.ndarray]) -> None:
    del tensors[next(name for name in sorted(tensors) if name.endswith("lora_up.weight"))]


def of_rank(rank: int) -> Callable[[dict[str, np.ndarray]], object]:
    def change(tensors: dict[str, np.ndarray]) -> None:
        name = next(name for name in sorted(tensors) if name.endswith("lora_down.weight"))
        tensors[name] = np.zeros((rank, 4), np.float32)
        tensors[name.replace("down", "up")] = np.zeros((4, rank), np.float32)

    return change


def sparse_header(length: int) -> Spoil:
    """A safetensors file whose header alone is said to have hundreds of megabytes; it takes no disk."""

    def spoil(folder: Path) -> None:
        with lora_path(folder).open("wb") as file:
            file.write(struct.pack("<Q", length) + b'{"__metadata__":{"a":"')
            file.truncate(8 + length)

    return spoil


class Harm:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/harm",)


def ckpt(data: bytes) -> Spoil:
    return lambda folder: next((folder / "lora").glob("*.ckpt")).write_bytes(data)


def zipped_pickle(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


SOUND_ENTRY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
BIG_HEADER = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
TWICE = (
    b'{"lora_unet_a.lora_down.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},'
    b'"lora_unet_a.lora_up.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}\0\0\0\0'
)

LORAS = [
    Case("lora-number", "not a number", lora_tensors(fill("lora_up.weight", float("nan"))), nothing),
    Case("lora-number", "infinite", lora_tensors(fill("lora_down.weight", float("inf"))), nothing),
    Case("lora-number", "infinite alpha", lora_tensors(fill("alpha", float("inf"))), nothing),
    Case("lora-number", "alpha that is no number", lora_tensors(fill("alpha", float("nan"))), nothing),
    Case("lora-shape", "that do not fit", lora_tensors(reshape), nothing),
    Case("lora-shape", "three dimensions", lora_tensors(third_dimension), nothing),
    Case("lora-shape", "a half is missing", lora_tensors(without_a_half), nothing),
    *(Case("lora-rank", f"{rank}", lora_tensors(of_rank(rank)), nothing) for rank in (0, 1025, 5000, 100_000)),
    *(
        Case(
            "lora",
            f"the key {key}",
            lora_tensors(lambda t, key=key: t.update({key: np.zeros((1, 1), np.float32)})),
            nothing,
        )
        for key in ("../x", "lora_te_text_model.lora_up.weight", "x" * 100_000)
    ),
    Case("lora-metadata", "megabytes", lora_tensors(lambda t: None, {"x": "y" * 3_000_000}), nothing),
    Case("lora-metadata", "hundreds of megabytes", sparse_header(400_000_000), nothing),
    Case("lora-metadata", "a nest", header(b'{"__metadata__":' + b'{"a":' * 50_000), nothing),
    Case("lora-metadata", "numbers", header(b'{"__metadata__":{"a":1}}'), nothing),
    Case("lora-shape", "header of a terabyte", header(b"{}", 2**40), nothing),
    Case("lora-shape", "tensor of terabytes", header(BIG_HEADER), nothing),
    Case("lora-shape", "tensors that overlap", header(TWICE, len(TWICE) - 4), nothing),
    Case("lora", "empty", lora_tensors(lambda t: t.clear()), nothing),
    Case("pickle", "os.system", ckpt(zipped_pickle(pickle.dumps(Harm()))), nothing),
    Case("pickle", "os.system in a dict", ckpt(zipped_pickle(pickle.dumps({"a": Harm()}))), nothing),
    Case("pickle", "the old format", ckpt(pickle.dumps(Harm())), nothing),
    Case("pickle", "eval by name", ckpt(zipped_pickle(b"cbuiltins\neval\n(V1\ntR.")), nothing),
    Case("pickle", "a memo bomb", ckpt(zipped_pickle(b"\x80\x02" + b"(" * 10**6 + b".")), nothing),
    Case("pickle", "a million entries", lambda folder: ckpt(million_entries())(folder), nothing),
    *(Case("lora-shape", f"{place} is {odd!r}", header(json.dumps({"a": SOUND_ENTRY | {place: odd}}).encode()), nothing)
      for place, odd in (("dtype", []), ("dtype", {}), ("shape", {}), ("data_offsets", {"a": 0, "b": 4}))),
    *(Case("lora-shape", f"an entry is {odd!r}", header(json.dumps({"a": odd}).encode()), nothing)
      for odd in ([], "x", 5, None)),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A grey PNG that says it has this size, with these compressed rows."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def panel(data: bytes) -> Spoil:
    return lambda folder: (folder / "images/02.png").write_bytes(data)


def saved_as(format: str, size: tuple[int, int] = (64, 64), **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.effect_noise(size, 90) if size == (64, 64) else Image.new("1", size)
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def sheet(side: int) -> Spoil:
    """A story.jpg that says it has this many pixels a side."""

    def spoil(folder: Path) -> None:
        data = saved_as("JPEG")
        start = data.index(b"\xff\xc0") + 5
        (folder / "story.jpg").write_bytes(data[:start] + struct.pack(">HH", side, side) + data[start + 4 :])

    return spoil


def other_panel(folder: Path) -> None:
    """A picture that anybody drew: without a word of what it was rendered from, which only warns."""
    (folder / "images/02.png").write_bytes(saved_as("PNG"))
    documents.write(folder, manifest.files_below(folder))


PICTURES = [
    Case("pixels", "panel of 60,000 x 60,000", panel(png(60_000, 60_000, zlib.compress(bytes(1000)))), other_panel),
    Case("picture", "rows missing", panel(png(64, 64, zlib.compress(b""))), other_panel),
    Case("pixels", "text of 200 MB", panel(png(64, 64, zlib.compress(bytes(65 * 64)),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000))))), other_panel),
    Case("picture", "JPEG by another name", panel(saved_as("JPEG")), other_panel),
    Case("pixels", "many frames", panel(saved_as("PNG", save_all=True,
        append_images=[Image.effect_noise((64, 64), 90) for _ in range(3)])), other_panel),
    Case("picture", "cut off", panel(saved_as("PNG")[:500]), other_panel),
    Case("picture", "markup", panel(b"<svg onload='alert(1)'/>"), other_panel),
    Case("pixels", "panel of 2,048 x 65,536", panel(saved_as("PNG", size=(2048, 65_536))), other_panel),
    Case("pixels", "sheet of 65,000 x 65,000", sheet(65_000), other_panel),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- pages


def page(insert: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "index.html"
        text = path.read_text("utf-8")
        assert "</body>" in text
        path.write_text(text.replace("</body>", f"{insert}</body>"), "utf-8")

    return spoil


def card(insert: str) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "README.md"
        path.write_text(path.read_text("utf-8") + "\n" + insert + "\n", "utf-8")

    return spoil


def put(place: str, text: str) -> Spoil:
    """A prompt as it was written, at the end of a file that hubs show as a page."""

    def spoil(folder: Path) -> None:
        path = folder / place
        path.write_text(f"{path.read_text('utf-8')}\n{text}\n", "utf-8")

    return spoil


MARKS = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>")
words = card("A harmless sentence about a cat.")

PAGES = [
    Case("page", "script", page("<script>alert(1)</script>"), words),
    Case("page", "script from elsewhere", page("<script src='https://example.com/x.js'></script>"), words),
    Case("page", "event handler", page("<img src=x onerror='alert(1)'>"), words),
    Case("page", "frame", page("<iframe src='https://example.com'></iframe>"), words),
    Case("card", "script", card("<script>alert(1)</script>"), words),
    Case("card", "event handler", card("<img src=x onerror=alert(1)>"), words),
    Case("card", "javascript link", card("[x](javascript:alert(1))"), words),
    Case("card", "javascript by its name in a quote", card("> [x]: javascript:alert(1)\n\n[x]"), words),
    Case("card", "javascript by a name of two lines", card("[a\nb]: javascript:alert(1)\n\n[a b]"), words),
    Case("card", "frame", card("<iframe src='https://example.com'></iframe>"), words),
    *(Case("prompt-markup", f"{place}, {mark}", put(place, f"小猫 {mark}"), put(place, f"小猫 {html.escape(mark)}"))
      for place in ("README.md", "post.md") for mark in MARKS),
]  # fmt: skip

RULES = {
    "path": {"archive", "manifest"},
    "link": {"paths", "archive"},
    "device": {"paths", "archive"},
    "collision": {"paths", "archive"},
    "crowd": {"archive", "manifest"},
    "size": {"sizes", "archive"},
    "archive": {"archive"},
    "file": {"paths", "files"},
    "manifest": {"manifest"},
    "story": {"story.yaml"},
    "yaml-tag": {"story.yaml"},
    "yaml-anchor": {"story.yaml"},
    "prompt-size": {"story.yaml", "sizes"},
    "prompt-control": {"story.yaml"},
    "prompt-markup": {"mark-up"},
    "lora": {"lora"},
    "lora-number": {"lora"},
    "lora-shape": {"lora"},
    "lora-rank": {"lora"},
    "lora-metadata": {"lora"},
    "pickle": {"lora"},
    "picture": {"panels"},
    "pixels": {"panels", "sheet"},
    "page": {"page"},
    "card": {"mark-up"},
}
"""The rules that may refuse a class of cases: an entry must not be refused for something else by chance."""

CASES = [*FILES, *MANIFESTS, *STORIES, *LORAS, *PICTURES, *PAGES, *ARCHIVES]
