"""Checkpoints are written while training goes on, and whatever ends it, nobody is told of one that is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.engine import pickled
from kolors_submit.errors import OutsideError
from kolors_submit.meter import BudgetSpent, Meter
from kolors_submit.run import Job, Run
from kolors_submit.train import stage as train_stage
from kolors_submit.train import train
from kolors_submit.train.checkpoint import Checkpoint, Checkpoints, Snapshot, writing
from tests.train.conftest import NewJob
from tests.train.jobs import results


def test_training_goes_on_while_a_checkpoint_is_written_and_does_not_change_it(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, later = new_job(), threading.Event()
    save, step = Checkpoints.save, train_stage.LoraTraining.training_step

    def slow(self: Checkpoints, checkpoint: Checkpoint, keep: int) -> Path:
        assert later.wait(60) or checkpoint.step > 2
        return save(self, checkpoint, keep)

    def counted(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 3:  # one step after the checkpoint of step 2
            later.set()
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Checkpoints, "save", slow)
    monkeypatch.setattr(train_stage.LoraTraining, "training_step", counted)
    assert train(job)
    assert results(job.run) == results(unbroken)
    for path in Checkpoints(unbroken.train / "checkpoints", "").root.rglob("*.ckpt"):
        ours, theirs = pickled.load(job.run.train / path.relative_to(unbroken.train)), pickled.load(path)
        assert _numbers(ours) == _numbers(theirs)


@pytest.mark.parametrize("lean", [False, True])
def test_a_snapshot_is_of_the_moment_it_was_taken(lean: bool) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    state = {0: {"exp_avg": torch.full((3,), 2.0), "rate": 0.5}}
    taken = Snapshot.take([parameter], state, lean=lean)
    with torch.no_grad():
        parameter.zero_()
        state[0]["exp_avg"].zero_()
    fetched = taken.fetched()
    assert fetched.parameters[0].tolist() == [1.0] * 3
    assert fetched.state[0]["exp_avg"].tolist() == [2.0] * 3 and fetched.state[0]["rate"] == 0.5


def test_there_is_one_snapshot_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is taken when the one before is written."""
    order: list[str] = []
    empty = Checkpoint(1, {}, {}, None, torch.zeros(1))

    def save(*_: Any) -> Path:
        time.sleep(0.2)
        order.append("written")
        return tmp_path

    def take() -> Callable[[], Checkpoint]:
        order.append("taken")
        return lambda: empty

    monkeypatch.setattr(Checkpoints, "save", save)
    with writing(Checkpoints(tmp_path, "0" * 64), keep=2) as writer:
        writer.save(take)
        writer.save(take)
    assert order == ["taken", "written", "taken", "written"]


def spent_at(step: int, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The job with a budget that passes, unforeseen, while the sample picture of a step is drawn."""
    meter = Meter(1.0, 1.0)

    def sampled(*_: Any) -> Any:
        def draw(module: Any, at: int) -> None:
            if at == step:
                monkeypatch.setattr(time, "monotonic", lambda: meter.started + 3601)

        return draw

    monkeypatch.setattr(train_stage, "sample_into", sampled)
    return replace(job, report=replace(job.report, meter=meter))


def test_a_budget_that_passes_unforeseen_loses_no_step(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = new_job(save_every=100, sample_every=3)
    with monkeypatch.context() as patch:
        spending = spent_at(3, job, patch)
        with pytest.raises(BudgetSpent, match="what was done is kept"):
            train(spending)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    assert [path.name for path in folder.iterdir()] == ["step-0000003.ckpt"]
    assert train(job)
    assert results(job.run) == results(unbroken)


def full(self: Checkpoints, checkpoint: Checkpoint, keep: int) -> Path:
    raise OutsideError(f"cannot write step {checkpoint.step}: the disk is full")


def test_a_full_disk_is_said_though_the_budget_is_spent(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spent_at(2, new_job(sample_every=2), monkeypatch)
    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(OutsideError, match="cannot write step 2: the disk is full"):
        train(job)


def test_a_full_disk_is_said_before_the_next_checkpoint(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    step, begun = train_stage.LoraTraining.training_step, []

    def counted(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        begun.append(batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(train_stage.LoraTraining, "training_step", counted)
    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(OutsideError, match="cannot write step 2"):
        train(new_job(save_every=2, steps_per_epoch=40))
    assert len(begun) <= 4


def test_damaged_files_of_later_steps_take_no_place(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f" * 64)
    for step in (300, 600):
        checkpoints.save(Checkpoint(step, {}, {}, None, torch.zeros(step)), keep=2)
    checkpoints.path(600).write_bytes(b"cut")
    assert checkpoints.save(Checkpoint(500, {}, {}, None, torch.zeros(500)), keep=2) == checkpoints.path(500)
    assert checkpoints.files() == [checkpoints.path(300), checkpoints.path(500)]
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.step == 500


def _numbers(value: Any) -> Any:
    """A checkpoint with its tensors as lists, which can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return {key: _numbers(part) for key, part in value.items()} if isinstance(value, dict) else value
