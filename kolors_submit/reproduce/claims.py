"""What an entry says its panels score, and what they score here, its own pictures and those rendered again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from kolors_submit import weights
from kolors_submit.bundle import layout
from kolors_submit.bundle.opened import Opened, figure
from kolors_submit.bundle.rules_contents import CONTEST_THRESHOLD
from kolors_submit.engine.memory import on_gpu_or_cpu
from kolors_submit.errors import OutsideError
from kolors_submit.metrics.predictor import predictor_digest, score_pictures
from kolors_submit.reproduce.pictures import is_picture
from kolors_submit.run import Job

CLAIM = 0.02
"""A claimed score may lie this far from what the same predictor gives for the same picture on another machine."""


@dataclass(frozen=True)
class Scores:
    """A panel's score as the entry claims it, and as measured here for the entry's picture and for ours."""

    claimed: float | None = None
    theirs: float | None = None
    here: float | None = None

    @property
    def difference(self) -> float | None:
        """By how much our picture's score differs from the entry's picture's."""
        return None if self.theirs is None or self.here is None else round(self.here - self.theirs, 6)

    def value(self) -> dict[str, float | None]:
        """As reproduction.json keeps it."""
        return asdict(self) | {"difference": self.difference}


@dataclass(frozen=True)
class Claims:
    """Scores of every panel of an entry by its number, also of those that are not rendered here, and their means.

    `predictor` is the name of the one that measured here, or where there is none of the one that the entry names;
    `comparable` says whether both are the same.
    """

    panels: Mapping[int, Scores]
    claimed: float | None
    predictor: str | None
    comparable: bool

    @property
    def measured(self) -> float | None:
        """Mean of all of the entry's own pictures; None where one could not be measured."""
        theirs = [scores.theirs for scores in self.panels.values() if scores.theirs is not None]
        return round(fmean(theirs), 6) if theirs and len(theirs) == len(self.panels) else None

    def value(self) -> dict[str, Any]:
        """As reproduction.json keeps it."""
        return {"claimed": self.claimed, "measured": self.measured, "predictor": self.predictor}


def measure(job: Job, opened: Opened, ours: Mapping[int, Path]) -> Claims:
    """The scores of all of an entry's pictures, and of `ours` by panel number; says where they cannot be measured."""
    assert opened.story is not None
    said = opened.scores or {}
    theirs = {number: opened.folder / layout.panel_file(number) for number in range(1, len(opened.story.panels) + 1)}
    claimed, predictor = _claimed(said), said.get("predictor")
    wanted = predictor if isinstance(predictor, dict) else {}
    try:
        name, folder = weights.find_predictor(job.base)
    except OutsideError as error:
        job.report.note(f"scores are not measured: {error}")
        panels = {number: Scores(claimed.get(number)) for number in theirs}
        return Claims(panels, figure(said.get("mean")), str(wanted.get("name"))[:100], comparable=False)
    # The contest's is one and the same, whatever digest an entry gives: a wrong one is no excuse for wrong scores.
    same_name = name == wanted.get("name") == weights.OFFICIAL_PREDICTOR
    comparable = same_name or predictor_digest(folder) == wanted.get("digest")
    if not wanted:
        job.report.note("the entry claims no scores")
    elif not comparable:
        job.report.note(f"claimed scores are not compared: the entry was scored by a predictor other than {name}")
    size = (job.story.render.width, job.story.render.height)
    sound = [path for path in theirs.values() if is_picture(path, size)]
    paths = [*sound, *ours.values()]
    values = on_gpu_or_cpu(
        job.device, "scoring", lambda where: [*score_pictures(folder, paths, where)], job.report.note
    )
    measured = {path: round(value, 6) for path, value in zip(paths, values, strict=True)}
    panels = {
        number: Scores(claimed.get(number), measured.get(path), measured[ours[number]] if number in ours else None)
        for number, path in theirs.items()
    }
    return Claims(panels, figure(said.get("mean")), name, comparable)


def false_claims(claims: Claims, opened: Opened) -> list[str]:
    """Claimed scores that the same predictor does not give, and a mean below the gate, in a sentence each."""
    found = []
    for number, scores in claims.panels.items():
        if not claims.comparable or scores.claimed is None or scores.theirs is None:
            continue
        if abs(scores.claimed - scores.theirs) > CLAIM:
            found.append(
                f"scores: {layout.SCORES} claims {scores.claimed:.3f} for panel {number}, but the same "
                f"predictor gives its picture {scores.theirs:.3f}"
            )
    assert opened.story is not None
    own = opened.story.gate.threshold
    threshold = own if opened.is_demonstration else max(own, CONTEST_THRESHOLD)
    if claims.measured is not None and claims.measured + CLAIM < threshold:
        found.append(
            f"score: {claims.predictor} gives the entry's pictures {claims.measured:.3f}; the gate is {threshold:g}"
        )
    return found


def _claimed(scores: Mapping[str, Any]) -> dict[int, float]:
    """Panel number -> claimed score, as far as scores.json has sound ones."""
    panels = scores.get("panels")
    found = {}
    for panel in panels if isinstance(panels, list) else []:
        number, score = (panel.get("number"), figure(panel.get("score"))) if isinstance(panel, dict) else (None, None)
        if isinstance(number, int) and score is not None:
            found[number] = score
    return found
