"""Lightning's Trainer with what a long run needs: progress, logs, checkpoints, samples, and a clean stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal

from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from kolors_submit.engine import memory
from kolors_submit.engine.plan import TrainPlan
from kolors_submit.errors import InputError, Interrupted
from kolors_submit.interrupt import Hold, held
from kolors_submit.meter import BudgetSpent
from kolors_submit.run import Job
from kolors_submit.story import Train
from kolors_submit.train.checkpoint import Checkpoints, Writer, writing
from kolors_submit.train.logs import loggers, quiet_lightning
from kolors_submit.train.module import LoraTraining
from kolors_submit.train.network import Network
from kolors_submit.train.plain import Plain
from kolors_submit.train.plan import learning_rate_factor
from kolors_submit.train.ranks import Environment, Rank, strategy

LOOK_EVERY = 50
"""Steps between looks at the loss on a GPU, where every look waits for the device."""

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

Sampler = Callable[[LoraTraining, int], object]
"""Draws the sample picture of a step."""


class Keeper(Callback):
    """What happens after an optimizer step."""

    def __init__(
        self,
        job: Job,
        writer: Writer,
        advance: Callable[..., None],
        stop: Hold,
        sampler: Sampler | None,
        rank: Rank,
    ) -> None:
        self.rank = rank
        self.settings = job.story.train
        self.meter = job.report.meter
        self.writer = writer
        self.advance = advance
        self.stop = stop
        self.sampler = sampler
        self.look_every = 1 if job.device == "cpu" else LOOK_EVERY
        self.logged = 0
        self.looked = time.monotonic()
        self.longest = 0.0
        """Seconds between two looks: by twice that a budget is told before it is passed."""

    def on_train_start(self, trainer: Trainer, pl_module: LoraTraining) -> None:  # type: ignore[override]
        """Take the signals back from Lightning, whose handler would send to the other processes in between."""
        self.stop.install()
        self.logged = pl_module.start

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LoraTraining, outputs: Any, batch: int, batch_idx: int
    ) -> None:
        """Count, look at the loss, log, save, draw a sample, stop."""
        step, rest = divmod(batch + 1, self.settings.accumulation)
        if rest:
            return
        self.writer.check()
        if step == pl_module.start + 1 and pl_module.device.type != "cpu":
            self.looked = time.monotonic()  # the first step compiles, and waits for more than any later one
        last = step == self.settings.steps
        looks = step % self.look_every == 0
        stopped = self._stopped(step)
        saves = last or stopped is not None or step % self.settings.save_every == 0
        sampled = self.settings.sample_every is not None and step % self.settings.sample_every == 0
        samples = sampled and stopped is None  # whoever stops it does not wait for a picture
        seen = self._look(trainer, pl_module) if saves or samples or looks else 0
        if saves:
            self._save(pl_module)
        if samples and self.sampler is not None:
            self.sampler(pl_module, step)
        if stopped is not None and not last:
            raise stopped
        if seen:
            try:
                self.advance(seen, f"loss {pl_module.losses[-1]:.4f}")
            except BudgetSpent:  # sooner than foreseen: a sample picture took its time
                if not saves:
                    self._save(pl_module)
                raise

    def _stopped(self, step: int) -> BudgetSpent | Interrupted | None:
        """Why training ends with this step, if it does; of several processes the first says so to the others."""
        where = f"after step {step} of {self.settings.steps}, which is saved; run the same command to go on from there"
        reason: BudgetSpent | Interrupted | None = None
        if self.meter is not None and self.meter.passes(2 * self.longest):
            reason = BudgetSpent(f"training stopped for the budget ({self.meter.words()}) {where}, with a new budget")
        elif self.stop.requested:
            reason = Interrupted(f"training was interrupted {where}")
        return self.rank.told(reason)

    def _look(self, trainer: Trainer, module: LoraTraining) -> int:
        """Check and log the losses of the steps since the last look; returns how many these are."""
        losses = module.collect_losses()
        now = time.monotonic()
        self.longest, self.looked = max(self.longest, now - self.looked), now
        for step in range(self.logged, len(losses)):
            if not math.isfinite(losses[step]):
                raise _not_finite("the loss", step + 1, self.settings, self.writer)
            rate = self.settings.learning_rate * learning_rate_factor(self.settings, step)
            for logger in trainer.loggers:
                logger.log_metrics({"loss": losses[step], "learning_rate": rate}, step + 1)
        seen, self.logged = len(losses) - self.logged, len(losses)
        return seen

    def _save(self, module: LoraTraining) -> None:
        if not self.rank.is_first:
            return
        if not all(bool(parameter.isfinite().all()) for parameter in module.trained):
            raise _not_finite("the LoRA", len(module.losses), self.settings, self.writer)
        self.writer.save(module.checkpoint)


def _not_finite(what: str, step: int, settings: Train, writer: Writer) -> InputError:
    writer.wait()
    files = writer.checkpoints.files()
    kept = f"; the last good checkpoint is {files[-1]}" if files else "; no checkpoint was saved before"
    return InputError(
        f"{what} is not finite at step {step} of {settings.steps}{kept}. "
        f"Lower train.learning_rate (now {settings.learning_rate:g}) or train.alpha, or set train.precision to float32"
    )


def fit(
    job: Job,
    module: LoraTraining,
    plan: TrainPlan,
    checkpoints: Checkpoints,
    sampler: Sampler | None = None,
    rank: Rank | None = None,
) -> list[float]:
    """Train from the module's start to the last step; returns the loss of every step.

    With a rank, several processes are in this function at once; only the first saves, logs and draws.

    Raises InputError where the loss is not finite, Interrupted on Ctrl-C or SIGTERM, OutsideError on a full disk.
    """
    settings, rank = job.story.train, rank or Rank()
    if module.start == settings.steps:
        return module.losses
    rank.meet()  # here and not in the collective library, which does not hear that another has ended
    batches = range(module.start * settings.accumulation, settings.steps * settings.accumulation)
    with (
        held() as stop,
        job.report.progress("train", settings.steps, module.start) as advance,
        quiet_lightning(),
        memory.arithmetic(),
        writing(checkpoints, settings.keep) as writer,
    ):
        keeper = Keeper(job, writer, advance, stop, sampler, rank)
        trainer = _trainer(job, plan, keeper, module, rank)
        # A step's number is the whole batch: batch_size=None hands it on as it is.
        trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
        if rank.is_first and "swanlab" in settings.log:
            import swanlab

            swanlab.finish()  # the logger does so only after an error; in here, as it puts a handler of signals back
    return module.collect_losses()


def precision(plan: TrainPlan, network: Network) -> Precision:
    """What Lightning is to see to: the merged network brings everything to its dtype itself."""
    if plan.dtype == "float16":
        return "16-mixed"
    return "bf16-mixed" if plan.dtype == "bfloat16" and isinstance(network, Plain) else "32-true"


def _trainer(job: Job, plan: TrainPlan, keeper: Keeper, module: LoraTraining, rank: Rank) -> Trainer:
    settings, run = job.story.train, job.run
    trainer = Trainer(
        accelerator="gpu" if job.device == "cuda" else "cpu",
        devices=rank.count,
        strategy=strategy(rank, job.device),
        use_distributed_sampler=False,
        precision=precision(plan, module.network),
        max_epochs=1,
        accumulate_grad_batches=settings.accumulation,
        gradient_clip_val=settings.max_grad_norm,
        deterministic=settings.deterministic,
        logger=(rank.is_first and loggers(settings, run, keeper.writer.checkpoints.fingerprint, module.start)) or False,
        callbacks=[keeper],
        plugins=[Environment(rank)],
        default_root_dir=run.train,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    # Before every step all processes would ask the first whether it was told to end, which waits for their devices:
    # on two GPUs a fifth of the time. `Keeper` asks over a line that no device has a part in.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer
