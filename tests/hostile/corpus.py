"""Hostile entries made by code: each spoils a sound bundle in one way, and its twin changes it harmlessly nearby.

A case is `(class, name, spoil, twin)`; both functions change a copy of the sound bundle. The manifest is made true
again after either, unless the case is about the manifest.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from tests.bundle.spoil import edit_json

Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One way to do harm, and its twin."""

    kind: str
    name: str
    spoil: Spoil
    twin: Spoil
    rebuild: bool = True

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


def nothing(folder: Path) -> None:
    """The sound bundle as it is is the twin."""


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
    Case("file", "link to /etc/passwd", link("/etc/passwd"), nothing),
    Case("file", "link to a neighbour", link("02.png"), nothing),
    Case("file", "dangling link", link("/nowhere/at/all"), nothing),
    Case("file", "pipe", fifo, nothing),
    Case("file", "python beside the LoRA", add("lora/setup.py"), nothing),
    Case("file", "hidden file", add(".git/config"), nothing),
    Case("file", "a name that differs in case", add("images/01.PNG"), nothing),
    Case("file", "a device's name", add("lora/con.safetensors"), nothing),
    Case("file", "direction-changing name", add("lora/a\u202egnp.safetensors"), nothing),
    Case("file", "thousands of files", many, nothing, rebuild=False),
    Case("file", "story of a gigabyte", sparse("story.yaml", 10**9), nothing, rebuild=False),
    Case("file", "scores of a gigabyte", sparse("scores.json", 10**9), nothing, rebuild=False),
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
    reserialised("manifest", "path outside", manifest_entry("../../etc/cron.d/x", SOUND)),
    reserialised("manifest", "absolute path", manifest_entry("/etc/cron.d/x", SOUND)),
    reserialised("manifest", "Windows drive", manifest_entry("C:\\x", SOUND)),
    reserialised("manifest", "NUL in a name", manifest_entry("a\0b", SOUND)),
    reserialised("manifest", "no digest", manifest_entry("README.md", {"sha256": "../..", "size": 1})),
    reserialised("manifest", "negative size", manifest_entry("README.md", {"sha256": "0" * 64, "size": -1})),
    reserialised("manifest", "endless size", manifest_entry("README.md", {"sha256": "0" * 64, "size": 10**30})),
    reserialised("manifest", "a million entries", manifest_text(
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


def story_value(*keys: Any, value: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "story.yaml"
        values = inner = yaml.safe_load(path.read_text("utf-8"))
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")

    return spoil


LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 9)}]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)
comment = story_line("# a harmless comment: !!python/object &a *a")

STORIES = [
    Case("story", "python object", story_line("x: !!python/object/apply:os.system ['touch /tmp/harm']"), comment),
    Case("story", "python name", story_line("x: !!python/name:os.system"), comment),
    Case("story", "own tag", story_line("x: !harm 1"), comment),
    Case("story", "anchors that explode", story_line(LAUGHS), comment),
    Case("story", "merge key", story_line("x: {<<: {a: 1}}"), comment),
    Case("story", "deep nest", story_line("x: " + "[" * 50_000), comment),
    Case("story", "two documents", story_line("---\ntitle: x"), comment),
    Case("story", "key twice", story_line("title: another"), comment),
    Case("prompt", "ten megabytes", story_line("x: " + "y" * 10**7), comment),
    Case("prompt", "twenty thousand characters", story_value("panels", 0, "prompt", value="x" * 20_000), comment),
    Case("prompt", "escape sequence", story_value("panels", 0, "prompt", value="a\x1b[2Jb"), comment),
    Case("prompt", "seed beyond browsers", story_value("panels", 0, "seed", value=2**60), comment),
    Case("prompt", "endless picture", story_value("render", "width", value=10**6), comment),
    Case("prompt", "a million steps", story_value("render", "steps", value=10**6), comment),
]


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


def absurd_rank(tensors: dict[str, np.ndarray]) -> None:
    name = next(name for name in sorted(tensors) if name.endswith("lora_down.weight"))
    tensors[name] = np.zeros((5000, 4), np.float32)
    tensors[name.replace("down", "up")] = np.zeros((4, 5000), np.float32)


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


BIG_HEADER = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
TWICE = (
    b'{"lora_unet_a.lora_down.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},'
    b'"lora_unet_a.lora_up.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}\0\0\0\0'
)

