"""`kolors-submit submission STORY`: everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer, problem
from kolors_submit.cli.options import computed, open_job, placed, reporter, said, story_argument


@click.command("submission", short_help="Everything: data, training, panels, score, bundle, check.")
@story_argument
@placed
@computed
@said
@click.pass_obj
def command(answer: Answer, /, story: Path, quiet: bool, **place: Any) -> None:
    """Make a story's entry: data, training, panels, score, bundle and check, in order.

    STORY is a story file such as stories/watercolor.yaml. What is already done is not done again.
    """
    from kolors_submit import submission
    from kolors_submit.bundle.check import CheckError
    from kolors_submit.score import BelowGate

    job = open_job(answer, reporter(quiet), story, place)
    made = {"lora": job.run.lora, "scores": job.run.scores}
    try:
        done = submission.submission(job)
    except (BelowGate, CheckError) as error:
        answer.metrics |= submission.summary(job.run)
        answer.outputs |= made if isinstance(error, BelowGate) else made | {"bundle": job.run.bundle}
        raise
    answer.metrics |= done.figures
    answer.outputs |= made | {"bundle": job.run.bundle}
    answer.problems += [problem(warning) for warning in done.warnings]
