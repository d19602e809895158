"""Old entries that mean harm: each is refused with a sentence and leaves nothing outside; its twin is imported."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from kolors_submit.bundle.check import check
from kolors_submit.errors import SubmitError
from kolors_submit.export import comfyui, graph
from kolors_submit.importing.evidence import read_panels
from kolors_submit.importing.settle import Notes
from kolors_submit.importing.source import names_in, open_entry
from kolors_submit.report import quiet
from tests.hostile.corpus import BIG_HEADER, Harm, chunk, link, png, saved_as, sparse, zipped_pickle
from tests.importing.conftest import old, rendered  # noqa: F401 - fixtures
from tests.importing.old import ALPHA, as_csv, rows, shot

HARM = Path("/tmp/harm")
MARKUP = "<img src=x onerror=alert(1)> [x](javascript:alert(1))\n"
Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One way to do harm, what the refusal says, and its twin."""

    kind: str
    name: str
    spoil: Spoil
    said: str
    twin: Spoil

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


def nothing(folder: Path) -> None:
    """The sound entry as it is is the twin."""


def put(name: str, data: str | bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))

    return spoil


def hard(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return spoil


def cell(column: int, value: str) -> Spoil:
    """Another value in the prompt table's third row."""

    def spoil(folder: Path) -> None:
        table = rows()
        table[3][column] = value
        put("提示词.csv", as_csv(table))(folder)

    return spoil


def many(folder: Path) -> None:
    (folder / "captions").mkdir()
    for number in range(4100):
        (folder / f"captions/{number}.txt").write_bytes(b"")


FILES = [
    Case("file", "picture that is a link", link("/etc/passwd"), "is a link", nothing),
    Case("file", "dangling link", link("/nowhere"), "is a link", nothing),
    Case("file", "LoRA that is a link", hard("猫.ckpt", lambda p: p.symlink_to("/etc/passwd")), "is a link", nothing),
    Case("file", "table that is a pipe", hard("提示词.csv", os.mkfifo), "not a regular file", nothing),
    Case("file", "thousands of files", many, "more than 4000 files", put("captions/1.txt", "猫")),
    Case("file", "LoRA of a terabyte", sparse("猫.ckpt", 10**12), "猫.ckpt has 1,000,000,000,000", nothing),
    Case("file", "table of a gigabyte", sparse("提示词.csv", 10**9), "提示词.csv has 1,000,000,000", nothing),
    Case("file", "README of a megabyte", put("README.md", "x" * 10**6 + "y"), "larger than 1,000,000",
        put("README.md", "# 猫\n" + "一只猫。" * 20_000)),
    Case("file", "a direction-changing name", put("a\u202egnp.md", "x"), "control or formatting", put("说明.md", "x")),
    Case("file", "a device's name", put("con.md", "x"), "a name reserved on Windows", put("conch.md", "x")),
    Case("file", "names that differ in case", lambda f: [put("README.md", "x")(f), put("readme.MD", "x")(f)],
        "would be one file", put("readme2.MD", "x")),
]  # fmt: skip


blanks = cell(2, "一只猫\t走路\n全身")


def words(text: str) -> Case:
    return Case("prompt", repr(text[:12]), cell(2, text), "control character", blanks)


PROMPTS = [
    words("a\x1b[2Jb"), words("a\x00b"), words("a\x07b"), words("a\u2028b"),
    Case("prompt", "twenty thousand characters", cell(2, "猫" * 20_000), "at most 10,000", cell(2, "猫" * 9_000)),
    Case("prompt", "seed beyond browsers", cell(4, str(2**60)), "seed", cell(4, str(2**53 - 1))),
    Case("prompt", "a scene that clears the screen", cell(1, "\x1b[2J"), "control character", cell(1, "<b>雨</b>")),
    Case("prompt", "a title that clears the screen", put("README.md", "# a\x9bb\n"), "control character",
        put("README.md", f"# {MARKUP}")),
    Case("prompt", "thousands of rows", put("提示词.csv", as_csv([*rows(), *rows()[1:] * 200])), "at most 1,000",
        put("提示词.csv", as_csv(rows()))),
    Case("prompt", "a cell without an end", put("提示词.csv", as_csv(rows()) + '"x'), "is not a table",
        put("提示词.csv", as_csv(rows()) + "\r\n\r\n")),
    Case("prompt", "no text at all", put("README.md", b"\x81\x00\xff"), "not text in UTF-8 or GBK", nothing),
]  # fmt: skip


def flow(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """A workflow of panel 3 with other inputs in its nodes."""

    def spoil(folder: Path) -> None:
        value = graph.prompt(comfyui.contest(shot(3), ALPHA))
        change({node["class_type"]: node["inputs"] for node in value.values()})
        put("3.json", json.dumps(value))(folder)

    return spoil


def in_a_picture(value: Any) -> Spoil:
    """A workflow inside panel 3."""
    return lambda folder: (folder / "images/3.png").write_bytes(
        png(64, 64, zlib.compress(bytes(65 * 64)), chunk(b"tEXt", b"prompt\0" + json.dumps(value).encode()))
    )


sound_flow = flow(lambda nodes: None)
sampler = {"class_type": "KolorsSampler", "inputs": {"kolors_model": ["1", 0], "kolors_embeds": ["2", 0]}}
text = {"class_type": "KolorsTextEncode", "inputs": {"prompt": "a\x1bb"}}

WORKFLOWS = [
    Case("workflow", "escape sequence", flow(lambda n: n["KolorsTextEncode"].update(prompt="a\x1b[2J")),
        "control character", sound_flow),
    Case("workflow", "lone surrogate", flow(lambda n: n["KolorsTextEncode"].update(prompt="a\ud800")),
        "control character", sound_flow),
    Case("workflow", "a megabyte of words", flow(lambda n: n["KolorsTextEncode"].update(prompt="x" * 10**6)),
        "at most 10,000", sound_flow),
    Case("workflow", "seed beyond browsers", flow(lambda n: n["KolorsSampler"].update(seed=2**63)), "seed",
        flow(lambda n: n["KolorsSampler"].update(seed=10**40))),
    Case("workflow", "a thousand steps and more", lambda f: [put(f"{n}.json", json.dumps({
        "1": {"class_type": "KSampler", "inputs": {"steps": 5000}}}))(f) for n in range(1, 9)], "render.steps",
        put("3.json", json.dumps({"1": {"class_type": "KSampler", "inputs": {"steps": 10**9, "cfg": 10**400}}}))),
    Case("workflow", "words in a picture's text", in_a_picture({"1": sampler, "2": text}), "control character",
        in_a_picture({"1": sampler, "2": {"class_type": "KolorsTextEncode", "inputs": {"prompt": "猫"}}})),
]  # fmt: skip
"""Those that only cost time or memory are in HARMLESS: nothing of them is used."""

HARMLESS = {
    "a deep nest": put("3.json", "[" * 100_000),
    "a deep object": put("3.json", '{"nodes":' * 50_000),
    "a loop of links": put("3.json", json.dumps({
        "1": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "seed": ["1", 0]}},
        "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["3", 0]}},
        "3": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["2", 0]}}})),
    "thousands of nodes": put("3.json", json.dumps({"nodes": [{"id": n, "type": "KSampler"} for n in range(5000)]})),
    "values of other kinds": put("3.json", json.dumps({"nodes": [{"id": [], "type": {}, "inputs": 3, "mode": {},
        "widgets_values": 7}, {"type": "KSampler", "widgets_values": [{}, [], None], "inputs": [5, {"link": {}}]}],
        "links": [5, [1], [[], {}]]})),
    "not a number": put("3.json", '{"1": {"class_type": "KSampler", "inputs": {"seed": NaN, "cfg": Infinity}}}'),
    "text that is no JSON": put("3.json", b"\xff\xfe\x00"),
    "brackets without end": put("README.md", "[" * 400_000),
    "blanks without end": put("README.md", "# a" + " " * 400_000 + "b\n" + "-" * 400_000),
    "quotes without end": put("README.md", "prompt='''\n" * 40_000),
    "rules without end": put("README.md", "|--|--|\n" * 60_000),
    "a text bomb in a picture": put("extra.png", png(64, 64, zlib.compress(bytes(65 * 64)),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(200_000_000))))),
}  # fmt: skip


