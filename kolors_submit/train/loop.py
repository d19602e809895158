"""Lightning's Trainer with what a long run needs: progress, logs, checkpoints, samples, and a clean stop."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch.utils.data import DataLoader

from kolors_submit.engine import memory
from kolors_submit.errors import InputError, Interrupted
from kolors_submit.run import Job, Run
from kolors_submit.story import Train
from kolors_submit.train.checkpoint import Checkpoints
from kolors_submit.train.module import LoraTraining
from kolors_submit.train.plan import Plan, learning_rate_factor

Sampler = Callable[[LoraTraining, int], object]
"""Draws the sample picture of a step."""


@dataclass
class Stop:
    """Whether somebody asked for an end (Ctrl-C, SIGTERM); the signal waits for the end of the step."""

    requested: bool = False

    def install(self) -> None:
        """Take both signals; Lightning puts its own handlers in when it starts, so this is called again then."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        self.requested = True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Collect SIGINT and SIGTERM for the block, and put the old handlers back after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop = Stop()
    stop.install()
    try:
        yield stop
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


class Keeper(Callback):
    """What happens after an optimizer step."""

    def __init__(self, settings: Train, checkpoints: Checkpoints, advance: Callable[..., None], stop: Stop) -> None:
        self.settings = settings
        self.checkpoints = checkpoints
        self.advance = advance
        self.stop = stop
        self.sampler: Sampler | None = None
        self.logged = 0

    def on_train_start(self, trainer: Trainer, pl_module: LoraTraining) -> None:  # type: ignore[override]
        """Take the signals back from Lightning."""
        self.stop.install()
        self.logged = pl_module.start

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LoraTraining, outputs: Any, batch: int, batch_idx: int
    ) -> None:
        """Count, look at the loss, log, save, draw a sample, stop."""
        step, rest = divmod(batch + 1, self.settings.accumulation)
        if rest:
            return
        last = step == self.settings.steps
        saves = last or self.stop.requested or step % self.settings.save_every == 0
        samples = self.sampler is not None and step % (self.settings.sample_every or 1) == 0
        if saves or samples or step % pl_module.plan.check_every == 0:
            self._look(trainer, pl_module)
        if saves:
            self._save(pl_module)
        if samples and self.sampler is not None:
            self.sampler(pl_module, step)
        if self.stop.requested and not last:
            raise Interrupted(
                f"training was interrupted after step {step} of {self.settings.steps}, which is saved; "
                "run the same command to go on from there"
            )

    def _look(self, trainer: Trainer, module: LoraTraining) -> None:
        """Check and log the losses of the steps since the last look."""
        losses = module.collect_losses()
        for step in range(self.logged, len(losses)):
            if not math.isfinite(losses[step]):
                raise _not_finite("the loss", step + 1, self.settings, self.checkpoints)
            rate = self.settings.learning_rate * learning_rate_factor(self.settings, step)
            for logger in trainer.loggers:
                logger.log_metrics({"loss": losses[step], "learning_rate": rate}, step + 1)
        self.advance(len(losses) - self.logged, f"loss {losses[-1]:.4f}")
        self.logged = len(losses)

    def _save(self, module: LoraTraining) -> None:
        checkpoint = module.checkpoint()
        if not all(bool(value.isfinite().all()) for value in checkpoint.lora.values()):
            raise _not_finite("the LoRA", checkpoint.step, self.settings, self.checkpoints)
        self.checkpoints.save(checkpoint, self.settings.keep)


def _not_finite(what: str, step: int, settings: Train, checkpoints: Checkpoints) -> InputError:
    files = checkpoints.files()
    kept = f"; the last good checkpoint is {files[-1]}" if files else "; no checkpoint was saved before"
    return InputError(
        f"{what} is not finite at step {step} of {settings.steps}{kept}. "
        f"Lower train.learning_rate (now {settings.learning_rate:g}) or train.alpha, or set train.precision to float32"
    )


def fit(
    job: Job, module: LoraTraining, plan: Plan, checkpoints: Checkpoints, sampler: Sampler | None = None
) -> list[float]:
    """Train from the module's start to the last step; returns the loss of every step.

    Raises InputError where the loss is not finite, Interrupted on Ctrl-C or SIGTERM, OutsideError on a full disk.
    """
    settings = job.story.train
    if module.start == settings.steps:
        return module.losses
    batches = range(module.start * settings.accumulation, settings.steps * settings.accumulation)
    with (
        stop_on_signals() as stop,
        job.report.progress("train", settings.steps, module.start) as advance,
        quiet_lightning(),
        memory.arithmetic(job.device, memory.TRAINING_THREADS),
    ):
        keeper = Keeper(settings, checkpoints, advance, stop)
        keeper.sampler = sampler
        trainer = _trainer(settings, plan, job.run, keeper, checkpoints.fingerprint, module.start)
        # A step's number is the whole batch: batch_size=None hands it on as it is.
        trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    if "swanlab" in settings.log:
        import swanlab

        swanlab.finish()  # the logger does so only after an error
    return module.collect_losses()


def _trainer(settings: Train, plan: Plan, run: Run, keeper: Keeper, fingerprint: str, start: int) -> Trainer:
    return Trainer(
        accelerator="gpu" if plan.device.type == "cuda" else "cpu",
        devices=1,
        precision=plan.precision,
        max_epochs=1,
        accumulate_grad_batches=settings.accumulation,
        gradient_clip_val=settings.max_grad_norm,
        deterministic=settings.deterministic,
        logger=_loggers(settings, run, fingerprint, start) or False,
        callbacks=[keeper],
        plugins=[LightningEnvironment()],  # a batch system's variables change nothing
        default_root_dir=run.train,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _loggers(settings: Train, run: Run, fingerprint: str, start: int) -> list[Logger]:
    """TensorBoard's and SwanLab's, where asked for; the CSV is written with the result."""
    folder = run.train / "logs"
    loggers: list[Logger] = []
    if "tensorboard" in settings.log:
        loggers.append(TensorBoardLogger(folder, name="", version="", purge_step=start + 1))
    if "swanlab" in settings.log:
        from swanlab.integration.pytorch_lightning import SwanLabLogger

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{run.folder.parent.name} {fingerprint[:8]}"
        loggers.append(
            SwanLabLogger(project="kolors-submit", experiment_name=name, log_dir=str(folder), mode=swanlab_mode())
        )
    return loggers


def swanlab_mode() -> str:
    """SWANLAB_MODE, else `cloud` where a key is set, else `offline`, which needs no account."""
    return os.environ.get("SWANLAB_MODE") or ("cloud" if os.environ.get("SWANLAB_API_KEY") else "offline")


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Leave Lightning's talk out, and put back the global switches of torch that `deterministic` turns."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    switches: Any = torch.utils.deterministic
    fill = switches.fill_uninitialized_memory
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    switches.fill_uninitialized_memory = False  # a debugging aid that writes every buffer twice
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        switches.fill_uninitialized_memory = fill
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
