"""`kolors-submit score STORY` or `--images DIR`: the aesthetic score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.named import refuse_place
from kolors_submit.cli.options import open_job, placed, reporter, said
from kolors_submit.errors import InputError

if TYPE_CHECKING:
    from kolors_submit.run import Run


@click.command("score", short_help="Score the panels, or any folder of pictures.")
@click.argument("story", required=False, type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="Score every picture in this folder instead.")
@click.option("--predictor", type=click.Path(path_type=Path), help="Folder of another predictor, with --images.")
@placed
@said
@click.pass_obj
def command(
    answer: Answer, /, story: Path | None, images: Path | None, predictor: Path | None, quiet: bool, **place: Any
) -> None:
    """Score the panels and check their mean against the story's gate, or score any folder as the contest does."""
    from kolors_submit import submission
    from kolors_submit.score import BelowGate

    if (story is None) == (images is None):
        raise click.UsageError("name a story, or a folder with --images")
    if predictor is not None and images is None:
        raise click.UsageError("--predictor goes with --images; a story is scored by its base's predictor")
    report = reporter(quiet)
    if images is not None:
        refuse_place("the pictures of --images are scored as they are", allowed=("--device",))
        if not images.is_dir():
            raise InputError(f"--images {images}: no such folder")
        if predictor is not None and not predictor.is_dir():
            raise InputError(f"--predictor {predictor}: no such folder")
        from kolors_submit.device import find_device
        from kolors_submit.score import score_folder
        from kolors_submit.weights import find_predictor

        chosen = (predictor.resolve().name, predictor) if predictor is not None else find_predictor()
        scores = score_folder(images, chosen, report, find_device(place["device"]))
        report.table(
            f"scores by {chosen[0]}", ("picture", "score"), [(p["file"], p["score"]) for p in scores["panels"]]
        )
        report.say(f"mean {scores['mean']:.3f}, minimum {scores['minimum']:.3f}, by {chosen[0]}")
        answer.metrics |= scores
        return
    assert story is not None
    job = open_job(answer, report, story, place)
    try:
        answer.metrics["worked"] = submission.run_stage(job, "score")
    except BelowGate:
        _tell(answer, job.run)
        raise
    _tell(answer, job.run)


def _tell(answer: Answer, run: Run) -> None:
    """Scores that are there, whether they pass or not."""
    from kolors_submit import submission

    answer.metrics |= submission.summary(run)
    answer.outputs["score"] = run.scores
