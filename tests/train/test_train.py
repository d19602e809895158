"""The train stage as a whole, on the tiny base: its files, what it repeats, what it refuses."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from rich.console import Console

from kolors_submit.engine import base as bases
from kolors_submit.engine import lora as loras
from kolors_submit.engine import lora_files
from kolors_submit.errors import InputError, Interrupted, OutsideError
from kolors_submit.report import Reporter
from kolors_submit.run import Run, read_json
from kolors_submit.train import stage as train_stage
from kolors_submit.train import train
from kolors_submit.train.checkpoint import Checkpoints
from kolors_submit.train.stage import prove_trained
from tests.train.conftest import NewJob
from tests.train.jobs import TRAIN, make_job, results

OUTPUTS = ("lora.safetensors", "lora.ckpt", "train.json", "metrics.csv")


def test_outputs(unbroken: Run, tiny_base: Path) -> None:
    assert set(results(unbroken)) == {
        "train/lora.safetensors",
        "train/lora.ckpt",
        "train/train.json",
        "train/metrics.csv",
    }
    record = read_json(unbroken.train / "train.json")
    assert record["base"]["name"] == "tiny"
    assert record["steps"] == 6
    assert record["precision"] == "float32"
    assert record["settings"]["rank"] == TRAIN["rank"]
    assert "save_every" not in record["settings"]
    rows = list(csv.DictReader((unbroken.train / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert all(float(row["loss"]) > 0 and float(row["learning_rate"]) == 1e-3 for row in rows)


def test_lora_is_not_zero_and_both_files_hold_the_same(unbroken: Run, tiny_base: Path) -> None:
    config = bases.config(make_job(unbroken.folder, tiny_base).base, "unet")
    lora = lora_files.read(unbroken.lora, config)
    assert lora.metadata["rank"] == 2
    assert lora.metadata["alpha"] == 2.0
    assert all(module.update().abs().max() > 0 for module in lora.modules.values())
    ckpt = lora_files.read(unbroken.train / "lora.ckpt", config, alpha=2.0)
    assert ckpt.modules.keys() == lora.modules.keys()
    assert all(torch.equal(ckpt.modules[name].update(), module.update()) for name, module in lora.modules.items())


def test_ckpt_has_the_keys_that_diffsynth_saves(unbroken: Run, tiny_base: Path) -> None:
    from diffsynth.trainers.text_to_image import LightningModelForT2ILoRA

    class Stock(LightningModelForT2ILoRA):
        def __init__(self, unet: torch.nn.Module) -> None:
            super().__init__()
            self.pipe = torch.nn.Module()
            self.pipe.denoising_model = lambda: unet

    unet = bases.load_unet(make_job(unbroken.folder, tiny_base).base, "cpu", torch.float32)
    stock = Stock(unet)
    stock.freeze_parameters()
    stock.add_lora_to_model(unet, lora_rank=2, lora_alpha=2.0)
    saved: dict[str, Any] = {}
    stock.on_save_checkpoint(saved)
    ours = torch.load(unbroken.train / "lora.ckpt", weights_only=True)
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in saved.items()}


def test_lightning_and_peft_do_the_work(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    import peft

    called = []
    real_fit, real_inject = Trainer.fit, peft.inject_adapter_in_model
    monkeypatch.setattr(Trainer, "fit", lambda *a, **k: (called.append("fit"), real_fit(*a, **k))[1])
    monkeypatch.setattr(
        peft, "inject_adapter_in_model", lambda *a, **k: (called.append("inject"), real_inject(*a, **k))[1]
    )
    train(new_job(steps_per_epoch=1))
    assert called == ["inject", "fit"]


def test_twice_is_the_same_and_done_is_done(unbroken: Run, new_job: NewJob) -> None:
    job = new_job()
    assert train(job)
    assert results(job.run) == results(unbroken)
    assert not train(job)


@pytest.mark.parametrize("change", [{"seed": 1}, {"rank": 3}, {"learning_rate": 2e-3}, {"flip": False}])
def test_another_setting_gives_another_lora(unbroken: Run, new_job: NewJob, change: dict[str, Any]) -> None:
    job = new_job(**change)
    train(job)
    assert results(job.run)["train/lora.safetensors"] != results(unbroken)["train/lora.safetensors"]


def test_samples_and_logs_change_nothing(unbroken: Run, new_job: NewJob) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    job = new_job(sample_every=3, sample_panel=2, save_every=5, log=["csv", "tensorboard"])
    train(job)
    assert results(job.run) == results(unbroken)
    assert sorted(path.name for path in (job.run.train / "samples").iterdir()) == [
        "step-0000003.png",
        "step-0000006.png",
    ]
    events = EventAccumulator(str(job.run.train / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert not train(new_job(sample_every=1, save_every=1, keep=1))


def test_swanlab_where_asked(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWANLAB_MODE", "offline")
    job = new_job(steps_per_epoch=2, log=["swanlab"])
    train(job)
    logged = [path for path in (job.run.train / "logs").rglob("*") if path.is_file()]
    assert logged
    assert not (job.run.train / "metrics.csv").exists()


def test_keep_and_save_every(new_job: NewJob) -> None:
    job = new_job(save_every=1, keep=2)
    train(job)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["step-0000005.ckpt", "step-0000006.ckpt"]
    names = torch.load(folder / "step-0000006.ckpt", weights_only=True)["lora"]
    assert names
    assert all("lora_" in name for name in names)


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


def test_a_damaged_checkpoint_is_passed_over(unbroken: Run, new_job: NewJob) -> None:
    job = new_job()
    train(job)
    job.run.lora.unlink()
    (folder,) = (job.run.train / "checkpoints").iterdir()
    (folder / "step-0000006.ckpt").write_bytes((folder / "step-0000006.ckpt").read_bytes()[:2000])
    (folder / "step-0000004.ckpt").write_bytes(b"")
    assert train(job)
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
    job = new_job(save_every=100)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    real = train_stage.LoraTraining.training_step

    def signalled(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 2:
            os.kill(os.getpid(), number)
        return real(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(train_stage.LoraTraining, "training_step", signalled)
        with pytest.raises(Interrupted, match="after step 3 of 6, which is saved"):
            train(job)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
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
    monkeypatch.undo()


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
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if "step-0000004" in self.name:
            real(self, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutsideError, match="the disk is full"):
        train(job)
    (folder,) = (job.run.train / "checkpoints").iterdir()
    assert [path.name for path in folder.iterdir()] == ["step-0000002.ckpt"]
    monkeypatch.setattr(Path, "write_bytes", real)
    assert train(job)
    assert results(job.run) == results(unbroken)


def test_too_small_a_disk_is_said_before_anything_is_done(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolors_submit.train import plan

    monkeypatch.setattr(plan, "free_bytes", lambda folder: 1000)
    job = new_job()
    with pytest.raises(OutsideError, match=r"training needs \d+ MB .* 0 MB are free"):
        train(job)
    assert not (job.run.train / "checkpoints").exists()


def test_accumulation_equals_a_bigger_batch(new_job: NewJob) -> None:
    big = new_job("big", batch_size=2, accumulation=1)
    small = new_job("small", batch_size=1, accumulation=2)
    for job in (big, small):  # two pictures, so that a pass is one step of either
        lines = (job.run.data / "metadata.csv").read_text().splitlines()[:3]
        (job.run.data / "metadata.csv").write_text("\n".join(lines) + "\n")
        train(job)
    config = bases.config(big.base, "unet")
    one, two = (lora_files.read(job.run.lora, config) for job in (big, small))
    for name, module in one.modules.items():
        assert torch.allclose(module.update(), two.modules[name].update(), rtol=1e-2, atol=1e-5), name


def test_the_loss_falls_on_one_picture(new_job: NewJob) -> None:
    ends = ["conv_in", "conv_out", "to_out"]  # attention alone bends a random network little
    job = new_job(
        steps_per_epoch=30,
        batch_size=4,
        learning_rate=1e-2,
        rank=16,
        alpha=16,
        targets=ends,
    )
    lines = (job.run.data / "metadata.csv").read_text().splitlines()[:2]
    (job.run.data / "metadata.csv").write_text("\n".join(lines) + "\n")
    train(job)
    record = read_json(job.run.train / "train.json")
    assert record["loss_last"] < 0.85 * record["loss_first"]


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


def test_bfloat16_trains_on_a_cpu_and_float16_is_refused(new_job: NewJob) -> None:
    job = new_job(precision="bfloat16", gradient_checkpointing=True, steps_per_epoch=2)
    train(job)
    assert read_json(job.run.train / "train.json")["precision"] == "bfloat16"
    with pytest.raises(InputError, match="needs a GPU"):
        train(new_job(precision="float16"))


def test_checkpointing_changes_the_memory_not_the_loss(unbroken: Run, new_job: NewJob) -> None:
    job = new_job(gradient_checkpointing=True)
    train(job)
    ours, plain = (list(csv.DictReader((run.train / "metrics.csv").open())) for run in (job.run, unbroken))
    assert [float(row["loss"]) for row in ours] == pytest.approx([float(row["loss"]) for row in plain], rel=1e-4)


def test_wrong_targets_and_sizes_are_refused(new_job: NewJob) -> None:
    with pytest.raises(InputError, match="no_such_layer"):
        train(new_job("targets", targets=["no_such_layer"]))
    job = new_job("sizes")
    text = (job.run.data / "metadata.csv").read_text()
    (job.run.data / "metadata.csv").write_text(text.replace(",64,64\n", ",64,72\n"))
    with pytest.raises(InputError, match="multiples of 32"):
        train(job)


def test_a_lora_that_is_zero_or_broken_is_no_result() -> None:
    zero = loras.Lora({"a": loras.LoraModule(torch.ones(2, 4), torch.zeros(4, 2), 2.0)})
    with pytest.raises(InputError, match="is zero"):
        prove_trained(zero)
    broken = loras.Lora({"a": loras.LoraModule(torch.ones(2, 4), torch.full((4, 2), float("nan")), 2.0)})
    with pytest.raises(InputError, match="not finite"):
        prove_trained(broken)


def test_progress_and_plan_are_shown(new_job: NewJob) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    job = dataclasses.replace(new_job(), report=Reporter(console))
    train(job)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 pictures, 6 steps of 1" in text
    assert "MB of disk" in text
    assert "loss" in text
    assert "6/6" in text


def test_nothing_to_do_is_quick(unbroken: Run, tiny_base: Path) -> None:
    job = make_job(unbroken.folder, tiny_base)
    started = time.monotonic()
    assert not train(job)
    assert time.monotonic() - started < 1
