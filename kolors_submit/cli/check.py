"""`kolors-submit check BUNDLE`: every rule, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer, problem
from kolors_submit.cli.named import named_bundle
from kolors_submit.cli.options import placed, reporter, said


@click.command("check", short_help="Check a bundle against every rule.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--story", type=click.Path(path_type=Path), help="Check the bundle in this story's run folder.")
@placed
@said
@click.pass_obj
def command(answer: Answer, /, bundle: Path | None, story: Path | None, quiet: bool, **place: Any) -> None:
    """Check anybody's bundle (a folder or a zip file) against every rule of the contest and report all findings."""
    from kolors_submit.bundle.check import RULES, check_bundle

    report = reporter(quiet)
    path, _ = named_bundle(answer, report, bundle, story, place)
    findings = check_bundle(path, report)
    answer.metrics |= {"rules": len(RULES), "findings": len(findings)}
    answer.problems += [problem(finding) for finding in findings if finding.level != "ok"]