def lora(data: bytes) -> Spoil:
    return put("猫.ckpt", data)


def kohya(change: Callable[[dict[str, np.ndarray]], object], metadata: dict[str, str] | None = None) -> Spoil:
    """The entry's LoRA in kohya's keys, spoilt."""

    def spoil(folder: Path) -> None:
        (folder / "猫.ckpt").unlink()
        tensors = {
            key: value.copy() for key, value in load_file(folder.parent / "rendered/train/lora.safetensors").items()
        }
        change(tensors)
        save_file(tensors, folder / "猫.safetensors", metadata)

    return spoil


def fill(ending: str, value: float) -> Callable[[dict[str, np.ndarray]], object]:
    def change(tensors: dict[str, np.ndarray]) -> None:
        name = next(name for name in sorted(tensors) if name.endswith(ending))
        tensors[name] = np.full_like(tensors[name], value)

    return change


def huge_rank(tensors: dict[str, np.ndarray]) -> None:
    name = next(name for name in sorted(tensors) if name.endswith("lora_down.weight"))
    width, height = tensors[name].shape[1], tensors[name.replace("down", "up")].shape[0]
    tensors[name] = np.zeros((2000, width), np.float32)
    tensors[name.replace("down", "up")] = np.zeros((height, 2000), np.float32)


