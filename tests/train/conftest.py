"""One unbroken run for all tests to compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kolors_submit.run import Job, Run
from kolors_submit.train import train
from tests.train.jobs import make_job


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Run:
    """The run folder of `jobs.TRAIN`, trained in one go."""
    job = make_job(tmp_path_factory.mktemp("unbroken"), tiny_base)
    assert train(job)
    return job.run


NewJob = Callable[..., Job]


@pytest.fixture
def new_job(unbroken: Run, tiny_base: Path, tmp_path: Path) -> NewJob:
    """Makes jobs in folders of their own, with the unbroken run's latents and embeddings to be quick."""

    def make(name: str = "run", **train: object) -> Job:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(unbroken.cache, folder / "cache")
        return make_job(folder, tiny_base, **train)

    return make
