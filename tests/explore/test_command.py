"""`kolors-submit explore` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kolors_submit.cli import run
from kolors_submit.data.dataset import read_prepared
from kolors_submit.files import file_digest
from kolors_submit.train import FORMAT, stage_inputs
from tests.explore.jobs import STORY, make_job, write_story
from tests.train.jobs import write_pictures


@pytest.fixture
def place(tiny_base: Path, tmp_path: Path) -> list[str]:
    """The story and where it is explored, with a LoRA there."""
    story = write_story(tmp_path)
    make_job(story, tiny_base, tmp_path / "runs/painter" / tiny_base.name)
    return [str(story), "--base", str(tiny_base), "--runs", str(tmp_path / "runs"), "--device", "cpu", "--json"]


def test_explore_then_apply(place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", *place, "--seeds", "2", "--panels", "3,2", "--lora-strength", "1,0.5"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] and answer["verb"] == "explore" and Path(answer["outputs"]["page"]).is_file()
    assert [panel["number"] for panel in answer["metrics"]["explored"]["panels"]] == [2, 3]
    again = f"kolors-submit explore {' '.join(place[:5])} --apply picks.json"
    assert f"<code>{again}</code>" in Path(answer["outputs"]["page"]).read_text("utf-8")
    variant = answer["metrics"]["explored"]["variants"][0]["name"]
    base = answer["metrics"]["explored"]["base"]["name"]
    picks = {"format": 1, "story": "painter.yaml", "base": base, "variant": variant, "seeds": {"3": 1003}}
    (tmp_path / "picks.json").write_text(json.dumps(picks))
    assert run(["explore", *place, "--apply", str(tmp_path / "picks.json")]) == 0
    heard = capsys.readouterr()
    assert json.loads(heard.out)["metrics"]["seeds"] == {"3": 1003}
    assert "panel 3: seed 1003 instead of 3" in heard.err
    assert (tmp_path / "painter.yaml").read_text("utf-8") == STORY.replace("seed: 3 ", "seed: 1003 ")


def test_pick_best_writes_and_says_so(place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", *place, "--seeds", "3", "--panels", "2,4", "--pick", "best"]) == 0
    answer = json.loads(capsys.readouterr().out)
    best = {
        panel["number"]: max(panel["candidates"], key=lambda one: one["overall"])["seed"]
        for panel in answer["metrics"]["explored"]["panels"]
    }
    text = STORY
    for number, seed in best.items():
        text = text.replace(f"seed: {number}}}", f"seed: {seed}}}")
    assert (tmp_path / "painter.yaml").read_text("utf-8") == text


def test_a_lora_of_other_settings_is_refused_where_its_training_is_recorded(
    place: list[str], tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(Path(place[0]), tiny_base, tmp_path / "runs/painter" / tiny_base.name)
    write_pictures(job.run.data)
    inputs = stage_inputs(job, read_prepared(job.run.data))
    job.run.stage("train", FORMAT).finish(inputs, [job.run.lora])
    grid = ["--seeds", "1", "--panels", "2"]
    assert run(["explore", *place, *grid]) == 0
    assert run(["explore", *place, *grid, "--set", "train.seed=9"]) == 2
    assert "train.seed changed since the LoRA was trained; run `kolors-submit train`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "0 is not in the range"),
        (["--panels", "2,x"], "'x' is not a valid integer"),
        (["--panels", "2,99"], "--panels 99: the story has panels 1 to 8"),
        (["--lora-strength", "5"], "5.0 is not in the range"),
        (["--checkpoints", "first"], "'first' is not a valid integer"),
        (["--checkpoints", "500"], "run `kolors-submit train` first"),
        (["--apply", "absent.json"], "cannot be read"),
        (["--apply", "a", "--pick", "best"], "explores nothing"),
        (["--apply", "a", "--panels", "3"], "explores nothing"),
        (["--pick", "worst"], "'worst' is not 'best'"),
    ],
)
def test_a_wrong_call_is_told(
    place: list[str], tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file_digest(tmp_path / "painter.yaml")
    assert run(["explore", *place, *arguments]) == 2
    heard = capsys.readouterr()
    assert message in heard.err
    assert json.loads(heard.out)["ok"] is False
    assert file_digest(tmp_path / "painter.yaml") == before
