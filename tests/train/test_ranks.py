"""Several processes train together, over gloo on a CPU; how a batch is shared out, and how one's end is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

import pytest
import torch

from kolors_submit.device import Machine
from kolors_submit.engine import base as bases
from kolors_submit.engine import lora_files, planning
from kolors_submit.errors import Interrupted, OutsideError
from kolors_submit.files import read_json
from kolors_submit.story import Train
from kolors_submit.train import ranks, stage, train
from tests.train.conftest import NewJob

FOUR = Machine("cuda", (9, 0), 140 * 10**9, devices=4)


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4)])
def test_as_many_devices_as_share_a_batch_equally(batch: int, count: int) -> None:
    assert planning.count_ranks(Train(batch_size=batch), FOUR) == count
    assert planning.count_ranks(Train(batch_size=batch), Machine(devices=4)) == 1


@pytest.mark.slow
def test_two_processes_train_what_one_does(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"batch_size": 2, "steps_per_epoch": 4, "sample_every": 2}
    alone, shared = new_job("alone", **settings), new_job("shared", **settings)
    train(alone)
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 2)
    train(shared)
    one, two = (read_json(job.run.train / "train.json") for job in (alone, shared))
    assert one["steps"] == two["steps"] == 4
    assert one["loss_last"] == pytest.approx(two["loss_last"], rel=1e-4)
    config = bases.config(alone.base, "unet")
    ours, plain = (lora_files.read(job.run.lora, config).modules for job in (shared, alone))
    for name, module in plain.items():
        assert torch.allclose(ours[name].update(), module.update(), rtol=1e-2, atol=1e-5), name
    assert not torch.distributed.is_initialized()
    shared.run.lora.unlink()
    (folder,) = (shared.run.train / "checkpoints").iterdir()
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 1)
    train(shared)  # one process goes on from the checkpoint of two
    assert folder.is_dir()


@pytest.mark.slow
def test_a_signal_that_all_processes_get_saves_and_stops(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As service managers and batch systems send it."""
    job = new_job(batch_size=2, save_every=100)
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 2)
    real = stage.LoraTraining.training_step

    def signalled(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 1:
            for process in (*multiprocessing.active_children(), multiprocessing.current_process()):
                os.kill(process.pid or 0, signal.SIGTERM)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(stage.LoraTraining, "training_step", signalled)
    with pytest.raises(Interrupted, match="after step 2 of 6, which is saved"):
        train(job)
    assert "Traceback" not in capfd.readouterr().err
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.parametrize(("status", "error"), [(ranks.OUT_OF_MEMORY, torch.OutOfMemoryError), (3, OutsideError)])
def test_the_end_of_another_process_is_told(status: int, error: type[Exception], new_job: NewJob) -> None:
    with pytest.raises(error), ranks.together(new_job(), _Exit(status), 2):
        raise_when_it_is_gone()


class _Exit:
    """What another process does: it ends."""

    def __init__(self, status: int) -> None:
        self.status = status

    def __call__(self, *_: Any) -> None:
        raise SystemExit(self.status)


def raise_when_it_is_gone() -> None:
    """As a collective operation does."""
    import multiprocessing
    from multiprocessing.connection import wait

    wait([child.sentinel for child in multiprocessing.active_children()])
    raise RuntimeError("connection closed by peer")
