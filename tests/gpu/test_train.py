"""Every way to train on a GPU against the plain float32 loop on the CPU, on the picture-book base."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import lora_files
from kolors_submit.engine.plan import TrainPlan
from kolors_submit.errors import OutsideError
from kolors_submit.files import read_json
from kolors_submit.run import Job, Run
from kolors_submit.train import stage, train
from kolors_submit.train.module import LoraTraining
from kolors_submit.weights import PICTUREBOOK
from tests.train.jobs import make_job, results, write_pictures

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

SETTINGS: dict[str, Any] = {"rank": 8, "alpha": 8, "steps_per_epoch": 30, "batch_size": 2, "save_every": 10}
PLAN = TrainPlan("bfloat16", "none", None, False, True, True, False, memory=0)
PLANS = {
    "graph": PLAN,
    "eager": replace(PLAN, cuda_graph=False),
    "compiled": replace(PLAN, compile_blocks=True),
    "checkpointing": replace(PLAN, checkpointing="selective"),
    "checkpointing compiled": replace(PLAN, checkpointing="selective", compile_blocks=True),
    "8 bits": replace(PLAN, checkpointing="selective", eight_bit="int8"),
    "8 bits eager": replace(PLAN, checkpointing="selective", eight_bit="int8", cuda_graph=False),
    "float16": replace(PLAN, dtype="float16"),
    "float32": replace(PLAN, dtype="float32"),
}
LOSS = {"float32": 1e-3, "8 bits": 2e-2, "8 bits eager": 2e-2}
"""How far a step's loss may lie from the plain loop's, of the loss; 1 % where it is not said."""


def job(folder: Path, device: str = "cuda", **settings: Any) -> Job:
    run = Run(folder)
    if not run.data.exists():
        write_pictures(run.data, side=256)
    return replace(make_job(folder, PICTUREBOOK, **(SETTINGS | settings)), device=device)


def losses(run: Run) -> torch.Tensor:
    return torch.tensor([float(row["loss"]) for row in csv.DictReader((run.train / "metrics.csv").open())])


def update(run: Run) -> torch.Tensor:
    """The whole of the trained update, as one vector."""
    lora = lora_files.read(run.lora, bases.config(make_job(run.folder, PICTUREBOOK).base, "unet"))
    return torch.cat([module.update().flatten() for module in lora.modules.values()])


@pytest.fixture(autouse=True)
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine has several."""
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    task = job(tmp_path_factory.mktemp("plain"), "cpu")
    train(task)
    return task.run


@pytest.mark.parametrize("name", PLANS)
def test_curves_agree(name: str, plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "train_plans", lambda *_: (PLANS[name],))
    task = job(tmp_path / "run")
    train(task)
    apart = (losses(task.run) - losses(plain)).abs() / losses(plain)
    alike = torch.nn.functional.cosine_similarity(update(task.run), update(plain), dim=0)
    print(f"{name}: losses apart by {apart.max():.4f}, updates alike to {alike:.4f}")
    assert apart.max() < LOSS.get(name, 1e-2)
    assert alike > (0.99 if name == "float32" else 0.9)


@pytest.mark.parametrize("name", ["graph", "compiled", "8 bits"])
def test_the_same_bytes_twice_and_after_a_break(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "train_plans", lambda *_: (PLANS[name],))
    first, second = job(tmp_path / "first"), job(tmp_path / "second")
    train(first)
    train(second)
    assert results(first.run)["train/lora.safetensors"] == results(second.run)["train/lora.safetensors"]
    (folder,) = (second.run.train / "checkpoints").iterdir()
    (folder / "step-0000030.ckpt").unlink()
    second.run.lora.unlink()
    train(second)
    assert results(first.run) == results(second.run)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
def test_two_devices_train_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for count in (1, 2):
        monkeypatch.setattr(stage, "count_ranks", lambda *_, count=count: count)
        task = job(tmp_path / str(count))
        train(task)
        runs.append(task.run)
    one, two = (losses(run) for run in runs)
    assert ((one - two).abs() / one).max() < 1e-2
    assert torch.nn.functional.cosine_similarity(*(update(run) for run in runs), dim=0) > 0.99


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
def test_another_device_out_of_memory_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL would wait for it."""
    monkeypatch.setattr(stage, "count_ranks", lambda *_: 2)
    monkeypatch.setattr(stage, "train_plans", lambda *_: (PLAN,))
    monkeypatch.setattr(stage, "train_share", runs_out_of_memory)
    task, begun = job(tmp_path / "run"), time.monotonic()
    with pytest.raises(OutsideError, match="memory is not enough"):
        train(task)
    assert time.monotonic() - begun < 90
    assert not torch.distributed.is_initialized()


def runs_out_of_memory(*args: Any, **given: Any) -> None:
    """What another process trains, up to its fourth step."""
    real = LoraTraining.training_step

    def step(self: LoraTraining, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 3:
            raise torch.OutOfMemoryError
        return real(self, batch, batch_idx)

    LoraTraining.training_step = step  # type: ignore[method-assign]
    stage.train_share(*args, **given)


def test_graphs_of_two_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captured before the first step, the larger first."""
    curves = []
    for plan in ("graph", "eager"):
        monkeypatch.setattr(stage, "train_plans", lambda *_, plan=plan: (PLANS[plan],))
        write_pictures(Run(tmp_path / plan).data, count=4, side=256, wide=2)
        task = job(tmp_path / plan, steps_per_epoch=10)
        train(task)
        curves.append(losses(task.run))
    graphed, eager = curves
    assert ((graphed - eager).abs() / eager).max() < 1e-2


@pytest.mark.parametrize("settings", [{"targets": ["to_q", "proj_in"]}, {"optimizer": "adafactor"}])
def test_any_other_lora_is_trained_by_peft(settings: dict[str, Any], tmp_path: Path) -> None:
    task = job(tmp_path / "run", steps_per_epoch=4, **settings)
    train(task)
    assert read_json(task.run.train / "train.json")["steps"] == 4


def test_accumulation_and_sample_pictures(tmp_path: Path) -> None:
    """Four pictures, so that two batches of two are those of one batch of four."""
    for name in ("big", "small"):
        write_pictures(Run(tmp_path / name).data, count=4, side=256)
    big = job(tmp_path / "big", batch_size=4, steps_per_epoch=10)
    small = job(tmp_path / "small", batch_size=2, accumulation=2, steps_per_epoch=10, sample_every=5)
    for task in (big, small):
        train(task)
    assert torch.nn.functional.cosine_similarity(update(big.run), update(small.run), dim=0) > 0.99
    assert len(list((small.run.train / "samples").iterdir())) == 2
