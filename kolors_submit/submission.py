"""All stages in order, in one process that holds the run folder, and one stage by itself."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.base_names import KOLORS, NAMED
from kolors_submit.device import find_device
from kolors_submit.errors import InputError
from kolors_submit.files import read_json
from kolors_submit.meter import make_meter
from kolors_submit.owner import claim, refuse_others
from kolors_submit.run import STAGES, Job, Run, run_folder
from kolors_submit.stale import refuse_stale
from kolors_submit.story import Story, load_story, oversized, refuse_unfilled, replaced_source
from kolors_submit.train import SLOW_IMPORTS
from kolors_submit.weights import find_base, side_of

if TYPE_CHECKING:
    from kolors_submit.bundle.finding import Finding
    from kolors_submit.report import Reporter
    from kolors_submit.weights.download import Ask


@dataclass(frozen=True)
class Place:
    """Which story, on which base, in which run folder: what the command line gives every stage."""

    story: Path
    base: str = "auto"
    runs: Path = Path("runs")
    settings: tuple[str, ...] = ()
    name: str | None = None
    device: str = "auto"
    yes: bool = False
    vram: float | None = None
    price: float | None = None
    budget: float | None = None

    def typed(self) -> str:
        """The story and what leads to its run folder, as they are typed after a verb."""
        words = [str(self.story)]
        words += ["--base", self.base] if self.base != "auto" else []
        words += ["--runs", str(self.runs)] if self.runs != Path("runs") else []
        words += ["--name", self.name] if self.name else []
        return shlex.join(words + [word for setting in self.settings for word in ("--set", setting)])


def open_job(place: Place, report: Reporter, ask: Ask | None = None) -> Job:
    """Check the story, find base and device, and resolve the story for that base.

    Raises StoryError with every problem, before any download; InputError and OutsideError as `find_base`; InputError
    where the run folder is another story's.
    """
    if place.settings and not place.name:
        report.note("--set without --name changes this story's usual run folder; --name r32 would keep both")
    meter = make_meter(place.price, place.budget)
    written = _refuse_call(place)
    device = find_device(place.device)
    base = find_base(place.base, report, place.device, ask, place.yes)
    story = load_story(place.story, base.name, place.settings)
    run = run_folder(place.runs, place.story, base.name, place.name)
    refuse_others(run, place.story)
    report = dataclasses.replace(report, meter=meter)
    return Job(story, base, run, device, report, place.vram, place.story, written, typed=place.typed())


def find_bundle(place: Place, report: Reporter, ask: Ask | None = None) -> Run:
    """The run folder whose bundle is meant, Kolors' before the picture book's; says which.

    Neither a GPU nor Kolors' weights are needed to look at what was made with them. Raises StoryError, and InputError
    where there is no bundle.
    """
    _refuse_call(place)
    if place.base in ("auto", *NAMED):
        bases = NAMED if place.base == "auto" else (place.base,)
        runs = [run_folder(place.runs, place.story, base, place.name) for base in bases]
    else:
        runs = [open_job(place, report, ask).run]
    there = [run for run in runs if run.bundle.is_dir()]
    if not there:
        where = " or ".join(str(run.bundle) for run in runs)
        raise InputError(f"{where} does not exist; run `kolors-submit submission {place.typed()}` first")
    report.say(f"bundle  {there[0].bundle}")
    return there[0]


@dataclass(frozen=True)
class Finished:
    """A submission whose bundle passes the check: the summary's figures, and what the check warns of."""

    figures: dict[str, Any]
    warnings: Sequence[Finding]


def submission(job: Job) -> Finished:
    """Run every stage that has something to do, then check the bundle.

    Raises what a stage raises: BelowGate, and CheckError where the check fails.
    """
    refuse_unfilled(job.story, job.story_file)
    job = dataclasses.replace(job, ahead=SLOW_IMPORTS)
    with job.run.hold("submission"):
        claim(job)
        for stage in _STAGES.values():
            stage(job)
        warnings = [finding for finding in check(job) if finding.level == "warn"]
    figures = summary(job.run)
    if job.report.meter:
        figures["cost"] = round(job.report.meter.spent(), 4)
    _say_summary(job, figures)
    return Finished(figures, warnings)


