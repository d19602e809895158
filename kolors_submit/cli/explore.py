"""`kolors-submit explore STORY`: candidates for each panel, and the choice written back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import Finite, Listed, open_job, placed, reporter, said, story_argument

if TYPE_CHECKING:
    from kolors_submit.report import Reporter


@click.command("explore", short_help="Try seeds and settings, choose, and write the seeds back.")
@story_argument
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(1, 1000), help="Candidates per panel.")
@click.option("--panels", default=(), type=Listed(click.IntRange(1)), metavar="N,N", help="Only these panels.")
@click.option(
    "--lora-strength", "strengths", default=(), type=Listed(Finite(-4, 4)), metavar="X,X", help="Strengths to try."
)
@click.option(
    "--checkpoints",
    default=(),
    type=Listed(click.IntRange(1), "last"),
    metavar="last,N",
    help="Training checkpoints to try, by step; last is the finished LoRA.",
)
@click.option("--steps", default=(), type=Listed(click.IntRange(1, 1000)), metavar="N,N", help="Sampling steps to try.")
@click.option(
    "--apply",
    "picks",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the seeds of this picks.json into the story.",
)
@click.option("--pick", type=click.Choice(["best"]), help="Explore, then write the best candidates' seeds.")
@placed
@said
@click.pass_obj
def command(
    answer: Answer,
    /,
    story: Path,
    seeds: int,
    panels: tuple[int, ...],
    strengths: tuple[float, ...],
    checkpoints: tuple[int | str, ...],
    steps: tuple[int, ...],
    picks: Path | None,
    pick: str | None,
    quiet: bool,
    **place: Any,
) -> None:
    """Render each panel with several seeds (and strengths, checkpoints, steps), measured and laid out in one page.

    The page saves picks.json; --apply writes its seeds into the story file, where nothing else changes.
    """
    from kolors_submit import explore
    from kolors_submit.files import file_digest
    from kolors_submit.stale import refuse_stale

    if picks is not None and (pick or panels or strengths or checkpoints or steps):
        raise click.UsageError("--apply writes what was chosen and explores nothing; leave explore's other options out")
    # Before the story is read, so that an edit from here on is noticed.
    digest = file_digest(story) if story.is_file() else ""
    report = reporter(quiet)
    job = open_job(answer, report, story, place)
    grid = explore.Grid(seeds, panels, strengths, tuple(map(str, checkpoints)), steps)
    with job.run.hold("explore"):
        chosen = explore.read_picks(picks) if picks is not None else None
        if chosen is None:
            # A LoRA from elsewhere has no record here; candidates of an outdated one would be no later panel's.
            refuse_stale(job, [stage for stage in ("data", "train") if job.run.stage(stage).path.is_file()])
            explored = explore.explore(job, grid, story.name)
            answer.outputs |= explore.outputs(job)
            answer.metrics["explored"] = explored
            chosen = explore.pick_best(job, explored) if pick else None
        if chosen is not None:
            changed = explore.apply(job, story, digest, chosen)
            answer.metrics["seeds"] = {number: seed for number, (_, seed) in changed.items()}
            _say(changed, story, report)


def _say(changed: dict[int, tuple[int, int]], story: Path, report: Reporter) -> None:
    """Each panel's old and new seed."""
    for number, (before, seed) in changed.items():
        report.stage("picked", f"panel {number}: seed {seed} instead of {before}")
    report.stage("picked", f"{len(changed)} seeds written into {story}" if changed else "nothing to do", done=True)
