"""SIGKILL inside every save: the finished exploration has the bytes of an unbroken one."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from kolors_submit.run import Run
from tests.explore.conftest import Explored
from tests.explore.jobs import make_job, results

# One process imports everything once; each run is forked from it.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["kolors_submit.explore", "kolors_submit.engine.draw", "aesthetics_predictor", "tests.explore.jobs"]
)


def run_exploration(story: Path, base: Path, folder: Path, die_at: int) -> None:
    """Explore; the process kills itself inside the save of that number."""
    from kolors_submit.explore import Grid, explore

    saves = 0
    real = os.fsync

    def fatal(file: int) -> None:
        nonlocal saves
        saves += 1
        if saves == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(file)

    os.fsync = fatal
    job = make_job(story, base, folder)
    with job.run.hold("explore"):
        explore(job, Grid(3, (2, 3), strengths=(1.0, 0.5)), story.name)


@pytest.mark.slow
def test_killed_inside_saves(explored: Explored, tiny_base: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "killed")
    shutil.copytree(explored.job.run.train, run.train)
    deaths = 0
    # Inside the first embedding, then each time a few saves further: pictures, their records, sheets, page, values.
    for die_at in (1, 4, 5, 6, 5, 4, 3, 4, 3, 4, 1, 2, 3, 4, 5, 0):
        process = SERVER.Process(target=run_exploration, args=(explored.story, tiny_base, run.folder, die_at))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
    assert deaths >= 10
    assert process.exitcode == 0
    assert results(run) == results(explored.job.run)
    assert not list(run.folder.rglob("*.partial"))