def run_stage(job: Job, name: str) -> bool:
    """One stage by itself; True if anything was done.

    Raises InputError where an earlier one has not been run, or not since the story changed.
    """
    if name not in _WITHOUT_WORDS:
        refuse_unfilled(job.story, job.story_file)
    with job.run.hold(name):
        claim(job)
        refuse_stale(job, STAGES[: STAGES.index(name)])
        worked = _STAGES[name](job)
    if worked and job.report.meter:
        job.report.stage("cost", job.report.meter.words())
    return worked


def check(job: Job) -> list[Finding]:
    """Hold the bundle of a job to every rule; raises CheckError with the findings."""
    from kolors_submit.bundle.check import check_bundle

    return check_bundle(job.run.bundle, job.report)


def summary(run: Run) -> dict[str, Any]:
    """Score and the seconds each stage took when it last ran: the `metrics` of --json."""
    figures: dict[str, Any] = {}
    scores = read_json(run.scores)
    if isinstance(scores, dict):
        figures |= {key: scores.get(key) for key in ("mean", "minimum", "threshold", "passed", "predictor")}
        coherence = scores.get("coherence") or {}
        figures["coherence"] = {key: coherence.get(key) for key in ("mean", "outlier")}
    figures["seconds"] = {name: run.stage(name).seconds() for name in STAGES}
    return figures


def _say_summary(job: Job, figures: dict[str, Any]) -> None:
    """The last lines: what was made, and what to do next."""
    say = job.report.stage
    say("story", f"{job.story.title}, on {job.base.name} ({job.base.digest[:12]})")
    if "mean" in figures:
        by = (figures["predictor"] or {}).get("name", "?")
        say("score", f"{figures['mean']:.3f} by {by}; the gate is {figures['threshold']:g}")
    took = [f"{name} {value:.0f} s" for name, value in figures["seconds"].items() if value is not None]
    say("time", f"{', '.join(took)}, each as it was last called")
    if job.report.meter:
        say("cost", job.report.meter.words())
    say("bundle", str(job.run.bundle))
    page = job.run.bundle / "index.html"
    if job.base.name == KOLORS:
        say("next", f"open {page} and look at the panels, then publish the bundle")
    else:
        say("next", f"open {page}; this is a demonstration, a contest entry is made on a GPU with --base kolors")


def _refuse_call(place: Place) -> Story:
    """The story as it is written; raises StoryError for its problems, InputError for a name that no folder can have."""
    if place.name is not None and not _is_plain(place.name):
        raise InputError(f"--name {place.name}: use letters, digits, dots, dashes and underscores")
    return load_story(place.story, settings=place.settings)


def _is_plain(name: str) -> bool:
    return bool(name) and name[0].isalnum() and all(char.isalnum() or char in "._-" for char in name)


def _data(job: Job) -> bool:
    from kolors_submit.data import prepare

    replaced = job.written and replaced_source(job.written, job.story, job.base.name)
    if replaced:
        job.report.note(replaced)
    for too_large in oversized(job.story, job.base.name, side_of(job.base.folder)):
        job.report.note(too_large)
    return prepare(job)


def _train(job: Job) -> bool:
    from kolors_submit.train import train

    return train(job)


def _render(job: Job) -> bool:
    from kolors_submit.before import render_before
    from kolors_submit.render import render

    return any([render(job), render_before(job)])


def _score(job: Job) -> bool:
    from kolors_submit.score import score

    return score(job)


def _bundle(job: Job) -> bool:
    from kolors_submit.bundle.pack import pack

    return pack(job)


_STAGES: dict[str, Callable[[Job], bool]] = dict(zip(STAGES, (_data, _train, _render, _score, _bundle), strict=True))
"""By name, in the order in which they run; each is imported when it is called."""

_WITHOUT_WORDS = ("data", "train")
"""Stages that a style needs and that no panel's words go into: a story may be unfinished there."""
