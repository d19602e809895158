"""What the train stage does, in its order: forecast, caches, UNet with LoRA, training, the files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from kolors_submit.data.dataset import Picture
from kolors_submit.device import LEFT_ALONE, NO_COMPILER, Machine, read_machine
from kolors_submit.engine import base as bases
from kolors_submit.engine import lora as loras
from kolors_submit.engine import lora_files
from kolors_submit.engine.memory import keep_compiled, keep_within, release, stepping_down
from kolors_submit.engine.plan import Sizes, TrainPlan, fitting
from kolors_submit.engine.planning import count_ranks, train_plans
from kolors_submit.engine.sampler import PIXELS_PER_LATENT, Task
from kolors_submit.errors import InputError
from kolors_submit.files import keep_only, write_json, write_text
from kolors_submit.run import Job
from kolors_submit.story import MAX_TOKENS, Train, panel_prompt
from kolors_submit.train import FORMAT
from kolors_submit.train.cache import Example, build_examples, text_conditionings
from kolors_submit.train.checkpoint import Checkpoints
from kolors_submit.train.loop import fit, precision
from kolors_submit.train.merged import COMPILED_SHAPES
from kolors_submit.train.module import LoraTraining
from kolors_submit.train.network import make_network
from kolors_submit.train.plan import check_disk, disk_bytes, learning_rate_factor, megabytes
from kolors_submit.train.ranks import Rank, together
from kolors_submit.train.samples import sample_into
from kolors_submit.weights import count_parameters


def run_training(job: Job, pictures: Sequence[Picture], fingerprint: str) -> list[Path]:
    """Train, and write the LoRA, its record and its metrics; returns the files that count as the stage's outputs."""
    settings = job.story.train
    # The plan is for the cards that train: a batch of one is the first's alone, however full another is.
    machine = read_machine(job.device, job.vram, count_ranks(settings, read_machine(job.device, job.vram)))
    plans = _plans(job, pictures, machine)
    checkpoints = Checkpoints(job.run.train / "checkpoints", fingerprint)
    forget_other_runs(job.run.train, checkpoints.folder)
    _use_gpu(job, machine)
    # Both are on the CPU afterwards, and text encoder and VAE are gone before the UNet comes.
    examples = build_examples(job, pictures, plans[0].stream_text_encoder)
    task = _sample_task(job) if settings.sample_every else None
    count = count_ranks(settings, machine)
    if count > 1:
        job.report.note(f"{count} devices share out every batch")
    if machine.left_alone and settings.batch_size > 1:
        job.report.note(LEFT_ALONE.format(machine.left_alone))

    def attempt(plan: TrainPlan) -> tuple[TrainPlan, loras.Lora, list[float]]:
        share = partial(train_share, machine=machine, plan=plan, pictures=pictures, fingerprint=fingerprint)
        with together(job, share, count) as rank:
            return plan, *_train(job, plan, examples, checkpoints, task, rank)

    plan, lora, losses = stepping_down(plans, attempt, job.report.note)
    outputs = _write(job, plan, lora, losses)
    job.report.stage("train", f"{len(lora.modules)} layers, loss {mean_loss(losses, last=True):.4f}", done=True)
    return outputs


def train_share(
    job: Job, rank: Rank, *, machine: Machine, plan: TrainPlan, pictures: Sequence[Picture], fingerprint: str
) -> None:
    """What another process than the first does; embeddings, latents and checkpoints are in the run folder."""
    _use_gpu(job, machine)
    examples = build_examples(job, pictures)
    _train(job, plan, examples, Checkpoints(job.run.train / "checkpoints", fingerprint), None, rank)


def _use_gpu(job: Job, machine: Machine) -> None:
    """Within the memory that --vram allows, and with what was compiled before; of each process its own."""
    if machine.device != "cpu":
        keep_within(machine)
        keep_compiled(job.run.compiled)


def _train(
    job: Job, plan: TrainPlan, examples: Sequence[Example], checkpoints: Checkpoints, task: Task | None, rank: Rank
) -> tuple[loras.Lora, list[float]]:
    """Train by one plan from the last checkpoint on; returns the LoRA and the loss of every step."""
    settings = job.story.train
    # What is to be held in 8 bits may not fit on the device in full.
    unet = bases.load_unet(job.base, "cpu" if plan.eight_bit else job.device, getattr(torch, plan.dtype))
    loras.inject(unet, settings.rank, settings.alpha, settings.targets, settings.seed)
    checkpoint = checkpoints.latest()
    for damaged in checkpoints.after(checkpoint.step if checkpoint else 0):
        job.report.note(f"{damaged} is damaged and passed over")
    if checkpoint:
        job.report.note(f"going on after step {checkpoint.step} of {settings.steps}")
    network = make_network(unet, plan, settings, job.device, {example.shape for example in examples})
    # Lightning clips gradients itself, which it does not under a fused step that would scale them back.
    fused = plan.fused_optimizer and precision(plan, network) == "32-true" and job.device != "cpu"
    lean = plan.eight_bit is not None
    module = LoraTraining(network, examples, settings, checkpoint, fused=fused, lean=lean)
    losses = fit(job, module, plan, checkpoints, sample_into(job, plan, task) if task else None, rank)
    lora = loras.from_injected(unet)
    del module, network, unet
    release(job.device)
    return lora, losses


