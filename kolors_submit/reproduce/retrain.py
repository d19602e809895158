"""An entry's LoRA trained again: the data rebuilt and held against data.json, then the two LoRAs compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kolors_submit.bundle import layout
from kolors_submit.bundle.manifest import is_sha256
from kolors_submit.bundle.opened import Opened, at
from kolors_submit.bundle.tensors import read_header, read_tensors
from kolors_submit.errors import InputError
from kolors_submit.files import read_json
from kolors_submit.hub.source import is_public
from kolors_submit.reproduce.pictures import compare
from kolors_submit.reproduce.verdict import LIMITS, Verdict, judge, worst
from kolors_submit.run import Job
from kolors_submit.story import Captioner, Story

FOLDER = "retrain"
NOT_RETRAINABLE = "not retrainable"
FOR_THE_ENTRANT = {"log": ("csv",), "sample_every": None, "sample_panel": 1}
"""A stranger's settings that change no byte of the LoRA and would draw pictures or log into the judge's accounts."""

_FREE = ("name",)
"""What of a picture in data.json may differ: private pictures may be called otherwise on another disk."""


def retrain(job: Job, opened: Opened, numbers: Sequence[int], data: Path | None) -> dict[str, Any]:
    """Train an entry's LoRA again below its output folder and compare; what reproduction.json says of it.

    `job` is the entry's, the panels of those numbers rendered. The verdict is `not retrainable` where the pictures are
    private and `data` does not supply them, or are not those of data.json; `identical` where every tensor is; else what
    the new LoRA makes of the same panels decides. Raises OutsideError where a hub fails.
    """
    assert opened.story is not None
    if data is None and not is_public(opened.story.dataset.source):
        return _end(
            NOT_RETRAINABLE, "its training pictures are in a private folder of the entrant's; supply them with --data"
        )
    source = str(data) if data is not None else opened.story.dataset.source
    run = dataclasses.replace(job.run, folder=job.run.folder / FOLDER)
    again = dataclasses.replace(job, story=_story(opened.story, source), run=run)
    refused = _rebuild(again, opened)
    if refused is not None:
        return _end(NOT_RETRAINABLE, refused)
    from kolors_submit.train import train

    try:
        train(again)
    except InputError as error:
        return _end("different", f"the training failed: {error}")
    return _compare(job, again, numbers)


def _end(verdict: str, reason: str, **figures: Any) -> dict[str, Any]:
    return {"verdict": verdict, "reason": reason, **figures}


def _story(story: Story, source: str) -> Story:
    """The entry's story with the pictures from `source`, and without what is only for the entrant to look at."""
    dataset = story.dataset.model_copy(update={"source": source})
    return story.model_copy(update={"dataset": dataset, "train": story.train.model_copy(update=FOR_THE_ENTRANT)})


def _rebuild(again: Job, opened: Opened) -> str | None:
    """Prepare the training pictures; why they cannot be trained on, or None."""
    from kolors_submit.data import prepare

    try:
        captioned = isinstance(again.story.dataset.captions, Captioner)
        prepare(again, known_captions((opened.data or {}).get("pictures")) if captioned else None)
    except InputError as error:
        return f"its training pictures are not available: {error}"
    rebuilt = read_json(again.run.data / "data.json")
    found = data_differences((opened.data or {}).get("pictures"), rebuilt["pictures"])
    if not found:
        return None
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"the pictures are not those of {layout.DATA}: {'; '.join(found[:5])}{more}"


def known_captions(claimed: Any) -> dict[str, str]:
    """The captions that data.json lists (a stranger's words) by their picture's SHA-256.

    What a model wrote, and a person may have corrected, comes out no second time, and asking it again may cost the
    judge money. Raises InputError where one is no caption, or a picture has two.
    """
    from kolors_submit.data.captions import BadCaption, caption

    known: dict[str, str] = {}
    for number, picture in enumerate(claimed if isinstance(claimed, list) else [], start=1):
        sha256, text = at(picture, "sha256"), at(picture, "caption")
        try:
            sound = isinstance(text, str) and caption(None, {"text": text}) == text and is_sha256(sha256)
        except BadCaption:
            sound = False
        if not sound or known.setdefault(sha256, text) != text:
            raise InputError(f"picture {number} of {layout.DATA} has no single caption that can be trained on")
    return known


def data_differences(claimed: Any, rebuilt: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the pictures that data.json lists (a stranger's words) differ from those prepared here, a sentence each."""
    if not isinstance(claimed, list) or not all(isinstance(picture, dict) for picture in claimed):
        return ["it lists no pictures"]
    found = [] if len(claimed) == len(rebuilt) else [f"it lists {len(claimed)} pictures, there are {len(rebuilt)} here"]
    for number, (theirs, ours) in enumerate(zip(claimed, rebuilt, strict=False), start=1):
        keys = [key for key in ours if key not in _FREE and theirs.get(key) != ours[key]]
        if keys:
            found.append(f"picture {number} differs in {', '.join(keys)}")
    return found


def _compare(job: Job, again: Job, numbers: Sequence[int]) -> dict[str, Any]:
    """The two LoRAs: tensor by tensor, and where they differ, the panels that each of them makes here."""
    tensors = tensor_differences(job.run.lora, again.run.lora)
    if tensors == {}:
        return _end("identical", "every tensor of the LoRA comes out with the same values", tensors={})
    from kolors_submit.render import render

    render(again, numbers, read_json(job.run.render / "render.json")["compute"])
    pixels = [compare(job.run.panel(number), again.run.panel(number)) for number in numbers]
    verdicts = [judge(False, difference, None) for difference in pixels]
    verdict: Verdict = worst(verdicts)
    largest = max((one.mean for one in pixels if one is not None), default=None)
    shown = "nothing to compare" if largest is None else f"the panels differ by up to {largest:.3f} of 255 in the mean"
    reason = f"{len(tensors)} tensors of the LoRA come out differently; {shown}"
    figures = [None if one is None else dataclasses.asdict(one) for one in pixels]
    return _end(verdict, reason, tensors=tensors, panels=figures, limits=LIMITS)


def tensor_differences(one: Path, other: Path) -> dict[str, float | None]:
    """Largest difference of each tensor whose values are not the same in two LoRA files; None where shapes differ.

    What the files say about themselves (a loss, a base's name) does not count. Raises InputError where one is none.
    """
    ours, theirs = (dict(read_tensors(path, read_header(path))) for path in (one, other))
    found: dict[str, float | None] = {}
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None or a.shape != b.shape:
            found[name] = None
        elif not np.array_equal(a, b):
            found[name] = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
    return found
