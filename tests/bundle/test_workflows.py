"""comfyui/ in a bundle: what is written, what is left out and said, and a stranger's workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kolors_submit.bundle.check import check
from kolors_submit.bundle.pack import pack
from kolors_submit.bundle.workflows import say_left_out
from kolors_submit.picture import png_bytes
from kolors_submit.report import Reporter
from kolors_submit.story import panel_prompt
from tests.bundle.runs import LORA, make_run, story
from tests.bundle.spoil import edit_json, rebuild


def test_what_the_contests_node_cannot_take_is_left_out_and_said(tmp_path: Path) -> None:
    panels = [
        {"scene": "s", "prompt": "猫 {{a}}" if n == 3 else "猫|狗" if n == 4 else f"猫 {n}", "seed": n}
        for n in range(1, 9)
    ]
    job = make_run(tmp_path, chosen=story(panels=panels, render={"width": 64, "height": 64, "lora_strength": 0.5}))
    heard = Console(record=True, width=200, stderr=True)
    pack(replace(job, report=Reporter(heard)))
    names = {path.name for path in (job.run.bundle / "comfyui").iterdir()}
    assert {f"{n:02d}.json" for n in range(1, 9)} - names == {"03.json"}
    assert {f"{n:02d}_contest.json" for n in range(1, 9)} - names == {"03_contest.json", "04_contest.json"}
    said = heard.export_text()
    assert "03.json, 03_contest.json: both Kolors text encoders" in said
    assert "04_contest.json: the node KolorsTextEncode splits" in said


def test_a_reason_for_all_panels_names_the_first_and_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    say_left_out(story(train={"alpha": 16}), Reporter(Console(stderr=True, width=400)))
    said = "no comfyui/ 01_contest.json to 08_contest.json: it needs lora_alpha 12, and the node LoadKolorsLoRA takes 0"
    assert said in (heard := capsys.readouterr().err)
    assert "those for ComfyUI's own LoRA loader are there" in heard


CASES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another node": (lambda v: v["nodes"].append({"type": "RunShell", "widgets_values": ["rm"]}), "'RunShell'"),
    "a node without a name": (lambda v: v["nodes"].append({"type": ["KSampler"]}), "is not one of ours"),
    "a different seed": (lambda v: v["nodes"][6]["widgets_values"].__setitem__(0, 5), "a different seed"),
    "another prompt": (lambda v: v["nodes"][3]["widgets_values"].__setitem__(0, ["x"]), "a different text"),
    "another lora": (lambda v: v["nodes"][1]["widgets_values"].__setitem__(0, "x.safetensors"), "not in this bundle"),
    "another strength": (lambda v: v["nodes"][1]["widgets_values"].__setitem__(1, 2), "a different strength_model"),
    "other steps": (lambda v: v["nodes"][6]["widgets_values"].__setitem__(2, 9), "a different steps"),
    "another sampler": (lambda v: v["nodes"][6]["widgets_values"].__setitem__(4, "lcm"), "a different sampler_name"),
    "another model": (lambda v: v["nodes"][0]["widgets_values"].__setitem__(0, "x"), "a different unet_name"),
    "another size": (lambda v: v["nodes"][5].update(widgets_values=[8, 8, 64]), "a different batch_size"),
    "prompts swapped": (lambda v: v["nodes"].insert(3, v["nodes"].pop(4)), "a different text"),
    "one node twice": (lambda v: v["nodes"].append(v["nodes"][6]), "the node 'KSampler'"),
    "a node of the contest's": (lambda v: v["nodes"].append({"type": "KolorsSampler"}), "the node 'KolorsSampler'"),
    "no nodes": (lambda v: v.pop("nodes"), "is not a workflow"),
}


def test_another_versions_workflow_is_held_to_its_values(tmp_path: Path, failures: Callable[[Path], list[str]]) -> None:
    """Its places, notes and blanks are its own."""
    job = make_run(tmp_path, chosen=story(render={"width": 64, "height": 64, "lora_strength": 0.5}))
    pack(job)
    bundle = job.run.bundle
    edit_json(bundle, "history.json", lambda value: value.update(writer="0" * 64))
    for name in ("01.json", "01_contest.json"):
        edit_json(bundle, f"comfyui/{name}", moved)
    rebuild(bundle)
    assert failures(bundle) == []
    (warning,) = [one.message for one in check(bundle) if one.level == "warn"]
    assert warning.startswith("comfyui/01.json and 1 more: of another version")
    edit_json(bundle, "comfyui/01_contest.json", lambda v: v["nodes"][4]["widgets_values"].__setitem__(6, "x"))
    rebuild(bundle)
    assert failures(bundle) == [
        "workflows: the ComfyUI workflow in comfyui/01_contest.json has a different scheduler from the panel's own"
    ]


def moved(value: dict[str, Any]) -> None:
    value["nodes"][0]["pos"] = [7, 7]
    value["nodes"][-1]["widgets_values"] = ["Other words."]


@pytest.mark.parametrize("case", CASES)
def test_a_strangers_workflow(bundle: Path, failures: Callable[[Path], list[str]], case: str) -> None:
    spoil, expected = CASES[case]
    path = bundle / "comfyui" / "02.json"
    value = json.loads(path.read_text())
    spoil(value)
    path.write_text(json.dumps(value))
    rebuild(bundle)
    found = failures(bundle)
    assert all("comfyui/02.json" in line for line in found), found
    assert any(line.startswith("workflows: the ComfyUI workflow in") and expected in line for line in found), found


def test_a_workflow_of_no_panel(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "comfyui" / "09.json").write_text("{}")
    rebuild(bundle)
    assert "workflows: comfyui/09.json belongs to no panel of the story" in failures(bundle)


def test_a_workflow_inside_a_panel(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    from PIL import Image

    chosen = story()
    prompt = panel_prompt(chosen, chosen.panels[2])
    with Image.open(bundle / "images" / "03.png") as picture:
        pixels = picture.convert("RGB")
    data = png_bytes(pixels, prompt, 103, chosen.render, LORA.removeprefix("kolors-lora-"))
    (bundle / "images" / "03.png").write_bytes(data)
    rebuild(bundle)
    assert failures(bundle) == []
    (bundle / "images" / "03.png").write_bytes(png_bytes(pixels, prompt, 103, chosen.render, "f" * 64))
    rebuild(bundle)
    found = failures(bundle)
    assert len(found) == 2 and all("not in this bundle" in line for line in found)


def test_the_third_file_is_held_to_the_others(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    from safetensors.numpy import load_file, save_file

    path = bundle / "lora" / f"{LORA}_diffusers.safetensors"
    tensors = load_file(path)
    name = next(key for key in tensors if ".lora_B." in key)
    save_file(tensors | {name: tensors[name] / 2}, path)
    rebuild(bundle)
    assert len(failures(bundle)) == 1 and "with its alpha" in failures(bundle)[0]
    save_file({key: value for key, value in tensors.items() if key != name} | {"x": tensors[name]}, path)
    rebuild(bundle)
    assert len(failures(bundle)) == 2
    path.unlink()
    rebuild(bundle)
    assert failures(bundle) == []
    assert "export --to diffusers" in next(one.message for one in check(bundle) if one.level == "warn")
