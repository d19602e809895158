"""Candidates: the bytes of later panels, what is rendered again, grids, measures, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolors_submit import panels as stage
from kolors_submit.errors import InputError, RuleError
from kolors_submit.explore import Grid, explore
from kolors_submit.explore.measure import merits
from kolors_submit.explore.plan import seeds_for
from kolors_submit.files import read_json
from kolors_submit.metrics.predictor import score_pictures
from kolors_submit.render import render
from kolors_submit.run import Job
from kolors_submit.story.model import MAX_SEED
from tests.explore.conftest import Explored
from tests.explore.jobs import make_job, results, write_story
from tests.metrics.test_agreement import build_chinese_clip

OWN, HALF = "last-strength-1-steps-2", "last-strength-0.5-steps-2"


def with_seed(job: Job, number: int, seed: int, **settings: Any) -> Job:
    """The job of the story with another seed in one panel, and other render settings."""
    panels = [panel.model_copy(update={"seed": seed}) if i == number else panel for i, panel in _numbered(job)]
    render = job.story.render.model_copy(update=settings)
    return replace(job, story=job.story.model_copy(update={"panels": tuple(panels), "render": render}))


def _numbered(job: Job) -> Any:
    return enumerate(job.story.panels, start=1)


def stamps(job: Job) -> dict[str, int]:
    """When each candidate was written."""
    folder = job.run.explore.folder / "candidates"
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_a_candidate_has_the_bytes_of_the_later_panel(explored: Explored) -> None:
    job = explored.job
    for number, seed, variant, settings in ((3, 1003, OWN, {}), (2, 2002, HALF, {"lora_strength": 0.5})):
        render(with_seed(job, number, seed, **settings))
        candidate = job.run.candidate(variant, number, seed)
        assert job.run.panel(number).read_bytes() == candidate.read_bytes()


def test_only_what_is_missing_is_rendered(explored: Explored) -> None:
    job, before = explored.job, stamps(explored.job)
    assert len(before) == 2 * 2 * 3
    explore(job, Grid(3, (2, 3), strengths=(1.0, 0.5)), "painter.yaml")
    assert stamps(job) == before
    explore(job, Grid(4, (3,)), "painter.yaml")
    assert stamps(job).keys() - before.keys() == {f"{OWN}/03-3003.png"}
    assert before.items() <= stamps(job).items()
    changed = job.story.panels[2].model_copy(update={"prompt": "一条路"})
    panels = (*job.story.panels[:2], changed, *job.story.panels[3:])
    explore(replace(job, story=job.story.model_copy(update={"panels": panels})), Grid(2, (2, 3)), "painter.yaml")
    again = {name for name, stamp in stamps(job).items() if before.get(name, stamp) != stamp}
    assert again == {f"{OWN}/03-3.png", f"{OWN}/03-1003.png"}


def test_after_a_step_down_nothing_is_tried_again(explored: Explored, monkeypatch: pytest.MonkeyPatch) -> None:
    job, before, grid = explored.job, stamps(explored.job), Grid(3, (2, 3), strengths=(1.0, 0.5))
    plain = stage.plans_of(job)[0]
    large = replace(plain, compute=replace(plain.compute, batch=2))
    monkeypatch.setattr(stage, "render_plans", lambda *_: (large, plain))
    monkeypatch.setattr(stage, "fitting", lambda plans, _: tuple(plans))
    monkeypatch.setattr("kolors_submit.explore.bench.render_panels", lambda *_: pytest.fail("something is rendered"))
    explore(job, grid, "painter.yaml")
    assert stamps(job) == before


def test_the_stages_notice_nothing(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(write_story(tmp_path), tiny_base, tmp_path / "run")
    render(job)
    before = {path.name: path.stat().st_mtime_ns for path in job.run.render.iterdir()}
    explore(job, Grid(1, (1,)), "painter.yaml")
    assert render(job) is False
    assert {path.name: path.stat().st_mtime_ns for path in job.run.render.iterdir()} == before


def test_of_two_candidates_the_greater_difference_counts() -> None:
    scores = [2.7, 6.9, 5.0, 5.1, 7.0, 7.2]
    fits = [0.81, 0.80, 0.7, 0.8, 0.9, 0.8]
    first, second, *_ = merits([1, 1, 2, 2, 3, 3], scores, fits, [None] * 6)
    assert second > first + 1
    assert merits([1, 1], [5.0, 5.0]) == [0, 0]


def test_everything_is_measured(explored: Explored) -> None:
    value = explored.value
    assert value == read_json(explored.job.run.explore.folder / "explored.json")
    assert [variant["name"] for variant in value["variants"]] == [OWN, HALF]
    assert value["predictor"]["name"] == "tiny's own predictor" and value["clip"] is None
    for panel, number in zip(value["panels"], (2, 3), strict=True):
        assert panel["number"] == panel["seed"] == number
        own = [one for one in panel["candidates"] if one["variant"] == OWN]
        assert [one["seed"] for one in own] == [number, 1000 + number, 2000 + number]
        assert sum(one["overall"] for one in panel["candidates"]) == pytest.approx(0, abs=1e-3)
        for one in panel["candidates"]:
            path = explored.job.run.explore.folder / one["file"]
            expected = list(score_pictures(explored.job.base.folder / "predictor", [path]))
            assert one["score"] == pytest.approx(expected[0], abs=1e-4)
            assert one["agreement"] is None and -1 <= one["fit"] <= 1
    sheets = sorted((explored.job.run.explore.folder / "sheets").iterdir())
    assert [path.name for path in sheets] == ["02.jpg", "03.jpg"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > sheet.height / 2 > 100


def test_prompts_are_read_where_clip_is_here(
    explored: Explored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))
    folder = build_chinese_clip(tmp_path / "weights/chinese-clip-vit-base-patch16")
    record = {"format": 1, "complete": True, "files": {path.name: {} for path in folder.iterdir()}}
    (tmp_path / "weights/chinese-clip-vit-base-patch16.digests.json").write_text(json.dumps(record))
    value = explore(explored.job, Grid(3, (2, 3)), "painter.yaml")
    assert value["clip"]["name"] == "chinese-clip-vit-base-patch16"
    assert all(-1 <= one["agreement"] <= 1 for panel in value["panels"] for one in panel["candidates"])


def test_a_rendered_panel_counts_for_the_fit(explored: Explored) -> None:
    """Alone there is no set to fit; beside the rendered panels there is."""
    job = explored.job
    assert explore(job, Grid(2, (3,)), "painter.yaml")["panels"][0]["candidates"][0]["fit"] is None
    render(job)
    value = explore(job, Grid(2, (3,)), "painter.yaml")
    assert -1 <= value["panels"][0]["candidates"][0]["fit"] <= 1


def test_seeds_of_a_larger_count_begin_with_those_of_a_smaller() -> None:
    assert seeds_for(7, 3) == [7, 1007, 2007]
    assert seeds_for(7, 5)[:3] == seeds_for(7, 3)
    assert seeds_for(MAX_SEED, 2) == [MAX_SEED, 999]


def test_a_candidate_that_shows_nothing_is_left_out(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(write_story(tmp_path), tiny_base, tmp_path / "run")
    real = stage.fault_of
    drawn: list[Image.Image] = []

    def first_is_black(picture: Image.Image) -> str | None:
        drawn.append(picture)
        return "is black" if len(drawn) == 1 else real(picture)

    monkeypatch.setattr(stage, "fault_of", first_is_black)
    value = explore(job, Grid(3, (1,)), "painter.yaml")
    assert len(value["panels"][0]["candidates"]) == 2
    explore(job, Grid(3, (1,)), "painter.yaml")
    assert len(drawn) == 3, "what shows nothing is not tried again"
    monkeypatch.setattr(stage, "fault_of", lambda picture: "is black")
    with pytest.raises(RuleError, match="no candidate shows anything"):
        explore(job, Grid(1, (8,)), "painter.yaml")


def test_what_is_refused(explored: Explored) -> None:
    job = explored.job
    with pytest.raises(InputError, match="--panels 9: the story has panels 1 to 8"):
        explore(job, Grid(1, (1, 9)), "painter.yaml")
    with pytest.raises(InputError, match=r"4000 candidates are too many \(at most 2000\)"):
        explore(job, Grid(1000, (1, 2), strengths=(0.5, 1)), "painter.yaml")
    with pytest.raises(InputError, match="run `kolors-submit train` first"):
        explore(job, Grid(1, (1,), checkpoints=("500",)), "painter.yaml")
    job.run.lora.unlink()
    with pytest.raises(InputError, match="there is no LoRA"):
        explore(job, Grid(1, (1,)), "painter.yaml")


def test_equal_runs_give_equal_bytes(explored: Explored, tmp_path: Path, tiny_base: Path) -> None:
    other = make_job(write_story(tmp_path / "other"), tiny_base, tmp_path / "other/run")
    shutil.copytree(explored.job.run.cache, other.run.cache)
    explore(other, Grid(3, (2, 3), strengths=(1.0, 0.5)), "painter.yaml")
    assert results(other.run) == results(explored.job.run)
