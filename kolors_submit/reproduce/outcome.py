"""What came of an entry: reproduction.json's value, and the same in words."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kolors_submit import environment
from kolors_submit.bundle import layout
from kolors_submit.bundle.opened import Opened, at
from kolors_submit.engine.memory import Compute
from kolors_submit.errors import RuleError
from kolors_submit.files import file_digest, read_json
from kolors_submit.report import Reporter
from kolors_submit.reproduce.claims import CLAIM, Claims, false_claims
from kolors_submit.reproduce.verdict import ComparedPanel, limits_for, worst
from kolors_submit.run import Job
from kolors_submit.text import tame

FORMAT = 1
REPRODUCTION, SIDE_BY_SIDE = "reproduction.json", "side-by-side.jpg"
MAX_WORD = 100
"""Characters, or digits, of one value that an entry says of its arithmetic."""

_environment = functools.cache(environment.describe)
"""It does not change while the program runs, and asking takes longer than a small entry."""


class NotReproduced(RuleError):
    """An entry that does not come out again, or is not what it says; `value` is reproduction.json's."""

    def __init__(self, value: dict[str, Any], failures: Sequence[str]):
        self.value = value
        lines = "\n".join(f"  {line}" for line in failures[:50])
        super().__init__(f"{value['source']} is not reproduced:\n{lines}")


@dataclass(frozen=True)
class Setting:
    """How the entry says it was rendered, how it was rendered here, and what may differ for that."""

    claimed: dict[str, Any] | None
    here: dict[str, Any]
    same_environment: bool
    limits: dict[str, float]


def bundle_digest(opened: Opened) -> str | None:
    """SHA-256 of an entry's manifest, or None where it has none."""
    return file_digest(opened.folder / layout.MANIFEST) if layout.MANIFEST in opened.names else None


def claimed_compute(opened: Opened) -> dict[str, Any] | None:
    """The arithmetic that the entry says its panels were rendered with, as far as it says what we know of, in brief."""
    said = at(opened.environment, "render", "compute")
    if not isinstance(said, dict):
        return None
    known = {one.name: said[one.name] for one in fields(Compute) if one.name in said}
    return {key: tame(value) if isinstance(value, str) else value for key, value in known.items() if _is_brief(value)}


def _is_brief(value: Any) -> bool:
    """Whether a value of a stranger's is one of a record's kinds, and short."""
    return value is None or (isinstance(value, str | int) and len(str(value)) <= MAX_WORD)


def setting_of(opened: Opened, job: Job) -> Setting:
    """The setting of an entry whose panels the job has rendered."""
    here, theirs = _environment(job.device), opened.environment or {}
    compute, claimed = read_json(job.run.render / "render.json")["compute"], claimed_compute(opened)
    same = at(theirs, "render", "compute") == compute  # whole: what we do not know of may be another arithmetic
    same = same and all(theirs.get(key) == here[key] for key in ("processor", "gpus", "packages"))
    return Setting(claimed, compute, same, limits_for(claimed, compute, same))


def summary(
    source: str,
    opened: Opened,
    job: Job,
    setting: Setting,
    panels: Sequence[ComparedPanel],
    claims: Claims,
    broken_rules: Sequence[str],
) -> dict[str, Any]:
    """What reproduction.json says. An entry that is not what it says is `different`, whatever its pictures are."""
    pictures = worst([panel.verdict for panel in panels])
    problems = [*broken_rules, *false_claims(claims, opened)]
    return {
        "format": FORMAT,
        "source": tame(source),
        "bundle": bundle_digest(opened),
        "title": job.story.title,
        "team": job.story.team,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "compute": {
            "claimed": setting.claimed,
            "here": setting.here,
            "same_environment": setting.same_environment,
        },
        "limits": setting.limits | {"claimed_score": CLAIM},
        "score": claims.value(),
        "panels": [panel.value() for panel in panels],
        "pictures": pictures,
        "not_rendered_again": opened.in_folder(layout.BEFORE, ".png"),
        "valid": not broken_rules,
        "problems": problems,
        "verdict": "different" if problems else pictures,
    }


def with_retraining(value: dict[str, Any], retrained: Mapping[str, Any]) -> dict[str, Any]:
    """The same with what came of training the LoRA again, which counts in the verdict."""
    verdict = value["verdict"]
    if verdict != "different":
        own = retrained["verdict"]
        verdict = own if own == "not retrainable" else worst([verdict, own])
    return value | {"retrained": dict(retrained), "verdict": verdict}


def say(value: Mapping[str, Any], out: Path, report: Reporter) -> None:
    """Say what came of it: the table of differences, and the verdict."""
    rows = []
    for panel in value["panels"]:
        pixels, difference = panel["pixels"], panel["scores"]["difference"]
        shown = ("-",) * 4
        if pixels is not None:
            shown = (f"{pixels['mean']:.3f}", pixels["maximum"], f"{pixels['ssim']:.4f}", pixels["hash_bits"])
        score = "-" if difference is None else f"{difference:+.3f}"
        rows.append((panel["number"], panel["verdict"], *shown, score))
    columns = ("panel", "verdict", "mean", "max", "SSIM", "hash bits", "score")
    report.table(f"differences; equivalent means {stated(value['limits'])}", columns, rows)
    if value["compute"]["same_environment"] and value["pictures"] == "equivalent":
        report.note(
            "packages, processor and arithmetic are the same as the entry's, so equal bytes were to be expected"
        )
    if "retrained" in value:
        report.stage("retrain", f"{value['retrained']['verdict']}: {value['retrained']['reason']}")
    counted = f"{len(rows)} of {value['chosen']['of']} panels"
    if value["problems"]:
        counted += f", pictures {value['pictures']}, problems {len(value['problems'])}"
    said = f"{value['verdict']} ({counted})"
    said += f"; see {out / REPRODUCTION} and {out / SIDE_BY_SIDE}"
    report.stage("verdict", said, done=value["verdict"] in ("identical", "equivalent"))


def stated(limits: Mapping[str, float]) -> str:
    """The limits of an equivalent panel, in words."""
    words = {
        "mean": "mean <=",
        "maximum": "max <=",
        "ssim": "SSIM >=",
        "hash_bits": "hash bits <=",
        "score": "score <=",
    }
    return ", ".join(f"{word} {limits[name]:g}" for name, word in words.items() if name in limits)


def failures(value: Mapping[str, Any]) -> list[str]:
    """Why an entry does not count as reproduced, in a sentence each; empty for one that does."""
    found = [f"panel {panel['number']} is different" for panel in value["panels"] if panel["verdict"] == "different"]
    retrained = value.get("retrained")
    if retrained is not None and retrained["verdict"] in ("different", "not retrainable"):
        found.append(f"retraining: {retrained['verdict']}: {retrained['reason']}")
    return [*found, *value["problems"]]


def refuse_failures(value: dict[str, Any]) -> None:
    """Raise NotReproduced with the failures, where there are any."""
    found = failures(value)
    if found:
        raise NotReproduced(value, found)
