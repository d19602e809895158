"""The train stage as a whole, on the tiny base: its files, what it repeats, what it refuses."""

from __future__ import annotations

import csv
import dataclasses
import io
import signal
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
from kolors_submit.errors import InputError
from kolors_submit.files import read_json
from kolors_submit.report import Reporter
from kolors_submit.run import Run
from kolors_submit.train import train
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


def test_samples_that_the_machine_cannot_draw_are_noted_once(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(Reporter, "note", lambda _, text: notes.append(text))
    job = new_job(sample_every=2)
    render = job.story.render.model_copy(update={"noise": "cuda-float16"})
    train(dataclasses.replace(job, story=job.story.model_copy(update={"render": render})))
    assert results(job.run) == results(unbroken)
    (note,) = notes
    assert note.startswith("no sample picture of step 2: render.noise is cuda-float16, which needs a CUDA device")
    assert note.endswith("training goes on")


def test_swanlab_where_asked(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWANLAB_MODE", "offline")
    job = new_job(steps_per_epoch=2, log=["swanlab"])
    before = signal.getsignal(signal.SIGINT)
    train(job)
    assert signal.getsignal(signal.SIGINT) is before, "swanlab puts back what it found, which was training's"
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


def test_bfloat16_trains_on_a_cpu_and_float16_is_refused(new_job: NewJob) -> None:
    job = new_job(precision="bfloat16", gradient_checkpointing=True, steps_per_epoch=2)
    train(job)
    assert read_json(job.run.train / "train.json")["precision"] == "bfloat16"
    with pytest.raises(InputError, match="needs a GPU"):
        train(new_job(precision="float16"))


def test_wrong_targets_are_refused(new_job: NewJob) -> None:
    for targets in (["no_such_layer"], ["o_q"]):  # the end of to_q, and no layer's name
        job = new_job("targets", targets=targets)
        with pytest.raises(InputError, match=f"{targets[0]}: no such layers in this base"):
            train(job)
    assert not (job.run.train / "train.json").exists()


def test_a_lora_that_is_zero_or_broken_is_no_result() -> None:
    zero = loras.Lora({"a": loras.LoraModule(torch.ones(2, 4), torch.zeros(4, 2), 2.0)})
    with pytest.raises(InputError, match="is zero"):
        prove_trained(zero)
    broken = loras.Lora({"a": loras.LoraModule(torch.ones(2, 4), torch.full((4, 2), float("nan")), 2.0)})
    with pytest.raises(InputError, match="not finite"):
        prove_trained(broken)


def test_progress_and_plan_are_shown(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
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
