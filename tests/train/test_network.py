"""The LoRA merged into the UNet against peft's own layers: one loop, the same curve. On a CPU without a graph."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from kolors_submit.data.dataset import read_prepared
from kolors_submit.device import Machine
from kolors_submit.engine import base as bases
from kolors_submit.engine import lora as loras
from kolors_submit.engine import lora_files, planning
from kolors_submit.engine.lora_unet import LoraUNet
from kolors_submit.engine.plan import TrainPlan
from kolors_submit.errors import OutsideError
from kolors_submit.report import Reporter
from kolors_submit.run import Job, Run
from kolors_submit.train import stage, train
from kolors_submit.train.batches import Batch
from kolors_submit.train.merged import Merged
from kolors_submit.train.plain import Plain
from tests.train.conftest import NewJob
from tests.train.jobs import make_job, results

PLAN = TrainPlan("float32", "none", None, False, False, False, False, memory=0)


@pytest.fixture
def merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train as on a GPU."""
    monkeypatch.setattr(stage, "make_network", lambda unet, plan, _, device, shapes: Merged(unet, plan, device, shapes))


def test_what_a_missing_compiler_costs_is_said(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(Reporter, "note", lambda _, text: notes.append(text))
    job, pictures = new_job(), read_prepared(new_job().run.data)
    for device in ("cpu", "cuda"):
        stage._plans(replace(job, device=device), pictures, Machine(device, (9, 0), 10**11))
    assert notes == ["no C compiler here (cc, gcc or clang), so nothing is compiled: training takes longer"]


@pytest.mark.parametrize(("shapes", "compiles"), [(3, True), (4, False)])
def test_the_plan_says_that_many_shapes_are_not_compiled(
    shapes: int, compiles: bool, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "COMPILE_PAYS_TRAINING", 0)
    job = new_job()
    picture = read_prepared(job.run.data)[0]
    pictures = [replace(picture, width=64 * (1 + number)) for number in range(shapes)]
    plans = stage._plans(replace(job, device="cuda"), pictures, Machine("cuda", (9, 0), 10**11, compiler=True))
    assert any(plan.record()["compile_blocks"] for plan in plans) == compiles
    assert len({replace(plan, memory=0) for plan in plans}) == len(plans)


def lora_unet(job: Job) -> LoraUNet:
    unet = bases.load_unet(job.base, "cpu", torch.float32)
    loras.inject(unet, 2, 2, job.story.train.targets, 1)
    made = LoraUNet(unet, "cpu", compile_blocks=False, checkpointing=False, eight_bit=False)
    made.vector.data = torch.randn(made.vector.shape, generator=torch.Generator().manual_seed(2)) / 8
    return made


def gradient(net: LoraUNet, height: int, width: int) -> torch.Tensor:
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(3))
    sizes = torch.tensor([[8.0 * height, 8.0 * width, 0, 0, 8.0 * height, 8.0 * width]])
    predicted = net(draw(1, 4, height, width), torch.tensor([500]), draw(1, 256, 16), sizes, draw(1, 16))
    (found,) = torch.autograd.grad(predicted.square().mean(), [net.vector])
    return found


def test_shapes_share_the_room_of_the_largest(new_job: NewJob) -> None:
    """Its place never changes when a smaller one comes, so that a graph that was captured may go on writing there."""
    job = new_job()
    net, large = lora_unet(job), lora_unet(job)
    gradients = {shape: gradient(lora_unet(job), *shape) for shape in ((8, 8), (16, 8), (8, 16))}
    gradient(large, 16, 8)
    places = []
    for shape in ((8, 8), (16, 8), (8, 8), (8, 16)):
        assert torch.equal(gradient(net, *shape), gradients[shape])
        places.append([room.data_ptr() for room in net.room.values()])
    assert places[1] == places[2] == places[3]
    assert [room.numel() for room in net.room.values()] == [room.numel() for room in large.room.values()]


def test_lightning_leaves_the_network_where_it_is(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "cpu", lambda module: moved.append(module) or module)
    job = new_job()
    train(job)
    assert moved == [] and results(job.run) == results(unbroken)


def curve(run: Run) -> list[float]:
    return [float(row["loss"]) for row in csv.DictReader((run.train / "metrics.csv").open())]


