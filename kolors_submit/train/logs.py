"""Training logs: what a story asks for is kept, and Lightning's own talk is not."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from kolors_submit.run import Run
from kolors_submit.story import Train


def loggers(settings: Train, run: Run, fingerprint: str, start: int) -> list[Logger]:
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
            # A graph's warm-up runs on a stream of its own, and is over before the first step.
            warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        switches.fill_uninitialized_memory = fill
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