sound_kohya = kohya(lambda tensors: None, {"ss_output_name": "猫"})

LORAS = [
    Case("lora", "os.system", lora(zipped_pickle(pickle.dumps(Harm()))), "it is not a plain table", nothing),
    Case("lora", "os.system in a dict", lora(zipped_pickle(pickle.dumps({"a": Harm()}))), "not a plain table", nothing),
    Case("lora", "eval by name", lora(zipped_pickle(b"cbuiltins\neval\n(V1\ntR.")), "was not loaded", nothing),
    Case("lora", "the old format", lora(pickle.dumps(Harm())), "not a .ckpt that torch.save wrote", nothing),
    Case("lora", "a pickle called safetensors", lambda f: [(f / "猫.ckpt").unlink(), put("a.safetensors",
        zipped_pickle(pickle.dumps(Harm())))(f)], "not a safetensors file", sound_kohya),
    Case("lora", "header of terabytes", lambda f: [(f / "猫.ckpt").unlink(), put("a.safetensors",
        len(BIG_HEADER).to_bytes(8, "little") + BIG_HEADER)(f)], "describes", sound_kohya),
    Case("lora", "not a number", kohya(fill("lora_up.weight", float("nan"))), "not finite", sound_kohya),
    Case("lora", "infinite alpha", kohya(fill("alpha", float("inf"))), "not finite", sound_kohya),
    Case("lora", "absurd rank", kohya(huge_rank), "does not fit", sound_kohya),
    Case("lora", "another model's", kohya(lambda t: t.update({"lora_te_x.lora_up.weight": np.zeros(1, np.float32)})),
        "no LoRA key of this base", sound_kohya),
    Case("lora", "megabytes of metadata", kohya(lambda t: None, {"x": "y" * 3_000_000}), "metadata", sound_kohya),
    Case("lora", "several ranks", kohya(lambda t: t.update({k: v[:2] if "down" in k else v[:, :2] for k, v in t.items()
        if "lora_unet_mid" in k and "alpha" not in k})), "has one rank", sound_kohya),
]  # fmt: skip


def picture(data: bytes) -> Spoil:
    return put("images/3.png", data)


other = picture(saved_as("PNG"))

PICTURES = [
    Case("picture", "bomb by size", picture(png(60_000, 60_000, zlib.compress(bytes(1000)))), "80,000,000", other),
    Case("picture", "larger than any panel", picture(png(8000, 64, zlib.compress(bytes(8001 * 64)))),
        "different sizes", other),
    Case("picture", "rows missing", picture(png(64, 64, zlib.compress(b""))), "corrupt or truncated", other),
    Case("picture", "text bomb", picture(png(64, 64, zlib.compress(bytes(65 * 64)),
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(200_000_000))))), "corrupt or truncated", other),
    Case("picture", "many frames", picture(saved_as("PNG", save_all=True,
        append_images=[Image.effect_noise((64, 64), 90)] * 3)), "animated", other),
    Case("picture", "markup", picture(b"<svg onload='alert(1)'/>"), "no picture", other),
    Case("picture", "empty", picture(b""), "is empty", other),
]  # fmt: skip

CASES = [*FILES, *PROMPTS, *WORKFLOWS, *LORAS, *PICTURES]


