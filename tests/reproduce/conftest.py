"""An entry that was really made, on the tiny base; and a hub for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from kolors_submit import submission
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request, reproduce
from tests.hub.conftest import hub  # noqa: F401 - a fixture
from tests.pipeline import story_values, write_pictures, write_story


@dataclass(frozen=True)
class Made:
    """A bundle and what is needed to reproduce it."""

    bundle: Path
    base: Path
    out: Path
    pictures: Path

    def reproduce(self, source: str | Path | None = None, **options) -> dict:
        """Reproduce it, or another source, on the tiny base."""
        chosen = {"base": str(self.base), "device": "cpu", "out": self.out, **options}
        return reproduce(Request(str(source or self.bundle), **chosen), quiet())


@pytest.fixture(scope="session")
def made_once(tiny_base, tmp_path_factory) -> Path:
    """The bundle of a submission on the tiny base; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    values = story_values(write_pictures(folder / "pictures"))
    values["submission"] = {"repository": "alice/Rainy-Day"}
    values["train"] |= {"learning_rate": 0.05}
    # Nothing to filter, so that the data can be rebuilt without waiting for Data-Juicer to start.
    values["dataset"]["filters"] |= {"shape": None, "aspect_ratio": None, "exact_duplicates": False}
    story = write_story(folder / "story.yaml", values)
    place = submission.Place(story=story, base=str(tiny_base), runs=folder / "runs", device="cpu")
    job = submission.open_job(place, quiet())
    submission.submission(job)
    return job.run.bundle


@pytest.fixture
def made(made_once, tiny_base, tmp_path) -> Made:
    """A copy of the entry that a test may tamper with."""
    pictures = made_once.parents[3] / "pictures"
    return Made(shutil.copytree(made_once, tmp_path / "entry" / "bundle"), tiny_base, tmp_path / "out", pictures)
