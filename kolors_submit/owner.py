"""Whose a run folder is: `stories/a.yaml --name b` has the same as `stories/a-b.yaml`, or an `a-b.yaml` elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from kolors_submit.errors import InputError
from kolors_submit.files import write_text
from kolors_submit.run import Job, Run

OWNER = "story.path"
"""In a run folder, the way from there to the story's file: both may move together."""


def claim(job: Job) -> None:
    """Write down that the run folder, which is held, is the job's story's."""
    if job.story_file is None:
        return
    path, way = job.run.folder / OWNER, os.path.relpath(job.story_file.resolve(), job.run.folder.resolve())
    if not path.is_file() or path.read_text("utf-8") != way:
        write_text(path, way)


def refuse_others(run: Run, story: Path) -> None:
    """Raises InputError where the folder is that of another story file, which is still there."""
    path = run.folder / OWNER
    if not path.is_file():
        return
    other = run.folder.resolve() / path.read_text("utf-8")
    if other.is_file() and not other.samefile(story):
        whose = f"{run.folder} is the run folder of {other.resolve()}"
        raise InputError(f"{whose}; give this story another --name or --runs")
