"""What the finished stages were made from, held against what the story and the run folder say now.

`submission` does again what changed. A stage that is run by itself would go on from what an older story left behind,
and its result would be no story's: it is refused until the stages before it are done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kolors_submit import panels, score, train
from kolors_submit.data.dataset import FORMAT as DATA_FORMAT
from kolors_submit.data.dataset import read_prepared
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.run import Job, Stage
from kolors_submit.story import panel_prompt

SHOWN = 3
"""Changes that are named."""

DONE = {
    "data": "the training pictures were prepared",
    "train": "the LoRA was trained",
    "render": "the panels were rendered",
    "score": "the panels were scored",
}
"""What a stage did, in words."""

_SETTINGS = {"data": "dataset", "train": "train", "render": "render"}
"""The part of the story that a stage's settings are."""

_NAMES = {"lora": "the LoRA", "base": "the base", "pictures": "the prepared pictures"}


def refuse_stale(job: Job, earlier: Sequence[str]) -> None:
    """Raises InputError for the first of these stages whose result is missing, or is not what the story says now."""
    for name in earlier:
        stage, today = _TODAY[name](job)
        if not stage.path.is_file():
            raise InputError(
                f"{job.run.folder} has no finished {name} stage; run `kolors-submit {name}` first, "
                "or `kolors-submit submission` for everything"
            )
        changes = list(dict.fromkeys(_said(name, reason) for reason in stage.changes(stage.inputs() | today)))
        if changes:
            more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
            raise InputError(
                f"{job.run.folder}: {', '.join(changes[:SHOWN])}{more} since {DONE[name]}; run `kolors-submit {name}` "
                "first, with the same options, or `kolors-submit submission` for everything"
            )


def _said(name: str, reason: str) -> str:
    """A record's reason (`panels.01.seed changed`) in the story's words (`panel 1 changed`)."""
    key, changed, _ = reason.partition(" changed")
    if not changed:
        return reason
    first, _, rest = key.partition(".")
    if first == "panels":
        return f"panel {int(rest.partition('.')[0])}{changed}"
    return f"{_SETTINGS[name]}.{rest}{changed}" if first == "settings" else f"{_NAMES.get(first, key)}{changed}"


def _data(job: Job) -> tuple[Stage, dict[str, Any]]:
    """The settings; whether a folder's pictures are still the same is looked at only by the stage itself."""
    stage = job.run.stage("data", DATA_FORMAT)
    spoken = stage.inputs().get("language") and job.story.language
    return stage, {"settings": job.story.dataset.model_dump(mode="json"), "language": spoken}


def _train(job: Job) -> tuple[Stage, dict[str, Any]]:
    return job.run.stage("train", train.FORMAT), train.stage_inputs(job, read_prepared(job.run.data))


def _render(job: Job) -> tuple[Stage, dict[str, Any]]:
    """All but how this machine computes, which is another matter on another machine."""
    story, said = job.story, {}
    for number, panel in enumerate(story.panels, start=1):
        prompt = panel_prompt(story, panel)
        words = {"prompt": prompt.positive, "negative": prompt.negative}
        said[f"{number:02d}"] = {"scene": panel.scene, **words, "seed": panel.seed}
    today = {
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": file_digest(job.run.lora) if job.run.lora.is_file() else None,
        "title": story.title,
        "team": story.team,
        "panels": said,
    }
    return job.run.stage("render", panels.FORMAT), today | panels.settings_of(job)


def _score(job: Job) -> tuple[Stage, dict[str, Any]]:
    paths = [job.run.panel(number) for number in range(1, len(job.story.panels) + 1)]
    digests = {path.name: file_digest(path) for path in paths if path.is_file()}
    return job.run.stage("score", score.FORMAT), {"panels": digests, "gate": job.story.gate.model_dump(mode="json")}


_TODAY: dict[str, Callable[[Job], tuple[Stage, dict[str, Any]]]] = {
    "data": _data,
    "train": _train,
    "render": _render,
    "score": _score,
}
"""A stage's record, and what its result would depend on today as far as the story and the run folder say it."""
