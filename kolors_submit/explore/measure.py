"""What speaks for a candidate: its aesthetic score, its agreement with the prompt, how well it fits the set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from kolors_submit import weights
from kolors_submit.decoders import open_picture
from kolors_submit.engine.memory import on_gpu_or_cpu
from kolors_submit.explore.plan import Candidate
from kolors_submit.metrics.agreement import agreement
from kolors_submit.metrics.coherence import likeness
from kolors_submit.metrics.palette import Array
from kolors_submit.metrics.predictor import predictor_digest, score_pictures
from kolors_submit.metrics.texture import texture
from kolors_submit.run import Job

DECIMALS = 4
Where = tuple[str, Path]


@dataclass(frozen=True)
class Instruments:
    """Name and folder of each model that measures; `clip` only where it is here."""

    predictor: Where
    clip: Where | None

    def facts(self) -> dict[str, dict[str, str] | None]:
        """Each one's name and digest."""
        found = {"predictor": self.predictor, "clip": self.clip}
        return {
            key: None if where is None else {"name": where[0], "digest": predictor_digest(where[1])}
            for key, where in found.items()
        }


@dataclass(frozen=True)
class Measures:
    """`score`: about 0 to 10; `agreement`: a cosine; `fit`: 0 to 1; `overall`: of all of them, see `merits`."""

    score: float
    agreement: float | None
    fit: float | None
    overall: float


def find_instruments(job: Job) -> Instruments:
    """What measures on this base, saying what is not here; raises OutsideError where there is no predictor."""
    clip = weights.find_clip(job.story.language)
    if clip is None:
        missing = weights.CLIP[job.story.language]
        job.report.say(f"prompt agreement is left out: `kolors-submit weights fetch {missing}` gets it")
    return Instruments(weights.find_predictor(job.base), clip)


def measure(
    job: Job, instruments: Instruments, candidates: Sequence[Candidate], others: Mapping[int, Path]
) -> list[Measures]:
    """Measure the candidates, whose pictures are all there; `others` are rendered panels that are not explored."""
    paths = [candidate.path for candidate in candidates]
    prompts = [candidate.prompt.positive for candidate in candidates]

    def measured(where: str) -> tuple[list[float], list[float | None], list[float | None]]:
        with job.report.progress("measure", len(paths) * (2 if instruments.clip is None else 3)) as advance:
            scores = _counted(score_pictures(instruments.predictor[1], paths, where), advance)
            agreements: list[float | None] = [None] * len(paths)
            if instruments.clip is not None:
                agreements = [*_counted(agreement(instruments.clip[1], paths, prompts, where), advance)]
            return scores, agreements, _fits(candidates, others, advance)

    scores, agreements, fits = on_gpu_or_cpu(job.device, "measuring", measured, job.report.note)
    overall = merits([candidate.panel for candidate in candidates], scores, fits, agreements)
    return [Measures(*values) for values in zip(scores, agreements, fits, overall, strict=True)]


def _counted(values: Iterable[float], advance: Callable[[], None]) -> list[float]:
    """The values, rounded, each a step of the progress bar."""
    found = []
    for value in values:
        found.append(round(value, DECIMALS))
        advance()
    return found


def _fits(
    candidates: Sequence[Candidate], others: Mapping[int, Path], advance: Callable[[], None]
) -> list[float | None]:
    """How alike a candidate is drawn to the other panels: the mean over them of the mean with their candidates.

    A panel that is not explored counts with its rendered picture. None where there is no other panel.
    """
    textures = []
    for candidate in candidates:
        textures.append(_texture(candidate.path))
        advance()
    groups: dict[tuple[str, int], list[Array]] = {}
    for candidate, own in zip(candidates, textures, strict=True):
        groups.setdefault((candidate.variant.name, candidate.panel), []).append(own)
    rendered = [np.stack([_texture(path)]) for path in others.values()]
    fits: list[float | None] = []
    for candidate, own in zip(candidates, textures, strict=True):
        variant, panel = candidate.variant.name, candidate.panel
        rest = [np.stack(group) for key, group in groups.items() if key[0] == variant and key[1] != panel]
        means = [likeness(np.sqrt(np.square(group - own).mean(axis=1))).mean() for group in (*rest, *rendered)]
        fits.append(round(fmean(means), DECIMALS) if means else None)
    return fits


def _texture(path: Path) -> Array:
    with open_picture(path) as file:
        return texture(file.convert("RGB"))


def merits(panels: Sequence[int], *measured: Sequence[float | None]) -> list[float]:
    """How far each candidate is above its panel's mean, in the measure's usual distance from it, over all measures.

    `panels` has each candidate's panel. The usual distance is that of all panels: within one, of two candidates each
    would be as far above by one measure as below by another, however large the difference.
    """
    totals: list[list[float]] = [[] for _ in panels]
    for values in measured:
        known = [(index, panels[index], value) for index, value in enumerate(values) if value is not None]
        means = {
            panel: fmean(value for _, other, value in known if other == panel)
            for panel in {panel for _, panel, _ in known}
        }
        above = {index: value - means[panel] for index, panel, value in known}
        usual = math.sqrt(fmean([value * value for value in above.values()] or [0])) or 1.0
        for index, value in above.items():
            totals[index].append(value / usual)
    return [round(fmean(total), DECIMALS) for total in totals]