LORAS = [
    Case("lora", "not a number", lora_tensors(fill("lora_up.weight", float("nan"))), nothing),
    Case("lora", "infinite", lora_tensors(fill("lora_down.weight", float("inf"))), nothing),
    Case("lora", "infinite alpha", lora_tensors(fill("alpha", float("inf"))), nothing),
    Case("lora", "shapes that do not fit", lora_tensors(reshape), nothing),
    Case("lora", "absurd rank", lora_tensors(absurd_rank), nothing),
    Case("lora", "unknown key", lora_tensors(lambda t: t.update({"../x": np.zeros(1, np.float32)})), nothing),
    Case("lora", "megabytes of metadata", lora_tensors(lambda t: None, {"x": "y" * 3_000_000}), nothing),
    Case("lora", "header of a terabyte", header(b"{}", 2**40), nothing),
    Case("lora", "tensor of terabytes", header(BIG_HEADER), nothing),
    Case("lora", "tensors that overlap", header(TWICE, len(TWICE) - 4), nothing),
    Case("lora", "empty", lora_tensors(lambda t: t.clear()), nothing),
    Case("pickle", "os.system", ckpt(zipped_pickle(pickle.dumps(Harm()))), nothing),
    Case("pickle", "os.system in a dict", ckpt(zipped_pickle(pickle.dumps({"a": Harm()}))), nothing),
    Case("pickle", "the old format", ckpt(pickle.dumps(Harm())), nothing),
    Case("pickle", "eval by name", ckpt(zipped_pickle(b"cbuiltins\neval\n(V1\ntR.")), nothing),
    Case("pickle", "a memo bomb", ckpt(zipped_pickle(b"\x80\x02" + b"(" * 10**6 + b".")), nothing),
]


# ---------------------------------------------------------------------------------------------------- pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A grey PNG that says it has this size, with these compressed rows."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def panel(data: bytes) -> Spoil:
    return lambda folder: (folder / "images/02.png").write_bytes(data)


def saved_as(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, format, **options)
    return buffer.getvalue()


def other_panel(folder: Path) -> None:
    """A picture that anybody drew: without a word of what it was rendered from, which only warns."""
    (folder / "images/02.png").write_bytes(saved_as("PNG"))


PICTURES = [
    Case("picture", "bomb by size", panel(png(60_000, 60_000, zlib.compress(bytes(1000)))), other_panel),
    Case("picture", "rows missing", panel(png(64, 64, zlib.compress(b""))), other_panel),
    Case("picture", "text bomb", panel(png(64, 64, zlib.compress(bytes(65 * 64)),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000))))), other_panel),
    Case("picture", "JPEG by another name", panel(saved_as("JPEG")), other_panel),
    Case("picture", "many frames", panel(saved_as("PNG", save_all=True,
        append_images=[Image.effect_noise((64, 64), 90) for _ in range(3)])), other_panel),
    Case("picture", "cut off", panel(saved_as("PNG")[:500]), other_panel),
    Case("picture", "markup", panel(b"<svg onload='alert(1)'/>"), other_panel),
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


words = card("A harmless sentence about a cat.")

PAGES = [
    Case("page", "script", page("<script>alert(1)</script>"), words),
    Case("page", "script from elsewhere", page("<script src='https://example.com/x.js'></script>"), words),
    Case("page", "event handler", page("<img src=x onerror='alert(1)'>"), words),
    Case("page", "frame", page("<iframe src='https://example.com'></iframe>"), words),
    Case("card", "script", card("<script>alert(1)</script>"), words),
    Case("card", "event handler", card("<img src=x onerror=alert(1)>"), words),
    Case("card", "javascript link", card("[x](javascript:alert(1))"), words),
    Case("card", "frame", card("<iframe src='https://example.com'></iframe>"), words),
]

RULES = {
    "file": {"paths", "files", "sizes", "archive"},
    "manifest": {"manifest"},
    "story": {"story.yaml"},
    "prompt": {"story.yaml", "sizes", "prompts"},
    "lora": {"lora"},
    "pickle": {"lora"},
    "picture": {"panels"},
    "page": {"page"},
    "card": {"mark-up"},
}
"""The rules that may refuse a class of cases: an entry must not be refused for something else by chance."""

CASES = [*FILES, *MANIFESTS, *STORIES, *LORAS, *PICTURES, *PAGES]
