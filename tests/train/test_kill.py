"""SIGKILL at random moments and inside saves: the finished run has the bytes of an unbroken one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from kolors_submit.run import Run
from tests.train.jobs import make_job, results

# One process imports everything once; each run is forked from it.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["kolors_submit.train.stage", "tests.train.jobs"])


def run_training(folder: Path, base: Path, die_at: int | None = None) -> None:
    """Train; with `die_at` the process kills itself inside the save of that number."""
    from kolors_submit.train import train

    saves = 0
    real = os.fsync

    def fatal(file: int) -> None:
        nonlocal saves
        saves += 1
        if saves == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    os.fsync = fatal
    job = make_job(folder, base, save_every=1)
    with job.run.hold("train"):
        train(job)


def start(folder: Path, base: Path, die_at: int | None = None) -> ForkServerProcess:
    process = SERVER.Process(target=run_training, args=(folder, base, die_at))
    process.start()
    return process


def test_killed_inside_saves(unbroken: Run, tiny_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_job(folder, tiny_base)
    # Inside embeddings, latents and checkpoints, 15 saves in all; then inside each of the five that end the stage.
    for die_at in (1, 3, 5, 4, 3, 4, 2, 1, 2, 3, 4, 5):
        process = start(folder, tiny_base, die_at)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert not results(Run(folder))
    process = start(folder, tiny_base)
    process.join()
    assert process.exitcode == 0
    assert results(Run(folder)) == results(unbroken)
    assert not list(folder.rglob("*.partial"))


@pytest.mark.slow
def test_killed_at_random_moments(unbroken: Run, tiny_base: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    warm = SERVER.Process(target=os.getpid)  # the server imports first, which is not part of a run's length
    warm.start()
    warm.join()
    begun = time.monotonic()
    process = start(tmp_path / "timed", tiny_base)
    process.join()
    length = time.monotonic() - begun  # in seconds, on this machine
    folder = tmp_path / "run"
    make_job(folder, tiny_base)
    kills = 0
    for _ in range(60):
        process = start(folder, tiny_base)
        process.join(chance.uniform(0.1, 0.3) * length)  # so no run ends before it was killed three times
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        elif process.exitcode == 0:
            break
    else:  # a machine so busy that no attempt came to its end
        process = start(folder, tiny_base)
        process.join()
        assert process.exitcode == 0
    assert kills >= 3
    assert results(Run(folder)) == results(unbroken)
