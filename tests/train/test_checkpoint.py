"""Checkpoints are written while training goes on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.engine import pickled
from kolors_submit.run import Run
from kolors_submit.train import stage as train_stage
from kolors_submit.train import train
from kolors_submit.train.checkpoint import Checkpoint, Checkpoints
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


def _numbers(value: Any) -> Any:
    """A checkpoint with its tensors as lists, which can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return {key: _numbers(part) for key, part in value.items()} if isinstance(value, dict) else value
