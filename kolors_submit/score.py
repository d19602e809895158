"""The score stage: every panel's aesthetic score, how well they belong together, and the gate they have to pass."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from kolors_submit import weights
from kolors_submit.decoders import UNSOUND, open_picture
from kolors_submit.engine.memory import on_gpu_or_cpu
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import digest, file_digest, read_json, write_json
from kolors_submit.metrics.coherence import coherence
from kolors_submit.metrics.predictor import predictor_digest, score_pictures
from kolors_submit.metrics.tower import features
from kolors_submit.report import Reporter
from kolors_submit.run import Job

NAME, FORMAT = "score", 3
FORMAT_WITHOUT_COHERENCE = 1
"""Of the scores of any folder, whose pictures need not belong together."""
MAX_PIXELS = 100_000_000
DECIMALS = 6
"""Scores are kept to this many decimals; the predictor itself is good to fewer."""


class BelowGate(RuleError):
    """Panels that were scored, and that the story's gate does not let pass; scores.json says by how much."""


def score(job: Job) -> bool:
    """Score the rendered panels and compare them, write scores.json, and hold it to the story's gate.

    True if anything was computed. Raises BelowGate below a threshold (scores.json is written all the same, and the
    next call says so again from the record), InputError where a panel is not rendered, OutsideError where there is no
    predictor.
    """
    name, folder = weights.find_predictor(job.base)
    tower_name, tower = weights.find_tower(job.base)
    panels = _panels(job)
    predictor = {"name": name, "digest": _digest(job.base, folder)}
    inputs = {
        "panels": {path.name: file_digest(path) for path in panels},
        "predictor": predictor,
        "features": {"name": tower_name, "digest": _digest(job.base, tower)},
        "gate": job.story.gate.model_dump(mode="json"),
    }
    stage = job.run.stage(NAME, FORMAT)
    done = stage.is_done(inputs)
    if not done:
        job.report.stage(NAME, ", ".join(stage.changes(inputs)))
        start = time.monotonic()
        values = _measure(folder, panels, job.report, job.device)
        summary = _summary(predictor, panels, values, job.story.gate.threshold)
        seen = on_gpu_or_cpu(
            job.device, "comparing", lambda where: list(features(tower, panels, where)), job.report.note
        )
        figures = coherence(panels, seen, job.story.gate.coherence)
        summary |= {"format": FORMAT, "coherence": {"features": inputs["features"], **figures}}
        write_json(job.run.scores, summary)
        stage.finish(inputs, [job.run.scores], time.monotonic() - start)
    scores = read_json(job.run.scores)
    said = f"mean {scores['mean']:.3f}, minimum {scores['minimum']:.3f} by {name}; {_said(scores['coherence'])}"
    job.report.stage(NAME, f"nothing to do ({said})" if done else said, done=True)
    _gate(scores, job)
    return not done


def score_folder(folder: Path, predictor: tuple[str, Path], report: Reporter, device: str = "cpu") -> dict[str, Any]:
    """Score every picture that lies in a folder, as the contest does, naming and leaving out what is no picture.

    The result is scores.json's value without a threshold. Raises InputError where there is no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name one with pictures in it")
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.iterdir()):
        (pictures if _is_picture(path) else others).append(path)
    if others:
        report.note(f"left out, not readable as pictures: {', '.join(path.name for path in others)}")
    if not pictures:
        raise InputError(f"{folder} holds no readable picture")
    name, where = predictor
    values = _measure(where, pictures, report, device)
    return _summary({"name": name, "digest": predictor_digest(where)}, pictures, values, None)


def _panels(job: Job) -> list[Path]:
    paths = [job.run.panel(number) for number in range(1, len(job.story.panels) + 1)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{job.run.render} lacks {', '.join(missing)}; run `kolors-submit render` first")
    return paths


def _digest(base: weights.Base, folder: Path) -> str:
    """The predictor's digest; for a base's own one without reading its files again."""
    if folder != base.predictor:
        return predictor_digest(folder)
    own = {key: sha for key, sha in base.digests.items() if key.startswith("predictor/")}
    return digest({key.removeprefix("predictor/"): sha for key, sha in own.items()})


def _measure(folder: Path, pictures: Sequence[Path], report: Reporter, device: str) -> list[float]:
    def measured(where: str) -> list[float]:
        values: list[float] = []
        with report.progress(NAME, len(pictures)) as advance:
            for value in score_pictures(folder, pictures, where):
                if not math.isfinite(value):
                    raise InputError(
                        f"the predictor in {folder} gives {value} for {pictures[len(values)]}; its weights are damaged"
                    )
                values.append(round(value, DECIMALS))
                advance(1, f"{value:.3f}")
        return values

    return on_gpu_or_cpu(device, "scoring", measured, report.note)


def _summary(
    predictor: dict[str, str], pictures: Sequence[Path], values: Sequence[float], threshold: float | None
) -> dict[str, Any]:
    """The value of scores.json; the mean is over every picture, as the contest's is."""
    mean = round(fmean(values), DECIMALS)
    return {
        "format": FORMAT_WITHOUT_COHERENCE,
        "predictor": predictor,
        "threshold": threshold,
        "mean": mean,
        "minimum": min(values),
        "passed": None if threshold is None else mean >= threshold,
        "panels": [
            {"number": number, "file": path.name, "score": value}
            for number, (path, value) in enumerate(zip(pictures, values, strict=True), start=1)
        ],
    }


def _gate(scores: dict[str, Any], job: Job) -> None:
    """Raises BelowGate where the mean is below the threshold, naming the panels that pull it down."""
    if scores["passed"]:
        _coherence_gate(scores["coherence"])
        return
    threshold = scores["threshold"]
    rows = [(panel["file"], panel["score"], panel["score"] - threshold) for panel in scores["panels"]]
    job.report.table(f"scores by {scores['predictor']['name']}", ("panel", "score", "above the threshold"), rows)
    low = sorted((panel for panel in scores["panels"] if panel["score"] < threshold), key=lambda panel: panel["score"])
    named = ", ".join(f"{panel['number']} ({panel['score']:.3f})" for panel in low)
    explore = f"kolors-submit explore {job.typed} --panels {','.join(str(panel['number']) for panel in low)}"
    raise BelowGate(
        f"the mean score {scores['mean']:.3f} is below the threshold {threshold:g}; pulled down by panel {named}. "
        f"Look at them in {job.run.render}, then try other seeds (`{explore}`) or prompts for them, or train longer"
    )


def _said(coherence: dict[str, Any]) -> str:
    """The panels' coherence in a few words."""
    outlier = coherence["outlier"]
    return f"coherence {coherence['mean']:.3f}" + (f", panel {outlier} stands out" if outlier else "")


def _coherence_gate(coherence: dict[str, Any]) -> None:
    """Raises BelowGate where the panels are less alike than the story's own gate asks."""
    if coherence["passed"] is False:
        raise BelowGate(
            f"{_said(coherence)}; the story's gate.coherence is {coherence['threshold']:g}. Try another seed for the "
            "panel that fits least (`kolors-submit explore`), or words that fix the style in style.suffix"
        )


def _is_picture(path: Path) -> bool:
    """Whether the file can be read whole, by one of the decoders allowed and within a bound on its size."""
    try:
        with open_picture(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return False
            picture.load()
    except UNSOUND:
        return False
    return True
