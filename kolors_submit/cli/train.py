"""`kolors-submit train STORY`: the LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import computed, open_job, placed, reporter, said, story_argument


@click.command("train", short_help="Train the LoRA.")
@story_argument
@placed
@computed
@said
@click.pass_obj
def command(answer: Answer, /, story: Path, quiet: bool, **place: Any) -> None:
    """Train the LoRA on the prepared pictures; after an interruption the same command continues."""
    from kolors_submit import submission

    job = open_job(answer, reporter(quiet), story, place)
    answer.metrics["worked"] = submission.run_stage(job, "train")
    answer.outputs["train"] = job.run.train
