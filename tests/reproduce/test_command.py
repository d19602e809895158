"""The command that a card and a page print, run as it is printed and where they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolors_submit import cli
from kolors_submit.bundle import manifest
from kolors_submit.bundle.pack import pack
from kolors_submit.files import file_digest, read_json
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import load_story
from kolors_submit.weights import open_base
from tests.bundle.printed import printed
from tests.bundle.spoil import edit_json


@pytest.fixture
def packed_again(made_once, tiny_base, tmp_path, monkeypatch):
    """The entry as the one base that comes with the program would have made it, with another repository."""
    monkeypatch.setattr("kolors_submit.weights.find.PICTUREBOOK", tiny_base)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(repository: str | None) -> Path:
        folder = shutil.copytree(made_once.parent, tmp_path / "run")
        for name in ("train/train.json", "render/render.json"):
            edit_json(folder, name, lambda value: value["base"].update(name="picturebook"))
        story = load_story(made_once / "story.yaml")
        submission = story.submission.model_copy(update={"repository": repository})
        story = story.model_copy(update={"submission": submission})
        pack(Job(story, open_base(tiny_base, "picturebook"), Run(folder), "cpu", quiet()))
        return folder / "bundle"

    return run


def digests(folder: Path) -> dict[str, str]:
    return {name: file_digest(folder / name) for name in manifest.files_below(folder)}


def test_in_the_bundles_folder_whatever_it_is_called(packed_again, tmp_path, monkeypatch):
    bundle = packed_again(None).rename(tmp_path / "my entry")
    before = digests(bundle)
    monkeypatch.chdir(bundle)
    assert cli.run([*printed(bundle), "--sample", "1"]) == 0
    assert read_json(tmp_path / "reproduction/reproduction.json")["verdict"] == "identical"
    assert digests(bundle) == before
    assert cli.run(printed(bundle)) == 0, "all panels, and once more into the same folder"


def test_from_the_hub(hub, packed_again, tmp_path, monkeypatch):
    bundle = packed_again("alice/Rainy-Day")
    publish(bundle, Target(demonstration=True), quiet())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli.run(printed(bundle)) == 0
    (report,) = (tmp_path / "elsewhere/reproductions").glob("*/reproduction.json")
    assert read_json(report)["verdict"] == "identical"


@pytest.mark.parametrize("words", [["."], [".", "--out", "results"], [".", "--out", "."]])
def test_results_do_not_go_into_the_entry(made, monkeypatch, capsys, words):
    """`reproduce .` is what bundles of earlier versions print."""
    before = digests(made.bundle)
    monkeypatch.chdir(made.bundle)
    assert cli.run(["reproduce", *words, "--base", str(made.base), "--device", "cpu"]) == 2
    assert "lies inside the entry" in capsys.readouterr().err
    assert digests(made.bundle) == before


@pytest.mark.parametrize("kind", ["a training", "papers"])
def test_results_do_not_replace_somebodys_work(made, made_once, tmp_path, monkeypatch, capsys, kind):
    out = tmp_path / "mine"
    if kind == "a training":
        shutil.copytree(made_once.parent, out)
    else:
        (out / "bundle").mkdir(parents=True)
        (out / "bundle/thesis.docx").write_bytes(b"x")
    before = digests(out)
    monkeypatch.chdir(tmp_path)
    for verb in ("reproduce", "import"):
        assert cli.run([verb, str(made.bundle), "--out", "mine", "--base", str(made.base), "--device", "cpu"]) == 2
        assert "this would replace; choose another folder with --out" in capsys.readouterr().err
        assert digests(out) == before


def test_a_lists_results_do_not_go_into_an_entry(made, tmp_path, monkeypatch, capsys):
    (tmp_path / "list").write_text(f"nothing-there\n{made.bundle}\n")
    before = digests(made.bundle)
    monkeypatch.chdir(made.bundle)
    assert cli.run(["reproduce", "--list", str(tmp_path / "list"), "--base", str(made.base), "--device", "cpu"]) == 2
    assert "lies inside the entry" in capsys.readouterr().err
    assert digests(made.bundle) == before
