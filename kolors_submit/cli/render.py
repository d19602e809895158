"""`kolors-submit render STORY`: the panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import computed, open_job, placed, reporter, said, story_argument


@click.command("render", short_help="Render the story's panels.")
@story_argument
@placed
@computed
@said
@click.pass_obj
def command(answer: Answer, /, story: Path, quiet: bool, **place: Any) -> None:
    """Render the story's panels with the trained LoRA; only those that changed."""
    from kolors_submit import submission

    job = open_job(answer, reporter(quiet), story, place)
    answer.metrics["worked"] = submission.run_stage(job, "render")
    answer.outputs["render"] = job.run.render