@pytest.mark.parametrize(
    ("plan", "within"),
    [
        (PLAN, 1e-4),
        (replace(PLAN, checkpointing="selective"), 1e-4),
        (replace(PLAN, checkpointing="selective", eight_bit="int8"), 1e-2),
    ],
    ids=["all", "checkpointing", "8 bits"],
)
def test_the_same_curve(
    plan: TrainPlan, within: float, merged: None, unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "train_plans", lambda *_: (plan,))
    job = new_job(sample_every=3)
    train(job)
    assert curve(job.run) == pytest.approx(curve(unbroken), rel=within)
    config = bases.config(job.base, "unet")
    ours, plain = (lora_files.read(run.lora, config).modules for run in (job.run, unbroken))
    assert ours.keys() == plain.keys()
    one, two = (torch.cat([module.update().flatten() for module in lora.values()]) for lora in (ours, plain))
    assert torch.nn.functional.cosine_similarity(one, two, dim=0) > 0.95


def test_samples_on_their_own_cores_train_as_one_batch(
    unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "make_network", lambda unet, plan, *_: Plain(unet, plan))
    job = new_job()
    train(job)
    assert curve(job.run) == pytest.approx(curve(unbroken), rel=1e-5)


@pytest.mark.parametrize("cores", [1, 3])
def test_the_number_of_cores_changes_no_byte(
    cores: int, unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    job = new_job()
    train(job)
    assert results(job.run) == results(unbroken)


def test_checkpointing_keeps_fewer_activations_and_changes_nothing(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Plain.loss
    kept: dict[bool, int] = {}
    runs: dict[bool, Run] = {}
    for wish in (False, True):
        found: list[int] = []

        def count(value: torch.Tensor, found: list[int] = found) -> torch.Tensor:
            found.append(value.numel())
            return value

        def counted(self: Plain, batch: Batch, count: Any = count) -> torch.Tensor:
            with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
                return real(self, batch)

        monkeypatch.setattr(Plain, "loss", counted)
        job = new_job(str(wish), gradient_checkpointing=wish)
        train(job)
        kept[wish], runs[wish] = sum(found), job.run
    assert kept[True] < kept[False] / 2
    assert curve(runs[True]) == curve(runs[False])
    assert (runs[True].train / "lora.ckpt").read_bytes() == (runs[False].train / "lora.ckpt").read_bytes()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_checkpoint_of_one_program_is_read_by_the_other(
    optimizer: str, unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"optimizer": optimizer, "save_every": 3}
    plain, mixed = new_job("plain", **settings), new_job("mixed", **settings)
    train(plain)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "make_network", lambda unet, plan, _, device, shapes: Merged(unet, plan, device, shapes))
        train(mixed)
        (folder,) = (mixed.run.train / "checkpoints").iterdir()
        before = results(mixed.run)
        (folder / "step-0000006.ckpt").unlink()
        mixed.run.lora.unlink()
        train(mixed)  # from its own checkpoint: the same bytes
        assert results(mixed.run) == before
        (folder / "step-0000006.ckpt").unlink()
        mixed.run.lora.unlink()
    train(mixed)  # from there by the other program
    assert curve(mixed.run) == pytest.approx(curve(plain.run), rel=1e-4)


def test_out_of_memory_steps_down_and_goes_on(unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = (PLAN, replace(PLAN, checkpointing="selective"))
    monkeypatch.setattr(stage, "train_plans", lambda *_: plans)
    real = stage.LoraTraining.training_step

    def full(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 4 and not self.network.checkpointing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch, batch_idx)

    monkeypatch.setattr(stage.LoraTraining, "training_step", full)
    job = new_job()
    train(job)
    assert curve(job.run) == pytest.approx(curve(unbroken), rel=1e-4)
    monkeypatch.setattr(stage, "train_plans", lambda *_: plans[:1])
    with pytest.raises(OutsideError, match="nvidia-smi"):
        train(new_job("other", seed=3))


def test_a_budget_stops_at_a_checkpoint(unbroken: Run, new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from kolors_submit.meter import BudgetSpent, Meter

    job = new_job(save_every=100, sample_every=4)
    real = stage.LoraTraining.training_step
    meter = Meter(1.0, 1.0)

    def later(self: Any, batch: int, batch_idx: int) -> torch.Tensor:
        if batch == 3:  # an hour is over
            monkeypatch.setattr(time, "monotonic", lambda: meter.started + 3601)
        return real(self, batch, batch_idx)

    spending = replace(job, report=replace(job.report, meter=meter))
    with monkeypatch.context() as patch:
        patch.setattr(stage.LoraTraining, "training_step", later)
        with pytest.raises(BudgetSpent, match=r"cost 1\.00 of 1\.00.* after step 4 of 6, which is saved"):
            train(spending)
    assert not (job.run.train / "samples").exists()
    monkeypatch.undo()
    assert train(job)
    assert results(job.run) == results(unbroken)
    assert make_job(job.run.folder, job.base.folder).report.meter is None
