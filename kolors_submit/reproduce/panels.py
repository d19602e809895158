"""The entry's panels beside those rendered here: compared, scored, and drawn side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kolors_submit import weights
from kolors_submit.bundle import layout
from kolors_submit.bundle.opened import Opened
from kolors_submit.errors import OutsideError
from kolors_submit.files import file_digest, write_bytes
from kolors_submit.metrics.predictor import predictor_digest, score_pictures
from kolors_submit.reproduce.pictures import Difference, compare
from kolors_submit.reproduce.verdict import CLAIM, Panel, Scores, judge
from kolors_submit.run import Job

Claims = Mapping[int, Scores]


def compare_panels(
    job: Job, opened: Opened, numbers: Sequence[int], limits: Mapping[str, float]
) -> tuple[list[Panel], Claims]:
    """Each panel of the job compared with the entry's of that number; and every panel's scores."""
    pairs = [
        (number, opened.folder / layout.panel_file(number), job.run.panel(i)) for i, number in enumerate(numbers, 1)
    ]
    pixels = {number: compare(theirs, ours) for number, theirs, ours in pairs}
    claims = _scores(job, opened, pairs, pixels)
    panels = []
    for (number, theirs, ours), panel in zip(pairs, job.story.panels, strict=True):
        same = theirs.is_file() and file_digest(theirs) == file_digest(ours)
        verdict = judge(same, pixels[number], claims[number], limits)
        panels.append(Panel(number, panel.scene, layout.panel_file(number), verdict, pixels[number], claims[number]))
    return panels, claims


def false_scores(claims: Claims) -> list[str]:
    """Claimed scores that the same predictor does not give for the entry's own pictures, in a sentence each."""
    found = []
    for number, scores in claims.items():
        if scores.claimed is not None and scores.theirs is not None and abs(scores.claimed - scores.theirs) > CLAIM:
            found.append(
                f"scores: {layout.SCORES} claims {scores.claimed:.3f} for panel {number}; its picture scores "
                f"{scores.theirs:.3f} by the same predictor"
            )
    return found


def write_sheet(path: Path, job: Job, folder: Path, panels: Sequence[Panel]) -> Path:
    """The entry's panels and ours in pairs, in one JPEG; where the entry's is no such picture, ours alone."""
    from kolors_submit.sheet import story_sheet

    pictures, captions = [], []
    for position, panel in enumerate(panels, start=1):
        if panel.pixels is not None:
            pictures.append(folder / panel.file)
            captions.append(f"{panel.scene} · panel {panel.number} of the entry")
        pictures.append(job.run.panel(position))
        captions.append(f"panel {panel.number} here: {panel.verdict}")
    return write_bytes(path, story_sheet(pictures, captions, job.story.title, job.story.team))


def _scores(
    job: Job, opened: Opened, pairs: Sequence[tuple[int, Path, Path]], pixels: Mapping[int, Difference | None]
) -> dict[int, Scores]:
    """Scores of the pictures that can be compared; nothing is measured where the entry's predictor is not here."""
    claimed = _claimed(opened.scores)
    folder = _predictor(job, opened)
    if folder is None:
        return {number: Scores(claimed.get(number), None, None) for number, _, _ in pairs}
    theirs = [path for number, path, _ in pairs if pixels[number] is not None]
    paths = [*theirs, *(ours for _, _, ours in pairs)]
    values = dict(zip(paths, score_pictures(folder, paths, job.device), strict=True))
    rounded = {path: round(value, 6) for path, value in values.items()}
    return {number: Scores(claimed.get(number), rounded.get(path), rounded[ours]) for number, path, ours in pairs}


def _predictor(job: Job, opened: Opened) -> Path | None:
    """The predictor that the entry was scored by, or None (and a word about it) where it is not here."""
    predictor = (opened.scores or {}).get("predictor")
    wanted = predictor.get("digest") if isinstance(predictor, dict) else None
    try:
        name, folder = weights.find_predictor(job.base)
    except OutsideError as error:
        job.report.note(f"scores are not compared: {error}")
        return None
    if predictor_digest(folder) != wanted:
        job.report.note(f"scores are not compared: the entry was scored by another predictor than {name}")
        return None
    return folder


def _claimed(scores: dict[str, Any] | None) -> dict[int, float]:
    """Panel number -> claimed score, as far as scores.json has sound ones."""
    panels = (scores or {}).get("panels")
    found = {}
    for panel in panels if isinstance(panels, list) else []:
        number, score = (panel.get("number"), panel.get("score")) if isinstance(panel, dict) else (None, None)
        if isinstance(number, int) and isinstance(score, int | float) and math.isfinite(score):
            found[number] = float(score)
    return found