@pytest.fixture
def entry(old):
    """A sound entry: a .ckpt, eight pictures, a table."""
    return old.lora("diffsynth", "猫.ckpt").pictures("images/{}.png").add("提示词.csv", as_csv(rows()))


def tree(folder: Path, but: Path) -> dict[Path, float]:
    """Every file below a folder, one folder left out, with its time of change."""
    return {p: p.lstat().st_mtime for p in folder.rglob("*") if not p.is_dir() and but not in p.parents}


def import_safely(entry, tmp_path: Path) -> dict[str, Any]:
    """Import it; whatever happens, nothing is written outside the output folder."""
    before = tree(tmp_path, tmp_path / "out")
    try:
        return entry.imported(noise="cpu-float32")
    finally:
        assert tree(tmp_path, tmp_path / "out") == before and not HARM.exists()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hostile_old_entry_is_refused(entry, tmp_path, case):
    spoil_links(case.spoil, entry.folder)
    with pytest.raises(SubmitError) as raised:
        import_safely(entry, tmp_path)
    text = str(raised.value)
    assert case.said in text and len(text) < 3000
    assert all(character.isprintable() or character == "\n" for character in text)
    assert not (tmp_path / "out/bundle/manifest.json").exists()


def spoil_links(spoil: Spoil, folder: Path) -> None:
    """The corpus spoils images/01.png; an old entry's first picture is images/1.png."""
    shutil.copyfile(folder / "images/1.png", folder / "images/01.png")
    (folder / "images/1.png").unlink()
    spoil(folder)


@pytest.mark.parametrize("case", {case.twin: case for case in CASES}.values(), ids=str)
def test_hostile_old_entrys_twin_is_accepted(entry, case):
    case.twin(entry.folder)
    assert len(entry.read()[1].panels) == 8


def test_hostile_old_entrys_twins_are_imported_together(entry, tmp_path):
    for twin in (blanks, sound_flow, sound_kohya, other, put("README.md", "# <script>alert(1)</script> " + MARKUP)):
        twin(entry.folder)
    value = import_safely(entry, tmp_path)
    assert [str(finding) for finding in check(Path(value["bundle"])) if finding.level == "fail"] == []
    assert "<script" not in (Path(value["bundle"]) / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", HARMLESS)
def test_hostile_words_that_say_nothing_cost_nothing(entry, name):
    HARMLESS[name](entry.folder)
    panels = read_panels(entry.folder, names_in(entry.folder), None, Notes())
    assert [panel.first("seed")[0] for panel in panels] == list(range(41, 49))


def zipped(path: Path, entries: dict[str, bytes], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    ("entries", "mode", "said"),
    [
        ({"../outside.md": b"x"}, 0o100644, "an empty part, . or .."),
        ({"/tmp/harm.md": b"x"}, 0o100644, "not a relative path"),
        ({"a.md": b"/etc/passwd"}, 0o120777, "link or a device"),
        ({"a.md": bytes(50_000_000)}, 0o100644, "at most"),
        ({"a.png": bytes(50_000_000)}, 0o100644, "compressed more than 200-fold"),
        ({"a.md": b"x", "A.md": b"y"}, 0o100644, "would be one file"),
    ],
    ids=["path outside", "absolute path", "link", "large text", "bomb", "case"],
)
def test_hostile_zip_is_refused_and_its_twin_imported(entry, tmp_path, entries, mode, said):
    sound = {str(path.relative_to(entry.folder)): path.read_bytes() for path in entry.folder.rglob("*.*")}
    path = zipped(tmp_path / "entry.zip", sound | entries, mode)
    before = tree(tmp_path, tmp_path / "out")
    with pytest.raises(SubmitError, match=said), open_entry(path, tmp_path / "out", quiet()):
        pass
    assert tree(tmp_path, tmp_path / "out") == before and not HARM.exists()
    with open_entry(zipped(tmp_path / "twin.zip", sound | {"run_me.py": b"x"}), tmp_path / "out", quiet()) as folder:
        assert {str(one.relative_to(folder)) for one in folder.rglob("*.*")} == set(sound)


def test_hostile_old_entries_are_whole():
    assert len(CASES) >= 40
    assert min(Counter(case.kind for case in CASES).values()) >= 4
    assert len({str(case) for case in CASES}) == len(CASES)
