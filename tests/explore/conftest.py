"""A story explored once, for all tests that only look."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kolors_submit.explore import Grid, explore
from kolors_submit.files import file_digest
from kolors_submit.run import Job, Run
from tests.explore.jobs import make_job, write_story


@dataclass(frozen=True)
class Explored:
    """A story file, its job, and what was explored."""

    story: Path
    job: Job
    value: dict

    @property
    def digest(self) -> str:
        """Of the story file."""
        return file_digest(self.story)


@pytest.fixture(scope="session")
def explored_once(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """Panels 2 and 3 with three seeds at two strengths; its files are not to be changed."""
    folder = tmp_path_factory.mktemp("explored")
    story = write_story(folder)
    job = make_job(story, tiny_base, folder / "run")
    return Explored(story, job, explore(job, Grid(3, (2, 3), strengths=(1.0, 0.5)), story.name))


@pytest.fixture
def explored(explored_once: Explored, tmp_path: Path) -> Explored:
    """A copy of it that a test may change."""
    story = write_story(tmp_path, explored_once.story.read_text("utf-8"))
    run = Run(shutil.copytree(explored_once.job.run.folder, tmp_path / "run"))
    return Explored(story, replace(explored_once.job, run=run), explored_once.value)
