"""`kolors-submit doctor`: what this machine has and lacks."""

from __future__ import annotations

from pathlib import Path

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import reporter, said


@click.command("doctor", short_help="Say what this machine has and lacks.")
@click.option("--story", type=click.Path(path_type=Path), help="Also check what this story needs.")
@click.option("--base", default="auto", metavar="BASE", help="The story's base: auto, kolors, picturebook or a folder.")
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of the run folders."
)
@click.option("--offline", is_flag=True, help="Do not try to reach the hubs.")
@said
@click.pass_obj
def command(answer: Answer, /, story: Path | None, base: str, runs: Path, offline: bool, quiet: bool) -> int:
    """Check Python, packages, GPU and driver, disk, weights, token, hubs and run folders against what is needed.

    With --story also its pictures and captions. Exit status 2: the story has to be changed; 3: this machine.
    """
    from kolors_submit.doctor import examine

    findings = examine(story, runs, offline, base)
    report = reporter(quiet)
    for finding in findings:
        report.stage(finding.state, f"{finding.subject:<9} {finding.text}", done=finding.state == "ok")
    answer.metrics["findings"] = [{"state": f.state, "subject": f.subject, "text": f.text} for f in findings]
    failed = [finding for finding in findings if finding.state == "fail"]
    answer.problems += [{"text": f"{finding.subject}: {finding.text}"} for finding in failed]
    return min((finding.exit_status for finding in failed), default=0)
