"""Entries made on the tiny base, published, fetched by somebody else, rendered again; and tampered with."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import load_file, save_file

from kolors_submit import cli
from kolors_submit.bundle import archive, documents, manifest
from kolors_submit.bundle.check import CheckError
from kolors_submit.bundle.lora import kohya_key, write_diffusers
from kolors_submit.errors import InputError, OutsideError, RuleError
from kolors_submit.files import file_digest, read_json
from kolors_submit.publish import Target, publish
from kolors_submit.report import Reporter, quiet
from kolors_submit.reproduce import claims
from kolors_submit.reproduce.outcome import claimed_compute, say
from kolors_submit.weights import OFFICIAL_PREDICTOR, find_predictor, open_base
from tests.bundle.spoil import edit_json, rebuild, replace

HUBS = ("modelscope", "huggingface")
NAME = "alice/Rainy-Day"


def verdicts(value: dict) -> list[str]:
    return [panel["verdict"] for panel in value["panels"]]


@pytest.mark.parametrize("where", HUBS)
def test_published_and_reproduced_by_another_user(hub, made, tmp_path, monkeypatch, where):
    publish(made.bundle, Target(hub=where, demonstration=True), quiet())
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "another"))
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "")
    monkeypatch.delenv("HF_TOKEN")
    value = made.reproduce(f"{where}:{NAME}")
    assert value["verdict"] == "identical" and set(verdicts(value)) == {"identical"} and value["problems"] == []
    fetched = made.out / "bundle"
    assert {name: file_digest(fetched / name) for name in manifest.files_below(fetched)} == {
        name: file_digest(made.bundle / name) for name in manifest.files_below(made.bundle)
    }
    assert json.loads((made.out / "reproduction.json").read_text()) == value
    with Image.open(made.out / "side-by-side.jpg") as sheet:
        assert sheet.width > 1000


@pytest.mark.parametrize("where", HUBS)
def test_a_version_is_named_by_its_tag(hub, made, where):
    value = publish(made.bundle, Target(hub=where, demonstration=True), quiet())
    tag = f"bundle-{value['bundle'][:12]}"
    assert made.reproduce(f"{where}:{NAME}@{tag}", sample=1)["verdict"] == "identical"
    advice = f"name a branch, a tag or a whole commit that its page lists .{where}:{NAME}@ma.*, or leave @"
    with pytest.raises(InputError, match=f"{NAME} at v9 was not found on .*; .*{advice}"):
        made.reproduce(f"{where}:{NAME}@v9", out=made.out.parent / "another")


def test_a_zip_and_a_sample_of_it(made, tmp_path):
    path = archive.write_zip(made.bundle, tmp_path / "entry.zip")
    value = made.reproduce(path, sample=2)
    assert verdicts(value) == ["identical", "identical"] and value["verdict"] == "identical"
    numbers = [panel["number"] for panel in value["panels"]]
    assert value["chosen"] == {"how": "drawn", "of": 8} and numbers == read_json(made.out / "drawn.json")["panels"]
    again = made.reproduce(path, sample=2)
    assert [panel["number"] for panel in again["panels"]] == numbers
    named = made.reproduce(path, panels=(numbers[1], 1), out=made.out.parent / "named")
    assert named["chosen"]["how"] == "named" and named["verdict"] == "identical"
    assert {panel["number"] for panel in named["panels"]} == {numbers[1], 1}
    with pytest.raises(InputError, match="at least one"):
        made.reproduce(path, sample=0)


@pytest.mark.parametrize("where", HUBS)
def test_a_fetch_that_is_cut_goes_on(hub, made, where):
    publish(made.bundle, Target(hub=where, demonstration=True), quiet())
    last = sorted(manifest.read(made.bundle / "manifest.json").files)[-1]
    hub.corrupt = {last}
    with pytest.raises(OutsideError):
        made.reproduce(f"{where}:{NAME}")
    hub.corrupt, fetched = set(), len(hub.asked)
    assert made.reproduce(f"{where}:{NAME}", sample=1)["verdict"] == "identical"
    got = [
        path
        for method, path in hub.asked[fetched:]
        if method == "GET" and ("resolve" in path or path.endswith("/repo"))
    ]
    assert len(got) <= 3


def panel_text(path: Path, change: dict) -> None:
    """Change what a panel says of itself, pixels untouched."""
    with Image.open(path) as picture:
        info = PngInfo()
        info.add_text("kolors-submit", json.dumps({**json.loads(picture.info["kolors-submit"]), **change}))
        picture.save(path, pnginfo=info)


def change_panel(folder: Path, column: str, value: object, said: str) -> None:
    """Change panel 3 in prompts.csv and in its picture's text, as somebody would who hides a change of the story."""
    rows = list(csv.reader(io.StringIO((folder / "prompts.csv").read_text("utf-8"))))
    rows[3][rows[0].index(column)] = str(value)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    (folder / "prompts.csv").write_bytes(text.getvalue().encode())
    panel_text(folder / "images/03.png", {said: value})


