"""The train stage: prepared pictures to a LoRA.

plan        the learning rate of each step, the disk space in all (how the machine computes is `engine.plan`)
batches     which picture when, with which noise: a function of seed and step
cache       text embeddings and latents, computed once
plain       the UNet with its LoRA as peft's own layers
merged      the UNet with its LoRA merged into the weights at every step, captured as a graph
network     which of the two
module      the training step
checkpoint  what a killed run goes on from
ranks       several devices, one process each
loop        Lightning's Trainer: progress, logs, checkpoints, a clean stop
logs        TensorBoard's and SwanLab's
samples     pictures of one panel on the way
stage       the order of it all, and the files written
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolors_submit.data.dataset import Picture
    from kolors_submit.run import Job

FORMAT = 1
SLOW_IMPORTS = ("torch", "transformers.modeling_utils", "diffsynth", f"{__name__}.stage")
"""What training imports, some seconds' worth, in parts: for `Job.ahead`."""


def train(job: Job) -> bool:
    """Train the LoRA; returns False where nothing had to be done.

    A killed run goes on from its last checkpoint and ends with the bytes of an unbroken one. Raises InputError for bad
    settings or a loss that is not finite, Interrupted on Ctrl-C or SIGTERM, OutsideError on a full disk.
    """
    from kolors_submit.data.dataset import read_prepared

    pictures = read_prepared(job.run.data)
    inputs = stage_inputs(job, pictures)
    stage = job.run.stage("train", FORMAT)
    if stage.is_done(inputs):
        job.report.stage("train", "nothing to do", done=True)
        return False
    job.report.stage("train", "; ".join(stage.changes(inputs)[:3]))
    from kolors_submit.train.stage import run_training

    started = time.monotonic()
    outputs = run_training(job, pictures, stage.fingerprint(inputs))
    stage.finish(inputs, outputs, time.monotonic() - started)
    return True


def stage_inputs(job: Job, pictures: Sequence[Picture]) -> dict[str, Any]:
    """All that the LoRA depends on, as JSON values."""
    return {
        "settings": job.story.train.of_the_result(),
        "base": job.base.digest,
        "pictures": {picture.path.name: _values(picture) for picture in pictures},
    }


def _values(picture: Picture) -> dict[str, Any]:
    """All of a prepared picture but where it lies."""
    return {name: value for name, value in dataclasses.asdict(picture).items() if name != "path"}


__all__ = ["SLOW_IMPORTS", "train"]
