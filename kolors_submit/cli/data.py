"""`kolors-submit data STORY`: the training pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import open_job, placed, reporter, said, story_argument


@click.command("data", short_help="Fetch, filter and crop the training pictures.")
@story_argument
@placed
@said
@click.pass_obj
def command(answer: Answer, /, story: Path, quiet: bool, **place: Any) -> None:
    """Fetch, filter and crop the training pictures, and say what was dropped and why."""
    from kolors_submit import submission

    job = open_job(answer, reporter(quiet), story, place)
    answer.metrics["worked"] = submission.run_stage(job, "data")
    answer.outputs["data"] = job.run.data
