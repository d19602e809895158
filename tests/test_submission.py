"""One process for all stages, and a second run that has nothing to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kolors_submit import submission
from kolors_submit.cli import run
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.report import quiet
from kolors_submit.run import STAGES, Run
from kolors_submit.story.blanks import BLANKS
from tests.clock import idle_seconds
from tests.pipeline import command, digests, story_values, submit, write_pictures, write_story

ROOT = Path(__file__).parents[1]
SECOND_RUN_SECONDS = 3.0


@pytest.fixture(scope="module")
def finished(tiny_base, tmp_path_factory):
    """Story, runs folder and answer of one finished submission."""
    folder = tmp_path_factory.mktemp("submission")
    story = write_story(folder / "story.yaml", story_values(write_pictures(folder / "pictures")))
    return story, folder / "runs", submit(story, tiny_base, folder / "runs")


def test_the_answer_names_what_was_made(finished, tiny_base):
    _, runs, answer = finished
    assert answer["ok"] is True
    assert answer["run"] == str(runs / "story/tiny")
    assert Path(answer["outputs"]["bundle"], "manifest.json").is_file()
    assert Path(answer["outputs"]["lora"]).is_file()
    assert answer["metrics"]["mean"] >= answer["metrics"]["minimum"]
    assert all(seconds > 0 for seconds in answer["metrics"]["seconds"].values())


def test_what_the_check_warns_of_is_in_the_answer(finished, tiny_base, capsys):
    story, runs, answer = finished
    assert run(["check", "--story", str(story), "--base", str(tiny_base), "--runs", str(runs), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)["problems"]
    assert answer["problems"] == checked and {one["rule"] for one in checked} >= {"demonstration", "data"}


@pytest.mark.parametrize("verb", ["score", "submission"])
def test_below_the_gate_the_answer_still_has_the_scores(finished, tiny_base, tmp_path, capsys, verb):
    story, runs, answer = finished
    shutil.copytree(runs, tmp_path / "runs")
    place = ["--base", str(tiny_base), "--runs", str(tmp_path / "runs"), "--device", "cpu", "--json"]
    assert run([verb, str(story), *place, "--set", "gate.threshold=10"]) == 1
    below = json.loads(capsys.readouterr().out)
    assert (below["metrics"]["mean"], below["metrics"]["passed"]) == (answer["metrics"]["mean"], False)
    assert str(tmp_path / "runs/story/tiny/score/scores.json") in below["outputs"].values()
    assert "bundle" not in below["outputs"], "the one that is there is of another story"


def test_a_second_run_says_so_quickly_and_without_torch(finished, tiny_base):
    story, runs, _ = finished
    program = (
        "import sys; from kolors_submit.cli import run; status = run(sys.argv[1:]); "
        "assert 'torch' not in sys.modules, 'torch was imported'; sys.exit(status)"
    )
    arguments = command(story, tiny_base, runs)[3:]
    took = []
    for _ in range(3):
        seconds, result = idle_seconds([sys.executable, "-c", program, *arguments], ROOT)
        took.append(seconds)
        assert result.returncode == 0, result.stderr
        if seconds <= SECOND_RUN_SECONDS:
            break
    for stage in ("data", "train", "render", "score", "bundle"):
        assert f"{stage:<8}nothing to do" in result.stderr
    assert json.loads(result.stdout)["ok"] is True
    assert min(took) <= SECOND_RUN_SECONDS


def test_bundle_zip_and_check_of_a_finished_run(finished, tiny_base):
    story, runs, _ = finished
    place = ["--base", str(tiny_base), "--runs", str(runs), "--json"]
    program = [sys.executable, "-m", "kolors_submit"]
    packed = subprocess.run([*program, "bundle", str(story), "--zip", *place], capture_output=True, text=True, cwd=ROOT)
    assert packed.returncode == 0, packed.stderr
    zipped = json.loads(packed.stdout)["outputs"]["zip"]
    for what in ([zipped], ["--story", str(story), *place[:-1]]):
        result = subprocess.run([*program, "check", *what, "--json"], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        assert all(problem["level"] == "warn" for problem in json.loads(result.stdout)["problems"])


@pytest.mark.parametrize(
    ("setting", "stage", "changed", "done"),
    [
        ("panels.1.prompt='{小雨}骑马'", "render", "panel 1 changed", "the panels were rendered"),
        ("panels.8.seed=99", "render", "panel 8 changed", "the panels were rendered"),
        ("render.steps=3", "render", "render.steps changed", "the panels were rendered"),
        ("title=晴天", "render", "title changed", "the panels were rendered"),
        ("train.rank=2", "train", "train.rank changed", "the LoRA was trained"),
        ("dataset.limit=3", "data", "dataset.limit changed", "the training pictures were prepared"),
        ("gate.threshold=0.5", "score", "gate.threshold changed", "the panels were scored"),
    ],
)
def test_no_stage_goes_on_from_what_an_older_story_left(finished, tiny_base, capsys, setting, stage, changed, done):
    story, runs, _ = finished
    place = [str(story), "--base", str(tiny_base), "--runs", str(runs), "--device", "cpu"]
    verbs = STAGES[STAGES.index(stage) + 1 :]
    for verb in verbs:
        assert run([verb, *place]) == 0
    before = digests(Run(runs / "story/tiny"))
    capsys.readouterr()
    for verb in verbs:
        assert run([verb, *place, "--set", setting]) == 2
        assert f"{changed} since {done}; run `kolors-submit {stage}` first" in capsys.readouterr().err
    assert digests(Run(runs / "story/tiny")) == before


def test_a_picture_edited_by_hand_is_no_panel(finished, tiny_base, tmp_path, capsys):
    story, runs, _ = finished
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs/story/tiny/render/02.png").write_bytes(b"painted over")
    assert run(["score", str(story), "--base", str(tiny_base), "--runs", str(tmp_path / "runs")]) == 2
    assert "render/02.png is missing or was edited since the panels were rendered" in capsys.readouterr().err


def test_a_template_trains_and_draws_nothing(tmp_path, tiny_base, capsys):
    values = story_values(write_pictures(tmp_path / "pictures"))
    values["characters"] = {"小雨": BLANKS["zh"].description}
    values["panels"][2]["scene"] = "(title 3)"
    story = write_story(tmp_path / "story.yaml", values)
    place = [str(story), "--base", str(tiny_base), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    for verb in ("submission", "render", "score", "bundle", "explore"):
        assert run([verb, *place]) == 2
        assert f"{story} is still a template: characters.小雨, panel 3 hold its words" in capsys.readouterr().err
    assert run(["data", *place]) == 0


def test_a_story_with_mistakes_stops_before_anything_is_made(tmp_path, tiny_base):
    values = story_values(write_pictures(tmp_path / "pictures")) | {"tittle": "x"}
    story = write_story(tmp_path / "story.yaml", values)
    with pytest.raises(InputError, match="tittle: unknown key"):
        submission.open_job(submission.Place(story, str(tiny_base), tmp_path / "runs"), quiet())
    assert not (tmp_path / "runs").exists()


def test_a_device_that_is_not_here_is_said_before_weights_are_fetched(tmp_path, monkeypatch):
    def missing(device):
        raise InputError(f"no {device} here")

    story = write_story(tmp_path / "story.yaml", story_values(write_pictures(tmp_path / "pictures")))
    monkeypatch.setattr(submission, "find_device", missing)
    monkeypatch.setattr(submission, "find_base", lambda *_: pytest.fail("fetched"))
    with pytest.raises(InputError, match="no cuda here"):
        submission.open_job(submission.Place(story, "kolors", tmp_path / "runs", device="cuda", yes=True), quiet())


def test_another_storys_run_folder_is_left_alone(finished, tiny_base, tmp_path, capsys):
    """`story.yaml --name b` and `story-b.yaml` have the same; one that has gone leaves its folder to the next."""
    story, runs, _ = finished
    shutil.copytree(story.parent, tmp_path / "project")
    mine, namesake = tmp_path / "project/story.yaml", tmp_path / "elsewhere/story.yaml"
    namesake.parent.mkdir()
    shutil.copy(mine, namesake)
    place = ["--base", str(tiny_base), "--runs", str(tmp_path / "project" / runs.name), "--device", "cpu"]
    assert run(["data", str(mine), *place]) == 0
    assert run(["data", str(namesake), *place]) == 2
    assert f"is the run folder of {mine}; give this story another --name or --runs" in capsys.readouterr().err
    mine.unlink()
    assert run(["data", str(namesake), *place]) == 0


def test_a_second_process_is_told_who_holds_the_folder(finished, tiny_base):
    story, runs, _ = finished
    job = submission.open_job(submission.Place(story, str(tiny_base), runs, device="cpu"), quiet())
    with (
        Run(runs / "story/tiny").hold("train"),
        pytest.raises(OutsideError, match=rf"`train`, process {os.getpid()} on"),
    ):
        submission.submission(job)


def test_pictures_that_a_base_replaces_are_said(tmp_path, tiny_base, capsys):
    """An entrant's own pictures are not what a base's part of a copied story trains on."""
    values = story_values(write_pictures(tmp_path / "pictures"))
    values["bases"] = {"tiny": {"dataset": values["dataset"]}}
    values["dataset"] = {"source": "./mine"}
    story = write_story(tmp_path / "story.yaml", values)
    place = ["data", str(story), "--base", str(tiny_base), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    said = f"note: dataset.source is {tmp_path / 'pictures'} (bases.tiny), not ./mine\n"
    for _ in range(2):
        assert run(place) == 0
        assert said in capsys.readouterr().err
    assert run([*place, "--set", f"dataset.source={tmp_path / 'pictures'}"]) == 0
    assert "bases.tiny" not in capsys.readouterr().err, "as the call says"
