"""Training that stops: damage, signals, a full disk, a loss that is not finite; and how it goes on."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.errors import InputError, Interrupted, OutsideError
from kolors_submit.interrupt import interruptible
from kolors_submit.report import Reporter
from kolors_submit.run import Run
from kolors_submit.train import stage as train_stage
from kolors_submit.train import train
from kolors_submit.train.checkpoint import Checkpoint, Checkpoints
from tests.train.conftest import NewJob
from tests.train.jobs import results


def test_checkpoints_of_other_settings_are_never_used(unbroken: Run, new_job: NewJob) -> None:
    job = new_job(seed=9)
    train(job)
    (other,) = (job.run.train / "checkpoints").iterdir()
    train(new_job())
    assert results(job.run) == results(unbroken)
    assert not other.exists()
    (unbroken_folder,) = (unbroken.train / "checkpoints").iterdir()
    foreign = Checkpoints(unbroken.train / "checkpoints", unbroken_folder.name + "0" * 48)
    assert foreign.files()
    assert foreign.latest() is None


def test_a_damaged_checkpoint_is_passed_over(unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job = new_job()
    train(job)
    job.run.lora.unlink()
    (folder,) = (job.run.train / "checkpoints").iterdir()
    last, before = folder / "step-0000006.ckpt", folder / "step-0000004.ckpt"
    last.write_bytes(last.read_bytes().replace(b"fingerprint", b"\xff\xffngerprint"))
    before.write_bytes(before.read_bytes()[:2000])
    notes: list[str] = []
    monkeypatch.setattr(Reporter, "note", lambda _, text: notes.append(text))
    assert train(job)
    assert notes[:2] == [f"{path} is damaged and passed over" for path in (before, last)]
    assert results(job.run) == results(unbroken)


def test_a_damaged_cache_is_made_again(unbroken: Run, new_job: NewJob) -> None:
    job = new_job()
    train(job)
    for part in ("text", "latents"):
        next((job.run.cache / part).iterdir()).write_bytes(b"cut")
    job.run.stage("train").forget()
    for path in (job.run.train / "checkpoints").rglob("*.ckpt"):
        path.unlink()
    assert train(job)
    assert results(job.run) == results(unbroken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_at_once_and_the_same_command_goes_on(
    unbroken: Run, new_job: NewJob, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = new_job(save_every=100, sample_every=3)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    real = train_stage.LoraTraining.training_step

    def signalled(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 2:
            os.kill(os.getpid(), number)
        return real(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(train_stage.LoraTraining, "training_step", signalled)
        with pytest.raises(Interrupted, match="after step 3 of 6, which is saved"), interruptible():
            train(job)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert not (job.run.train / "samples").exists(), "a machine that is taken away gives no time for a picture"
    assert train(job)
    assert results(job.run) == results(unbroken)


def test_training_in_a_thread_takes_no_signals(unbroken: Run, new_job: NewJob) -> None:
    job = new_job()
    thread = threading.Thread(target=train, args=(job,))
    thread.start()
    thread.join()
    assert results(job.run) == results(unbroken)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = new_job(save_every=1, optimizer="sgd", learning_rate=0.9, max_grad_norm=None)
    real = train_stage.LoraTraining.training_step

    def diverges(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        return real(self, batch, batch_idx) * (float("inf") if batch == 3 else 1.0)

    monkeypatch.setattr(train_stage.LoraTraining, "training_step", diverges)
    # The gradient of step 4 ruins the LoRA, which is seen before it is saved.
    with pytest.raises(InputError, match=r"the LoRA is not finite at step 4 of 6; .*step-0000003\.ckpt.*learning_rate"):
        train(job)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    assert max(path.name for path in folder.iterdir()) == "step-0000003.ckpt"
    assert not job.run.lora.exists()


def test_a_picture_that_makes_the_loss_infinite_is_reported_at_its_step(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train_stage.build_examples

    def broken(*args: Any) -> list[Any]:
        return [dataclasses.replace(e, latents=tuple(x * float("nan") for x in e.latents)) for e in real(*args)]

    monkeypatch.setattr(train_stage, "build_examples", broken)
    with pytest.raises(InputError, match="the loss is not finite at step 1 of 6; no checkpoint was saved before"):
        train(new_job())


def test_a_full_disk_is_said_and_the_run_goes_on_later(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = new_job()
    real = Checkpoints.save

    def full(self: Checkpoints, checkpoint: Checkpoint, keep: int) -> Path:
        if checkpoint.step == 4:
            (self.folder / ".step-0000004.ckpt.partial").symlink_to("/dev/full")
        return real(self, checkpoint, keep)

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(OutsideError, match=r"step-0000004.ckpt: the disk is full"):
        train(job)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    assert [path.name for path in folder.iterdir()] == ["step-0000002.ckpt"]
    monkeypatch.setattr(Checkpoints, "save", real)
    assert train(job)
    assert results(job.run) == results(unbroken)


def test_too_small_a_disk_is_said_before_anything_is_done(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolors_submit.train import plan

    monkeypatch.setattr(plan, "free_bytes", lambda folder: 1000)
    job = new_job()
    with pytest.raises(OutsideError, match=r"training needs \d+ MB .* 0 MB are free"):
        train(job)
    assert not (job.run.train / "checkpoints").exists()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adafactor"])
def test_every_optimizer_resumes_with_the_same_bytes(new_job: NewJob, optimizer: str) -> None:
    job = new_job(
        optimizer=optimizer,
        schedule="cosine",
        warmup_steps=2,
        accumulation=2,
        save_every=3,
    )
    train(job)
    before = results(job.run)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    (folder / "step-0000006.ckpt").unlink()
    job.run.lora.unlink()
    assert train(job)
    assert results(job.run) == before
