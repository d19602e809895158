"""One entry: verified, rendered again with its own LoRA, prompts, seeds and settings, compared, reported."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolors_submit import environment, weights
from kolors_submit.bundle import layout, manifest
from kolors_submit.bundle.check import CheckError, check
from kolors_submit.bundle.finding import Finding
from kolors_submit.bundle.lora import summarise
from kolors_submit.bundle.opened import Opened, open_values
from kolors_submit.device import find_device
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import atomic_path, file_digest, write_json
from kolors_submit.report import Reporter
from kolors_submit.reproduce.panels import compare_panels, false_scores, write_sheet
from kolors_submit.reproduce.source import HubSource, open_source, parse
from kolors_submit.reproduce.verdict import CLAIM, Panel, limits_for, worst
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights.download import Ask

FORMAT = 1
REPRODUCTION, SIDE_BY_SIDE = "reproduction.json", "side-by-side.jpg"

UNSAFE = ("paths", "sizes", "archive")
"""Rules that a bundle has to keep before any of its files is opened."""


@dataclass(frozen=True)
class Request:
    """What to reproduce and how: `out` None is `reproductions/NAME`, `sample` None is every panel."""

    source: str
    base: str = "auto"
    device: str = "auto"
    sample: int | None = None
    out: Path | None = None
    yes: bool = False


def reproduce(request: Request, report: Reporter, ask: Ask | None = None) -> dict[str, Any]:
    """Reproduce an entry; returns reproduction.json's value, which lies in the output folder beside the pictures.

    Raises RuleError (after writing everything) where the entry is not reproduced or not what it says, CheckError where
    it is not safe to open, InputError where the base is missing or another, OutsideError where a hub fails.
    """
    source = parse(request.source)
    out = request.out or Path("reproductions") / _slug(source)
    if isinstance(source, Path) and source.resolve().is_relative_to(out.resolve()):
        raise InputError(f"--out {out} is where the entry lies; choose another folder")
    run = Run(out)
    with run.hold("reproduce"), open_source(source, out / "bundle", report) as folder:
        findings = _verified(folder)
        opened, _ = open_values(folder, manifest.files_below(folder))
        story, lora = _needed(opened, findings)
        _say_claims(opened, story, findings, report)
        base = _base(opened, request, report, ask)
        numbers = _numbers(len(story.panels), request.sample, folder)
        chosen = story.model_copy(update={"panels": tuple(story.panels[number - 1] for number in numbers)})
        job = Job(chosen, base, run, find_device(request.device), report)
        _render(job, lora)
        setting = _setting(opened, job)
        panels, claims = compare_panels(job, opened, numbers, setting.limits)
        write_sheet(out / SIDE_BY_SIDE, job, folder, panels)
        problems = _problems(findings) + false_scores(claims)
        value = _summary(request, opened, job, setting, panels, problems)
    write_json(out / REPRODUCTION, value)
    _conclude(value, panels, out, report)
    return value


def _slug(source: HubSource | Path) -> str:
    if isinstance(source, HubSource):
        return source.slug
    path = source.resolve()
    parts = [part for part in (path.parts[-3:] if path.is_dir() else (path.stem,)) if part not in ("bundle", "/")]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.") or "entry"


def _verified(folder: Path) -> list[Finding]:
    """What the check says of the entry; raises CheckError where its files may not be opened."""
    findings = check(folder)
    unsafe = [one for one in findings if one.level == "fail" and one.rule in UNSAFE]
    if unsafe:
        raise CheckError(folder, unsafe)
    return findings


def _needed(opened: Opened, findings: Sequence[Finding]) -> tuple[Story, Path]:
    """The story and the LoRA, without which nothing can be rendered; raises CheckError or InputError without."""
    found = opened.in_folder(layout.LORA, ".safetensors")
    tensors = [name for name in found if not name.endswith(layout.DIFFUSERS)]
    if opened.story is None or opened.story.panels == () or not tensors or opened.base is None:
        raise CheckError(opened.folder, [one for one in findings if one.level == "fail"])
    path = opened.folder / tensors[0]
    summarise(path)
    return opened.story, path


def _say_claims(opened: Opened, story: Story, findings: Sequence[Finding], report: Reporter) -> None:
    """What the entry says of itself, before anything is believed."""
    scores = opened.scores or {}
    predictor = scores.get("predictor")
    name = predictor.get("name") if isinstance(predictor, dict) else None
    report.stage("entry", f"{story.title}{f', by {story.team}' if story.team else ''}: {len(story.panels)} panels")
    report.stage("claims", f"made on {str(opened.base)[:80]}; mean score {scores.get('mean')} by {name}")
    for problem in _problems(findings):
        report.note(problem)


def _base(opened: Opened, request: Request, report: Reporter, ask: Ask | None) -> weights.Base:
    """The base that the entry was made on; raises InputError where it is not here or is another."""
    claimed = (opened.train or {}).get("base") or {}
    name = request.base
    if name == "auto":
        name = str(opened.base)
        if name not in ("kolors", "picturebook"):
            raise InputError(f"the entry was made on a base of its own, {name[:80]!r}; name its folder with --base")
    base = weights.find_base(name, report, request.device, ask, request.yes)
    if base.digest != claimed.get("digest"):
        raise InputError(
            f"the entry was made on {str(opened.base)[:80]} ({str(claimed.get('digest'))[:12]}), {base.folder} is "
            f"another base ({base.digest[:12]}); name the same one with --base"
        )
    return base


def _numbers(panels: int, sample: int | None, folder: Path) -> list[int]:
    """The panels to render: all, or as many as asked for, drawn by the bundle's digest and so always the same."""
    if sample is None or sample >= panels:
        return list(range(1, panels + 1))
    if sample < 1:
        raise InputError(f"--sample {sample}: ask for at least one panel")
    return sorted(random.Random(file_digest(folder / layout.MANIFEST)).sample(range(1, panels + 1), sample))