def flip_a_pixel(folder: Path) -> None:
    path = folder / "images/03.png"
    with Image.open(path) as picture:
        info = PngInfo()
        for key, text in picture.info.items():
            info.add_text(key, text)
        red, *rest = picture.getpixel((9, 9))
        picture.putpixel((9, 9), ((red + 1) % 256, *rest))
        picture.save(path, pnginfo=info)


def change_the_seed(folder: Path) -> None:
    values = yaml.safe_load((folder / "story.yaml").read_text("utf-8"))
    values["panels"][2]["seed"] = 33
    (folder / "story.yaml").write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")
    change_panel(folder, "seed", 33, "seed")


def change_the_prompt(folder: Path) -> None:
    replace(folder, "story.yaml", "走路 3", "飞翔的猫 3")
    rows = list(csv.reader(io.StringIO((folder / "prompts.csv").read_text("utf-8"))))
    change_panel(folder, "prompt", rows[3][rows[0].index("prompt")].replace("走路 3", "飞翔的猫 3"), "prompt")


def change_the_lora(folder: Path) -> None:
    path = next(path for path in (folder / "lora").glob("*.safetensors") if "diffusers" not in path.stem)
    tensors = load_file(path)
    for name in tensors:
        if name.endswith("lora_up.weight"):
            tensors[name] = tensors[name] + np.float32(0.5)
    save_file(tensors, path)


def forge_one_tensor(folder: Path) -> None:
    """One tensor of the LoRA in all its files, and all that is said of it, so that nothing but its pictures tells."""
    import torch

    (ckpt,) = (folder / "lora").glob("*.ckpt")
    kohya = ckpt.with_suffix(".safetensors")
    tensors, theirs = load_file(kohya), torch.load(ckpt, weights_only=True)
    key = max((key for key in theirs if kohya_key(key).endswith("lora_up.weight")), key=lambda key: theirs[key].numel())
    tensors[kohya_key(key)] = tensors[kohya_key(key)] + np.float32(2)
    theirs[key] = theirs[key] + 2
    save_file(tensors, kohya)
    torch.save(theirs, ckpt)
    write_diffusers(kohya, ckpt, ckpt.with_name(f"{ckpt.stem}_diffusers.safetensors"))
    edit_json(folder, "environment.json", lambda value: value["render"]["lora"].update(sha256=file_digest(kohya)))


def edit_the_scores(folder: Path) -> None:
    def raise_them(value):
        for panel in value["panels"]:
            panel["score"] += 1
        value["mean"] += 1
        value["minimum"] += 1

    edit_json(folder, "scores.json", raise_them)
    documents.write(folder, manifest.files_below(folder))


def spoil_a_score(folder: Path) -> None:
    edit_json(folder, "scores.json", lambda value: value["panels"][0].update(score=10**400))


TAMPERINGS = {
    "seed": (change_the_seed, "panel 3 is different"),
    "prompt": (change_the_prompt, "panel 3 is different"),
    "lora": (change_the_lora, "is different"),
    "scores": (edit_the_scores, "scores.json claims"),
    "a score that no float holds": (spoil_a_score, "scores.json lacks"),
}


@pytest.mark.parametrize("rebuilt", [True, False])
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_found_and_named(made, tampering, rebuilt):
    change, said = TAMPERINGS[tampering]
    change(made.bundle)
    if rebuilt:
        rebuild(made.bundle)
    with pytest.raises(RuleError, match="not reproduced") as raised:
        made.reproduce()
    assert said in str(raised.value)
    value = read_json(made.out / "reproduction.json")
    assert value["verdict"] == "different"
    assert rebuilt or any(problem.startswith("manifest:") for problem in value["problems"])


def test_beside_the_verdict_of_a_wrong_entry_is_said_what_its_pictures_are(made, capsys):
    next((made.bundle / "lora").glob("*.ckpt")).unlink()
    with pytest.raises(RuleError, match="not reproduced"):
        made.reproduce()
    say(read_json(made.out / "reproduction.json"), made.out, Reporter())
    assert re.search(r"different \(8 of 8 panels, pictures identical, problems \d+\)", capsys.readouterr().err)


def test_a_wrong_digest_of_the_contests_predictor_does_not_hide_wrong_scores(made, monkeypatch):
    predictor = find_predictor(open_base(made.base))[1]
    monkeypatch.setattr(claims.weights, "find_predictor", lambda _: (OFFICIAL_PREDICTOR, predictor))
    edit_json(
        made.bundle,
        "scores.json",
        lambda value: value.update(predictor={"name": OFFICIAL_PREDICTOR, "digest": "0" * 64}),
    )
    edit_the_scores(made.bundle)
    rebuild(made.bundle)
    with pytest.raises(RuleError, match=r"scores\.json claims .* for panel 1"):
        made.reproduce()


NEST = '{"device_kind": ' * 5000 + "1" + "}" * 5000
HOSTILE = {
    "an infinity": '{"x": 1e999}',
    "half a character": r'{"x": "\ud800"}',
    "a nest": NEST,
    "values of other kinds": '{"device_kind": ["cpu"], "dtype": {"a": 1}, "threads": 1.5, "batch": true}',
    "a megabyte": f'{{"dtype": "{"x" * 10**6}", "more": "{"y" * 10**6}"}}',
    "what a terminal would obey": r'{"dtype": "\u001b[2J\u202e", "device_kind": "cpu"}',
}


