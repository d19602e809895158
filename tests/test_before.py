"""The pictures without the LoRA: two of them, none where they show nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit import before, panels
from kolors_submit.before import numbers, render_before
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.files import file_digest
from kolors_submit.panels import plans_of
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.weights import open_base
from tests.test_render import edited, story, write_lora


@pytest.fixture
def job(tiny_base: Path, tmp_path: Path) -> Job:
    run = Run(tmp_path / "run")
    write_lora(run)
    return Job(story(), open_base(tiny_base), run, "cpu", quiet())


def test_the_first_panel_and_one_in_the_middle() -> None:
    assert numbers(8) == [1, 5]
    assert numbers(9) == [1, 5]
    assert numbers(1) == [1]


def test_another_lora_changes_nothing(job: Job) -> None:
    assert render_before(job)
    pictures = {number: job.run.before(number).read_bytes() for number in (1, 5)}
    write_lora(job.run, seed=1)
    assert not render_before(job)
    assert {number: job.run.before(number).read_bytes() for number in (1, 5)} == pictures


def too_large(large: RenderPlan, monkeypatch: pytest.MonkeyPatch) -> list[RenderPlan]:
    """Have one plan run out of memory; returns the list of those that are tried."""
    tried = []

    def drawn(bare: Job, pending: Any, plan: RenderPlan, *rest: Any) -> None:
        tried.append(plan)
        if plan == large:
            raise torch.OutOfMemoryError
        panels.render_panels(bare, pending, plan, *rest)

    monkeypatch.setattr(before, "render_panels", drawn)
    return tried


def test_a_plan_that_does_not_fit_gives_way_to_a_leaner_one(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plans_of(job)[0]
    large = replace(plain, cuda_graph=True)
    tried = too_large(large, monkeypatch)
    monkeypatch.setattr(before, "plans_of", lambda *_, **__: (large, plain))
    assert render_before(job)
    assert tried == [large, plain]
    assert job.run.before(1).exists() and job.run.before(5).exists()


def two_plans(job: Job, monkeypatch: pytest.MonkeyPatch) -> tuple[RenderPlan, RenderPlan]:
    """Have two plans offered whose arithmetic differs, both of which the memory carries; returns them."""
    plain = plans_of(job)[0]
    plans = replace(plain, compute=replace(plain.compute, batch=2)), plain
    monkeypatch.setattr(panels, "render_plans", lambda *_: plans)
    monkeypatch.setattr(panels, "fitting", lambda plans, _: tuple(plans))
    return plans


def test_what_gave_way_is_not_tried_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    large, plain = two_plans(job, monkeypatch)
    tried = too_large(large, monkeypatch)
    assert render_before(job)
    assert not render_before(job)
    assert tried == [large, plain]


def test_with_another_amount_of_free_memory_the_pictures_hold(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    large, plain = two_plans(job, monkeypatch)
    assert render_before(job)
    assert job.run.stage("before.01").inputs()["compute"] == large.compute.record()
    for carried in ((plain,), (large, plain)):
        monkeypatch.setattr(panels, "fitting", lambda *_, carried=carried: carried)
        assert not render_before(job)


def test_they_begin_as_the_panels_were_made(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain = two_plans(job, monkeypatch)
    inputs = {"lora": file_digest(job.run.lora), "compute": plain.compute.record()}
    panels.record_of(job, 1).finish(inputs, [])
    assert render_before(job)
    assert job.run.stage("before.01").inputs()["compute"] == plain.compute.record()


def test_a_picture_that_shows_nothing_is_left_out_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    render_before(job)
    other = Job(edited(job.story, "panels.4.prompt", "一只猫"), job.base, job.run, job.device, job.report)
    monkeypatch.setattr(panels, "fault_of", lambda picture: "is black")
    assert render_before(other)
    assert job.run.before(1).exists() and not job.run.before(5).exists()
    assert not render_before(other)