def _render(job: Job, lora: Path) -> None:
    """Render the panels with the entry's LoRA, by the stage that rendered them the first time."""
    from kolors_submit.render import render

    if not job.run.lora.is_file() or file_digest(job.run.lora) != file_digest(lora):
        with atomic_path(job.run.lora) as partial:
            shutil.copyfile(lora, partial)
    render(job)


def _problems(findings: Sequence[Finding]) -> list[str]:
    return [f"{one.rule}: {one.message}" for one in findings if one.level == "fail"]


@dataclass(frozen=True)
class Setting:
    """How the entry says it was rendered, how it was rendered here, and what may differ for that."""

    claimed: Any
    here: dict[str, Any]
    same_environment: bool
    limits: dict[str, float]


def _setting(opened: Opened, job: Job) -> Setting:
    from kolors_submit.engine.memory import compute_for

    here, theirs = environment.describe(job.device), opened.environment or {}
    compute = compute_for(job.device).record()
    render = theirs.get("render")
    claimed = render.get("compute") if isinstance(render, dict) else None
    same = claimed == compute and all(theirs.get(key) == here[key] for key in ("processor", "gpus", "packages"))
    return Setting(claimed, compute, same, limits_for(claimed, compute, same))


def _summary(
    request: Request, opened: Opened, job: Job, setting: Setting, panels: Sequence[Panel], problems: Sequence[str]
) -> dict[str, Any]:
    """What reproduction.json says. An entry that is not what it says is `different`, whatever its pictures are."""
    pictures = worst([panel.verdict for panel in panels])
    return {
        "format": FORMAT,
        "source": request.source,
        "bundle": file_digest(opened.folder / layout.MANIFEST) if layout.MANIFEST in opened.names else None,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "compute": {
            "claimed": setting.claimed,
            "here": setting.here,
            "same_environment": setting.same_environment,
        },
        "limits": setting.limits | {"claimed_score": CLAIM},
        "panels": [panel.value() for panel in panels],
        "pictures": pictures,
        "problems": list(problems),
        "verdict": "different" if problems else pictures,
    }


def _conclude(value: dict[str, Any], panels: Sequence[Panel], out: Path, report: Reporter) -> None:
    """Say what came of it; raises RuleError where the entry was not reproduced."""
    rows = []
    for panel in panels:
        pixels = panel.pixels
        shown = (f"{pixels.mean:.3f}", pixels.maximum, f"{pixels.ssim:.4f}", pixels.hash_bits) if pixels else ("-",) * 4
        difference = panel.scores.difference
        rows.append((panel.number, panel.verdict, *shown, "-" if difference is None else f"{difference:+.3f}"))
    columns = ("panel", "verdict", "mean", "max", "SSIM", "hash bits", "score")
    limits = value["limits"]
    stated = "mean <= {mean:g}, max <= {maximum:g}, SSIM >= {ssim:g}, hash bits <= {hash_bits:g}, score <= {score:g}"
    report.table(f"differences; equivalent is {stated.format(**limits)}", columns, rows)
    if value["compute"]["same_environment"] and value["pictures"] == "equivalent":
        report.note("packages, processor and arithmetic here are the entry's: equal bytes were to be expected")
    report.stage("verdict", f"{value['verdict']}; see {out / REPRODUCTION} and {out / SIDE_BY_SIDE}", done=True)
    if value["verdict"] == "different":
        lines = [f"panel {panel.number} is different" for panel in panels if panel.verdict == "different"]
        named = "\n".join(f"  {line}" for line in [*lines, *value["problems"]][:50])
        raise RuleError(f"{value['source']} is not reproduced:\n{named}")
