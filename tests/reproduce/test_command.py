"""The command that a card and a page print, run as it is printed and where they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kolors_submit import cli
from kolors_submit.bundle import archive, manifest
from kolors_submit.bundle.pack import pack
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest, read_json
from kolors_submit.hub.source import folder_name, parse
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import load_story
from kolors_submit.weights import open_base
from tests.bundle.printed import printed
from tests.bundle.spoil import edit_json
from tests.reproduce.test_reproduce import change_the_lora


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


@pytest.mark.parametrize("change", [lambda folder: None, change_the_lora])
def test_an_answer_tells_what_was_made_whatever_the_verdict(made, capsys, change):
    change(made.bundle)
    words = ["reproduce", str(made.bundle), "--base", str(made.base), "--device", "cpu", "--panels", "1"]
    status = cli.run([*words, "--out", str(made.out), "--json"])
    told, value = json.loads(capsys.readouterr().out), read_json(made.out / "reproduction.json")
    assert status == (0 if value["verdict"] == "identical" else 1) and told["ok"] == (status == 0)
    assert told["run"] == str(made.out) and told["metrics"] == value
    assert told["outputs"] == {
        "report": str(made.out / "reproduction.json"),
        "pictures": str(made.out / "side-by-side.jpg"),
    }


def test_an_answer_tells_the_run_folder_where_nothing_was_made(made, capsys):
    words = ["reproduce", str(made.bundle), "--base", "nowhere", "--out", str(made.out), "--json"]
    assert cli.run(words) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(made.out) and told["outputs"] == told["metrics"] == {}


def test_a_device_that_is_not_here_is_said_before_anything_is_done(made, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words = ["--base", "nowhere", "--device", "cuda", "--out", str(made.out)]
    assert cli.run(["reproduce", str(made.bundle), *words]) == 2
    assert "--device cuda" in capsys.readouterr().err and not made.out.exists()


def test_entries_of_one_name_do_not_replace_each_other(made, tmp_path, monkeypatch, capsys):
    """Results are refused where another entry's lie; what came to none gives way, and the same entry goes on."""
    words = ["--base", str(made.base), "--device", "cpu", "--sample", "1"]
    monkeypatch.chdir(tmp_path)
    one, other = (tmp_path / team / "bundle.zip" for team in ("team1", "team2"))
    for path in (one, other):
        path.parent.mkdir()
        archive.write_zip(made.bundle, path)
    assert cli.run(["reproduce", "team2/bundle.zip", *words, "--base", str(tmp_path / "nowhere")]) == 2
    assert cli.run(["reproduce", "team1/bundle.zip", *words]) == 0
    (report,) = (tmp_path / "reproductions").glob("*/reproduction.json")
    before = report.read_bytes()
    capsys.readouterr()
    assert cli.run(["reproduce", "team2/bundle.zip", *words]) == 2
    assert "holds the results of another entry" in (said := capsys.readouterr().err) and "--out" in said
    assert report.read_bytes() == before
    assert cli.run(["reproduce", str(one), *words]) == 0, "the same entry, named in another way"
    assert cli.run(["reproduce", "team2/bundle.zip", *words, "--out", "second"]) == 0


def test_results_know_their_entry_where_both_have_moved(made, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    archive.write_zip(made.bundle, place / "entry.zip")
    made.reproduce(place / "entry.zip", sample=1, out=place / "out")
    moved = place.rename(tmp_path / "moved")
    made.reproduce(moved / "entry.zip", sample=1, out=moved / "out")
    with pytest.raises(InputError, match="another entry"):
        made.reproduce(archive.write_zip(made.bundle, moved / "other.zip"), sample=1, out=moved / "out")


def test_a_path_that_cannot_be_looked_at_is_wrong_input(capsys):
    source = f"{'x' * 300}.zip"
    with pytest.raises(InputError, match=f"{source} cannot be looked at .File name too long.; name an entry's folder"):
        parse(source)
    assert cli.run(["reproduce", source]) == cli.run(["import", source]) == 2


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("a b/c", "a-b-c"),
        ("雨" * 90, "雨" * 66),
        ("x" * 300, "x" * 200),
        ("../", "entry"),
        ("é" + "雨" * 80, "é" + "雨" * 66),
    ],
)
def test_a_folders_name_is_counted_in_bytes(words, name):
    assert folder_name(words) == name
