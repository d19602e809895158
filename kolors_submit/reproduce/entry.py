"""One entry: verified, rendered again with its own LoRA, prompts, seeds and settings, compared, reported."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kolors_submit.bundle import manifest
from kolors_submit.bundle.archive import open_bundle
from kolors_submit.bundle.check import CheckError, check
from kolors_submit.bundle.finding import Finding
from kolors_submit.bundle.lora import summarise
from kolors_submit.bundle.opened import Opened, open_values
from kolors_submit.device import find_device
from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path, file_digest, write_json
from kolors_submit.hub.source import HubSource, claim, parse, refuse_overlap
from kolors_submit.report import Reporter
from kolors_submit.reproduce import outcome
from kolors_submit.reproduce.bases import FindBase, base_of, finder
from kolors_submit.reproduce.choice import Choice, check_wish, choose
from kolors_submit.reproduce.panels import compare_panels, write_sheet
from kolors_submit.reproduce.request import Request
from kolors_submit.reproduce.retrain import retrain
from kolors_submit.reproduce.source import obtain, slug
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights.download import Ask

UNSAFE = ("paths", "sizes", "archive")
"""Rules that a bundle has to keep before any of its files is opened."""

CONTEST_WORK = 8 * 50 * 1024 * 1024
"""Pixels times steps of the contest's eight panels."""


def reproduce(request: Request, report: Reporter, ask: Ask | None = None) -> dict[str, Any]:
    """Reproduce an entry; returns reproduction.json's value, which lies in the output folder beside the pictures.

    Raises NotReproduced (after writing everything) where the entry is not reproduced or not what it says, CheckError
    where it is not safe to open, WrongBase where the base is another, InputError where another entry's results lie in
    the output folder, OutsideError where a hub fails, or Kolors is not here and may not be fetched.
    """
    check_wish(request.sample, request.panels)
    find_device(request.device)
    source = parse(request.source)
    out = result_folder(request, source)
    refuse_overlap(source, out)
    run = Run(out, among=None if request.out else out.parent)
    with run.hold("reproduce"):
        claim(source, out, out / outcome.REPRODUCTION)
        path = obtain(source, out / "bundle", report)
        value = examine(path, request, run, report, finder(request, report, ask))
    outcome.say(value, out, report)
    outcome.refuse_failures(value)
    return value


def result_folder(request: Request, source: HubSource | Path) -> Path:
    """Where the results of an entry go."""
    return request.out or Path("reproductions") / slug(source)


def examine(path: Path, request: Request, run: Run, report: Reporter, find_base: FindBase) -> dict[str, Any]:
    """The same for an entry that lies on this disk, in a run folder that is held: whatever the verdict is, no error."""
    with open_bundle(path) as folder:
        findings = _verified(folder)
        opened, _ = open_values(folder, manifest.files_below(folder))
        story, lora = _needed(opened, findings)
        _say_claims(opened, story, findings, report)
        base = base_of(opened, request.base, find_base)
        chosen = _choose(opened, story, request, run, report)
        numbers = chosen.numbers
        _refuse_endless(story, len(numbers), request.max_work)
        job = Job(story, base, run, find_device(request.device), report)
        _render(job, lora, numbers, outcome.claimed_compute(opened))
        setting = outcome.setting_of(opened, job)
        panels, claims = compare_panels(job, opened, numbers, setting.limits)
        write_sheet(run.folder / outcome.SIDE_BY_SIDE, job, folder, panels)
        value = outcome.summary(request.source, opened, job, setting, panels, claims, broken_rules(findings))
        value["chosen"] = {"how": chosen.how, "of": len(story.panels)}
        if request.retrain:
            value = outcome.with_retraining(value, retrain(job, opened, numbers, request.data))
    write_json(run.folder / outcome.REPRODUCTION, value)
    return value


def _verified(folder: Path) -> list[Finding]:
    """What the check says of the entry; raises CheckError where its files may not be opened."""
    findings = check(folder)
    unsafe = [one for one in findings if one.level == "fail" and one.rule in UNSAFE]
    if unsafe:
        raise CheckError(folder, unsafe)
    return findings


def _needed(opened: Opened, findings: Sequence[Finding]) -> tuple[Story, Path]:
    """The story and the LoRA, without which nothing can be rendered; raises CheckError or InputError without."""
    if opened.story is None or opened.story.panels == () or opened.lora is None or opened.base is None:
        raise CheckError(opened.folder, [one for one in findings if one.level == "fail"])
    path = opened.folder / opened.lora
    summarise(path)
    return opened.story, path


def _say_claims(opened: Opened, story: Story, findings: Sequence[Finding], report: Reporter) -> None:
    """What the entry says of itself, before anything is believed."""
    scores = opened.scores or {}
    predictor = scores.get("predictor")
    name = predictor.get("name") if isinstance(predictor, dict) else None
    report.stage("entry", f"{story.title}{f', by {story.team}' if story.team else ''}: {len(story.panels)} panels")
    claimed = f"mean score {str(scores.get('mean'))[:20]} by {str(name)[:80]}"
    report.stage("claims", f"made on {str(opened.base)[:80]}; {claimed}")
    for finding in findings:
        if finding.level != "ok":
            report.note(f"{finding}")


def _choose(opened: Opened, story: Story, request: Request, run: Run, report: Reporter) -> Choice:
    """The panels to render, said where they are not all; raises InputError for a panel that the entry has not."""
    count = len(story.panels)
    chosen = choose(run.folder, outcome.bundle_digest(opened), count, request.sample, request.panels)
    if chosen.how != "all":
        said = ", ".join(map(str, chosen.numbers))
        report.stage("panels", f"{said} of {count}, {'drawn by lot here' if chosen.how == 'drawn' else 'as named'}")
    return chosen


def _refuse_endless(story: Story, panels: int, max_work: float | None) -> None:
    """Raises InputError where the panels ask for more work than is allowed."""
    render = story.render
    work = panels * render.steps * render.width * render.height / CONTEST_WORK
    if max_work is not None and work > max_work:
        raise InputError(
            f"{panels} panels ask for {work:.0f} times the work of a contest entry; reproduce it on its own"
        )


def _render(job: Job, lora: Path, numbers: Sequence[int], like: dict[str, Any] | None) -> None:
    """Render the panels with the entry's LoRA, by the stage that rendered them the first time."""
    from kolors_submit.render import render

    if not job.run.lora.is_file() or file_digest(job.run.lora) != file_digest(lora):
        with atomic_path(job.run.lora) as partial:
            shutil.copyfile(lora, partial)
    render(job, numbers, like)


def broken_rules(findings: Sequence[Finding]) -> list[str]:
    """The rules that an entry breaks, in a sentence each."""
    return [f"{one.rule}: {one.message}" for one in findings if one.level == "fail"]
