"""The texts in a panel's PNG, of which ComfyUI opens a graph: this program's own, or at least its values."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kolors_submit import before, panels, picture
from kolors_submit.bundle import rules_texts
from kolors_submit.bundle.check import check
from kolors_submit.story import panel_prompt
from tests.bundle.runs import story
from tests.bundle.spoil import edit_json, rebuild

EVIL = {"1": {"class_type": "EvilNode", "inputs": {"code": "import os"}}}

Texts = dict[str, str]


def retold(path: Path, change: Callable[[Texts], Any]) -> None:
    """The same pixels with changed texts."""
    with Image.open(path) as opened:
        opened.load()
        said = {key: str(value) for key, value in opened.info.items()}
        change(said)
        info = PngInfo()
        for key, value in said.items():
            info.add_text(key, value)
        opened.save(path, "PNG", pnginfo=info)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def of_another_version(bundle: Path) -> None:
    edit_json(bundle, "history.json", lambda value: value.update(writer="0" * 64))
    rebuild(bundle)


def warned(bundle: Path) -> list[str]:
    return [f"{one.rule}: {one.message}" for one in check(bundle) if one.level == "warn"]


def put(key: str, value: Any) -> Callable[[Texts], Any]:
    return lambda said: said.update({key: value if isinstance(value, str) else json.dumps(value)})


def in_prompt(number: str, key: str, value: Any) -> Callable[[Texts], None]:
    """Another value of an input in the graph that the server would run."""

    def change(said: Texts) -> None:
        graph = json.loads(said["prompt"])
        graph[number]["inputs"][key] = value
        said["prompt"] = json.dumps(graph)

    return change


def evil_prompt_alone(said: Texts) -> None:
    del said["workflow"]
    said["prompt"] = json.dumps(EVIL)


GRAPHS: dict[str, tuple[Callable[[Texts], Any], str]] = {
    "another graph, opened without a workflow": (evil_prompt_alone, "prompt in images/01.png has the node 'EvilNode'"),
    "another graph beside the workflow": (put("prompt", EVIL), "prompt in images/01.png has the node 'EvilNode'"),
    "no graph": (put("prompt", "[]"), "prompt in images/01.png is not a graph"),
    "another model": (in_prompt("1", "unet_name", "x"), "prompt in images/01.png has a different unet_name"),
    "another seed": (in_prompt("7", "seed", 1), "prompt in images/01.png has a different seed"),
    "the other prompt's words": (in_prompt("5", "text", "一位红发女孩走路 1"), "has a different text"),
    "another LoRA": (in_prompt("2", "lora_name", "x.safetensors"), "names the LoRA 'x.safetensors'"),
    "one more input": (in_prompt("2", "code", "x"), "has the input 'code' in LoraLoaderModelOnly"),
}


@pytest.mark.parametrize("case", GRAPHS)
@pytest.mark.parametrize("made", ["by this version", "by another version"])
def test_a_panels_graph_is_its_own(bundle: Path, failures: Callable[[Path], list[str]], case: str, made: str) -> None:
    change, expected = GRAPHS[case]
    retold(bundle / "images/01.png", change)
    (rebuild if made == "by this version" else of_another_version)(bundle)
    (found,) = failures(bundle)
    assert found.startswith("workflows: the ComfyUI ") and expected in found


OTHERS: dict[str, tuple[Callable[[Texts], Any], str]] = {
    "the last resort": (put("parameters", "a cat <lora:x:1>"), "parameters"),
    "another program's text": (put("Comment", "x"), "Comment"),
    "no workflow": (lambda said: said.pop("workflow"), "workflow"),
    "no word of its making": (lambda said: said.pop("kolors-submit"), "kolors-submit"),
    "a graph with other blanks": (lambda said: said.update(prompt=said["prompt"] + " "), "prompt"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_this_versions_texts_are_what_it_writes(bundle: Path, failures: Callable[[Path], list[str]], case: str) -> None:
    change, name = OTHERS[case]
    retold(bundle / "images/02.png", change)
    rebuild(bundle)
    assert failures(bundle) == [f"panels: the text '{name}' of images/02.png is not what this program writes there"]


@pytest.mark.parametrize("case", OTHERS)
def test_another_versions_texts_are_only_warned_of(
    bundle: Path, failures: Callable[[Path], list[str]], case: str
) -> None:
    change, name = OTHERS[case]
    retold(bundle / "images/02.png", change)
    of_another_version(bundle)
    assert failures(bundle) == []
    by_value = {"workflow": [], "prompt": [], "kolors-submit": ["seeds: images/02.png does not say"]}
    expected = by_value.get(name, [f"panels: the text '{name}' of images/02.png is not this version's"])
    found = warned(bundle)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found


def test_a_graph_counts_where_nothing_else_is_said(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    def graph_alone(said: Texts) -> None:
        said.clear()
        put("workflow", {"nodes": [{"type": "EvilNode"}]})(said)

    retold(bundle / "images/01.png", graph_alone)
    of_another_version(bundle)
    (found,) = failures(bundle)
    assert "workflow in images/01.png has the node 'EvilNode'" in found


def test_a_picture_without_the_lora_has_no_graph(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    with Image.open(bundle / "images/01.png") as opened:
        workflow = opened.info["workflow"]
    retold(bundle / "before/01.png", put("workflow", workflow))
    rebuild(bundle)
    assert failures(bundle) == ["panels: the text 'workflow' of before/01.png is not what this program writes there"]


EVIL_TEXT = b"workflow\0" + json.dumps({"nodes": [{"type": "EvilNode"}]}).encode()
HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "twice": lambda data: data[:33] + chunk(b"tEXt", EVIL_TEXT) + data[33:],
    "in a chunk of ComfyUI's own": lambda data: data[:-12] + chunk(b"comf", EVIL_TEXT) + data[-12:],
    "behind the end": lambda data: data + chunk(b"tEXt", EVIL_TEXT),
    "behind the end, by another name": lambda data: data + chunk(b"iTXt", b"Workflow\0\0\0\0\0{}"),
    "in no alphabet": lambda data: data[:-12] + chunk(b"iTXt", b"other\0\0\0\0\0\xff{}") + data[-12:],
}


@pytest.mark.parametrize("case", HIDDEN)
@pytest.mark.parametrize("made", ["by this version", "by another version"])
def test_texts_that_not_every_program_reads(
    bundle: Path, failures: Callable[[Path], list[str]], case: str, made: str
) -> None:
    path = bundle / "images/03.png"
    path.write_bytes(HIDDEN[case](path.read_bytes()))
    (rebuild if made == "by this version" else of_another_version)(bundle)
    (found,) = failures(bundle)
    assert found.startswith("panels: images/03.png has the text '") and "not every program reads it" in found


def test_endless_chunks_come_to_an_end(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    path = bundle / "images/03.png"
    path.write_bytes(path.read_bytes() + chunk(b"tEXt", b"") * 2 * rules_texts.MAX_CHUNKS)
    rebuild(bundle)
    assert any("images/03.png has more than 100,000 chunks" in line for line in failures(bundle))


def test_other_texts_are_another_format_of_the_stage() -> None:
    """A bundle's panels may have been rendered before an update: other texts need other formats here, and render."""
    chosen = story()
    prompt = panel_prompt(chosen, chosen.panels[0])
    said = picture.texts(prompt, 101, chosen.render, "kolors-lora-00000000")
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    assert (panels.FORMAT, before.FORMAT, digest[:16]) == (2, 1, "9eaec307c5df745b")
