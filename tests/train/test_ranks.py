"""Several processes train together, over gloo on a CPU; how a batch is shared out, and how one's end is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from datetime import timedelta
from multiprocessing.context import SpawnProcess
from typing import Any

import pytest
import torch

from kolors_submit import device
from kolors_submit.device import Cuda, Gpu, Machine
from kolors_submit.engine import base as bases
from kolors_submit.engine import lora_files, planning
from kolors_submit.errors import Interrupted, OutsideError
from kolors_submit.files import read_json
from kolors_submit.interrupt import interruptible
from kolors_submit.report import Reporter
from kolors_submit.run import Job
from kolors_submit.story import Train
from kolors_submit.train import loop, ranks, stage, train
from tests.train.conftest import NewJob

FOUR = Machine("cuda", (9, 0), 140 * 10**9, devices=4)


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4)])
def test_as_many_devices_as_share_a_batch_equally(batch: int, count: int) -> None:
    assert planning.count_ranks(Train(batch_size=batch), FOUR) == count
    assert planning.count_ranks(Train(batch_size=batch), Machine(devices=4)) == 1


@pytest.mark.parametrize(("batch", "cards", "gigabytes"), [(1, 1, 70), (2, 2, 60), (3, 1, 70)])
def test_the_plan_is_for_the_cards_that_train(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch, batch: int, cards: int, gigabytes: int
) -> None:
    gpus = tuple(Gpu("card", 80 * 10**9, free * 10**9, (9, 0)) for free in (70, 60, 10))
    monkeypatch.setattr(device, "read_cuda", lambda: Cuda("570", 12080, gpus))
    planned: list[Machine] = []

    def stop(job: Job, pictures: Any, machine: Machine) -> None:
        planned.append(machine)
        raise OutsideError("the plan is chosen")

    monkeypatch.setattr(stage, "_plans", stop)
    with pytest.raises(OutsideError, match="the plan is chosen"):
        stage.run_training(replace(new_job(batch_size=batch), device="cuda"), [], "0" * 64)
    assert (planned[0].devices, planned[0].device_memory, planned[0].left_alone) == (cards, gigabytes * 10**9, 1)


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
    (folder / "step-0000004.ckpt").unlink()
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 1)
    notes: list[str] = []
    monkeypatch.setattr(Reporter, "note", lambda _, text: notes.append(text))
    train(shared)  # one process goes on from the checkpoint of two
    assert notes == ["going on after step 2 of 4"]
    assert (folder / "step-0000004.ckpt").is_file()
    again = lora_files.read(shared.run.lora, config).modules
    for name, module in plain.items():
        assert torch.allclose(again[name].update(), module.update(), rtol=1e-2, atol=1e-5), name


@pytest.mark.slow
def test_a_signal_that_all_processes_get_saves_and_stops(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As service managers and batch systems send it; they hear of it at once, however seldom they look at the loss."""
    job = new_job(batch_size=2, save_every=100)
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 2)
    monkeypatch.setattr(stage, "train_share", share_that_looks_seldom)
    monkeypatch.setattr(loop, "Keeper", Seldom)
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


class Seldom(loop.Keeper):
    """Looks at the loss as on a GPU."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.look_every = loop.LOOK_EVERY


def share_that_looks_seldom(*given: Any, **more: Any) -> None:
    """What another process does, where nothing is replaced yet."""
    loop.Keeper = Seldom  # type: ignore[misc]
    stage.train_share(*given, **more)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("status", "message"), [(ranks.OUT_OF_MEMORY, "memory is not enough"), (3, "process ended with status 3")]
)
def test_a_process_that_ends_before_it_meets_the_others_is_not_waited_for(
    status: int, message: str, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 2)
    monkeypatch.setattr(stage, "train_share", _Exit(status))
    with pytest.raises(OutsideError, match=message):
        train(new_job(batch_size=2))
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_does_not_come_is_not_waited_for_for_ever(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "PATIENCE", timedelta(seconds=1))
    with pytest.raises(OutsideError, match="does not get ready"), ranks.together(new_job(), never, 2) as rank:
        rank.meet()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_signal_while_processes_are_started_leaves_none(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = SpawnProcess.start, list[SpawnProcess]()

    def start(self: SpawnProcess) -> None:
        real(self)
        started.append(self)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(SpawnProcess, "start", start)
    with pytest.raises(Interrupted), interruptible(), ranks.together(new_job(), never, 3):
        pytest.fail("it goes on")
    (process,) = started
    assert process.exitcode is not None


def never(*_: Any) -> None:
    """What another process does: it does not come."""
    time.sleep(600)


@pytest.mark.slow
@pytest.mark.parametrize(("status", "error"), [(ranks.OUT_OF_MEMORY, torch.OutOfMemoryError), (3, OutsideError)])
def test_the_end_of_another_process_is_told(status: int, error: type[Exception], new_job: NewJob) -> None:
    with pytest.raises(error), ranks.together(new_job(), _Exit(status), 2):
        raise_when_it_is_gone()


class _Exit:
    """What another process does: it ends."""

    def __init__(self, status: int) -> None:
        self.status = status

    def __call__(self, *_: Any, **__: Any) -> None:
        raise SystemExit(self.status)


def raise_when_it_is_gone() -> None:
    """As a collective operation does."""
    import multiprocessing
    from multiprocessing.connection import wait

    wait([child.sentinel for child in multiprocessing.active_children()])
    raise RuntimeError("connection closed by peer")