def forget_other_runs(folder: Path, checkpoints: Path) -> None:
    """Delete checkpoints, logs and samples of other settings or pictures, which would be mistaken for this run's."""
    if not checkpoints.is_dir():
        for name in ("checkpoints", "logs", "samples"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _plans(job: Job, pictures: Sequence[Picture], machine: Machine) -> tuple[TrainPlan, ...]:
    """The plans to try in turn, the first of them said in a line, after a look at the disk."""
    settings = job.story.train
    config = bases.config(job.base, "unet")
    shapes = loras.layer_shapes(config)
    endings = tuple(f".{target}" for target in settings.targets)
    targeted = [shape for name, shape in shapes.items() if f".{name}".endswith(endings)]
    if not targeted:
        raise InputError(f"train.targets {', '.join(settings.targets)}: no such layers in this base")
    lora_parameters = sum(settings.rank * (shape[0] + shape[1:].numel()) for shape in targeted)
    areas = [picture.width * picture.height // PIXELS_PER_LATENT**2 for picture in pictures]
    sizes = Sizes(count_parameters(job.base, "unet"), count_parameters(job.base, "text_encoder"), max(areas))
    compiler = machine.compiler and len({(picture.width, picture.height) for picture in pictures}) <= COMPILED_SHAPES
    plans = fitting(train_plans(replace(machine, compiler=compiler), settings, sizes), machine)
    latents = sum(areas) * 4 * 4 * (2 if settings.flip else 1)
    width = bases.config(job.base, "text_encoder")["hidden_size"]
    texts = len({picture.caption for picture in pictures}) + 2 * len(job.story.panels)
    needed = disk_bytes(settings, lora_parameters, latents + texts * (MAX_TOKENS + 1) * width * 4)
    check_disk(job.run.folder, needed)
    job.report.stage(
        "train",
        f"{len(pictures)} pictures, {settings.steps} steps of {settings.batch_size * settings.accumulation}, "
        f"{lora_parameters / 1e6:.2f} M parameters, on {job.device}: {plans[0]}, at most {megabytes(needed)} of disk",
    )
    if job.device != "cpu" and not machine.compiler:
        job.report.note(NO_COMPILER.format("training"))
    return plans


def _sample_task(job: Job) -> Task:
    """The panel that the sample pictures show."""
    panel = job.story.panels[job.story.train.sample_panel - 1]
    prompt = panel_prompt(job.story, panel)
    positive, negative = text_conditionings(job, [prompt.positive, prompt.negative])
    return Task(positive, negative, panel.seed)


def _write(job: Job, plan: TrainPlan, lora: loras.Lora, losses: list[float]) -> list[Path]:
    """The LoRA for everybody and for the contest's notebook, what it was made from, and the loss curve."""
    prove_trained(lora)
    settings, folder = job.story.train, job.run.train
    record = {
        "format": FORMAT,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "settings": settings.of_the_result(),
        "steps": len(losses),
        "loss_first": mean_loss(losses, last=False),
        "loss_last": mean_loss(losses, last=True),
        "modules": len(lora.modules),
        "precision": plan.dtype,
    }
    outputs = [
        lora_files.write_safetensors(
            job.run.lora, lora_files.to_kohya(lora, bases.config(job.base, "unet")), metadata(record)
        ),
        lora_files.write_ckpt(folder / "lora.ckpt", lora),
        write_json(folder / "train.json", record if job.device == "cpu" else record | {"plan": plan.record()}),
    ]
    if "csv" in settings.log:
        outputs.append(write_text(folder / "metrics.csv", metrics_csv(settings, losses)))
    kept = [path for name in ("checkpoints", "logs", "samples") for path in (folder / name).rglob("*")]
    keep_only(folder, [*outputs, *kept])
    return outputs


def metadata(record: dict[str, Any]) -> dict[str, Any]:
    """What the LoRA file says about itself: rank and alpha on top, then the record."""
    return {"rank": record["settings"]["rank"], "alpha": record["settings"]["alpha"], **record}


def prove_trained(lora: loras.Lora) -> None:
    """Raise InputError where training left every update zero, or made one that is not finite."""
    if not all(bool(module.up.isfinite().all() and module.down.isfinite().all()) for module in lora.modules.values()):
        raise InputError("the trained LoRA holds values that are not finite; lower train.learning_rate")
    if not any(bool(torch.count_nonzero(module.up)) for module in lora.modules.values()):
        raise InputError("the trained LoRA is zero: it would change no picture; raise train.learning_rate or the steps")


def metrics_csv(settings: Train, losses: list[float]) -> str:
    """The loss and the learning rate of every step, counted from 1."""
    lines = ["step,loss,learning_rate"]
    for step, loss in enumerate(losses):
        rate = settings.learning_rate * learning_rate_factor(settings, step)
        lines.append(f"{step + 1},{loss:.7g},{rate:.7g}")
    return "\n".join(lines) + "\n"


def mean_loss(losses: list[float], *, last: bool) -> float:
    """The mean over the first or last tenth of the steps: one step's loss says more about its timestep."""
    count = max(1, len(losses) // 10)
    return round(fmean(losses[-count:] if last else losses[:count]), 6)