def test_hostile_words_about_the_arithmetic_are_judged(made):
    """Of environment.json only a few short values go into the report, which every reader of JSON can read."""
    text = (made.bundle / "environment.json").read_text("utf-8")
    start = text.index('"compute": ') + len('"compute": ')
    end = text.index("}", start) + 1
    for name, compute in HOSTILE.items():
        (made.bundle / "environment.json").write_text(text[:start] + compute + text[end:], "utf-8")
        rebuild(made.bundle)
        (made.out / "reproduction.json").unlink(missing_ok=True)
        with contextlib.suppress(RuleError):
            made.reproduce(sample=1)
        value = manifest.read_json_strictly(made.out / "reproduction.json")
        assert (made.out / "reproduction.json").stat().st_size < 20_000, name
        assert verdicts(value) == ["identical"], "its picture is what it is"
        claimed = value["compute"]["claimed"]
        assert claimed is None or all(len(str(one)) <= 100 and str(one).isprintable() for one in claimed.values()), name
        assert not value["compute"]["same_environment"]


@pytest.mark.parametrize(
    ("said", "known"),
    [([1, 2], None), ("cpu", None), (5, None), ({}, {}), ({"batch": 10**4000, "threads": None}, {"threads": None}),
     ({"dtype": "x" * 101, "batch": 1.5, "compile": True}, {"compile": True})],
)  # fmt: skip
def test_of_the_arithmetic_short_values_are_kept(said, known):
    assert claimed_compute(SimpleNamespace(environment={"render": {"compute": said}})) == known


def test_a_known_arithmetic_is_told_as_it_is(made):
    value = made.reproduce(sample=1)
    assert value["compute"]["claimed"] == value["compute"]["here"] and value["compute"]["same_environment"]
    edit_json(made.bundle, "environment.json", lambda value: value["render"]["compute"].update(faster="always"))
    rebuild(made.bundle)
    value = made.reproduce(sample=1)
    assert value["compute"]["claimed"] == value["compute"]["here"], "what a newer program says is left out"
    assert not value["compute"]["same_environment"], "and may be another arithmetic"


def test_one_tensor_that_is_forged_everywhere_is_told_by_the_pictures(made):
    forge_one_tensor(made.bundle)
    rebuild(made.bundle)
    with pytest.raises(RuleError, match="is different"):
        made.reproduce()
    value = read_json(made.out / "reproduction.json")
    assert value["valid"] and value["problems"] == [], "every file agrees with every other"
    assert value["verdict"] == "different" and "identical" not in verdicts(value)


@pytest.mark.parametrize("rebuilt", [True, False])
def test_a_flipped_pixel_is_never_identical(made, rebuilt):
    flip_a_pixel(made.bundle)
    if rebuilt:
        rebuild(made.bundle)
        value = made.reproduce()
        assert value["verdict"] == "equivalent"
    else:
        with pytest.raises(RuleError, match=r"manifest: images/03\.png"):
            made.reproduce()
        value = read_json(made.out / "reproduction.json")
    panel = value["panels"][2]
    assert panel["verdict"] != "identical" and panel["pixels"]["maximum"] == 1
    assert verdicts(value).count("identical") == 7


def test_another_base_is_not_what_it_was_made_on(made, tmp_path, tiny_base):
    from tests.tiny import build_tiny_base

    other = build_tiny_base(tmp_path / "bases" / "tiny", seed=1)
    with pytest.raises(InputError, match="another base"):
        made.reproduce(base=str(other))
    with pytest.raises(InputError, match="--base"):
        made.reproduce(base="auto")


def test_an_unsafe_entry_is_not_opened(made):
    (made.bundle / "images/01.png").unlink()
    (made.bundle / "images/01.png").symlink_to("/etc/hostname")
    with pytest.raises(CheckError, match="link"):
        made.reproduce()
    assert not (made.out / "render").exists()


def test_the_entry_itself_is_no_place_for_the_report(made):
    with pytest.raises(InputError, match="choose another"):
        made.reproduce(out=made.bundle.parent)


def test_the_command_line(made, capsys):
    words = ["reproduce", str(made.bundle), "--base", str(made.base), "--out", str(made.out), "--device", "cpu"]
    assert cli.run([*words, "--sample", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["verdict"] == "identical"
    assert cli.run([*words, "--panels", "5,2"]) == 0
    assert "2, 5 of 8, as named" in capsys.readouterr().err
    assert cli.run(["reproduce", "nothing-there"]) == cli.run([*words, "--panels", "9"]) == 2
    assert cli.run([*words, "--panels", "x"]) == cli.run([*words, "--panels", "1", "--sample", "1"]) == 2
    edit_the_scores(made.bundle)
    assert cli.run([*words, "--sample", "1"]) == 1


@pytest.mark.parametrize("source", ["modelscope:alice", "huggingface:a/b/c", "modelscope:alice/雨", "modelscope:../x"])
def test_ids_that_cannot_be(made, source):
    with pytest.raises(InputError):
        made.reproduce(source)
