"""`kolors-submit bundle STORY [--zip]`: what is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import open_job, placed, reporter, said, story_argument


@click.command("bundle", short_help="Assemble what is published.")
@story_argument
@click.option("--zip", "zipped", is_flag=True, help="Also write one zip file; equal bundles give equal bytes.")
@placed
@said
@click.pass_obj
def command(answer: Answer, /, story: Path, zipped: bool, quiet: bool, **place: Any) -> None:
    """Assemble LoRA, card, panels, prompts, scores and manifest in the bundle folder."""
    from kolors_submit import submission

    report = reporter(quiet)
    job = open_job(answer, report, story, place)
    answer.metrics["worked"] = submission.run_stage(job, "bundle")
    answer.outputs["bundle"] = job.run.bundle
    if zipped:
        from kolors_submit.bundle.archive import write_zip

        with job.run.hold("bundle"):
            answer.outputs["zip"] = write_zip(job.run.bundle, job.run.folder / f"{story.stem}.zip")
        report.say(f"zip     {answer.outputs['zip']}")
