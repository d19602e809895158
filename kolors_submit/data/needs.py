"""What a story's training pictures need and may not find on this machine, looked at before anything is done.

Names and caption files are read, no picture is; a hub's pictures are only named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kolors_submit.base_names import PICTUREBOOK
from kolors_submit.data.account import alike, some
from kolors_submit.data.advice import caption_advice
from kolors_submit.data.captions import BadCaption, caption
from kolors_submit.data.folder import find_folder, read_folder
from kolors_submit.data.sample import Sample, shown
from kolors_submit.data.sources import split_source
from kolors_submit.errors import InputError, SubmitError
from kolors_submit.story import Captioner, Dataset, JuicerCaptions, TaggerCaptions, VisionCaptions


@dataclass(frozen=True)
class Need:
    """One need, met or not; `exit_status` is what the data stage would end with where it fails."""

    state: Literal["ok", "warn", "fail"]
    text: str
    exit_status: int = InputError.exit_status


def find_needs(settings: Dataset, story_file: Path | None) -> Iterator[Need]:
    """The pictures, their captions, and the model that writes those that are missing."""
    try:
        yield from _needs(settings, story_file)
    except SubmitError as error:
        yield Need("fail", str(error), error.exit_status)


def _needs(settings: Dataset, story_file: Path | None) -> Iterator[Need]:
    """The same; raises the SubmitError that the data stage would raise."""
    kind, place = split_source(settings.source)
    if kind == "folder":
        folder = find_folder(place, story_file)
        found = read_folder(folder)[: settings.limit]
        if not found:
            raise InputError(f"dataset.source {shown(settings.source)} has no pictures in {shown(str(folder))}")
        yield Need("ok", f"{len(found)} training pictures in {shown(str(folder.resolve()))}")
        broken = [(sample.name, sample.problem) for sample in found if sample.problem is not None]
        bare = [sample.name for sample in found if sample.problem is None and not _has_caption(settings, sample)]
        yield from (Need("warn", line) for line in alike(broken))
        if bare and isinstance(settings.captions, Captioner):
            yield Need("ok", f"{len(bare)} of them get a caption from {_ready(settings.captions)}")
        elif bare:
            said = f"{len(bare)} of {len(found)} pictures have no caption that can be used ({some(bare)})"
            none_left = len(broken) + len(bare) == len(found)
            yield Need("fail" if none_left else "warn", f"{said}; {caption_advice(settings, found)}")
        return
    if kind == PICTUREBOOK:
        from kolors_submit.picturebook.samples import find_style

        find_style(place)
    captioner = f", captions by {_ready(settings.captions)}" if isinstance(settings.captions, Captioner) else ""
    yield Need("ok", f"training pictures from {shown(settings.source)}{captioner}")


def _has_caption(settings: Dataset, sample: Sample) -> bool:
    """Whether a picture's own caption can be used; what else is wrong with it is not looked at here."""
    try:
        caption(None if isinstance(settings.captions, Captioner) else settings.captions, sample.columns)
    except BadCaption:
        return False
    return True


def _ready(captioner: Captioner) -> str:
    """What a captioner is called; raises InputError or OutsideError where its model or its endpoint is not here."""
    from kolors_submit.endpoint import find_endpoint
    from kolors_submit.weights import find_weights

    if isinstance(captioner, TaggerCaptions | JuicerCaptions):
        return str(find_weights(captioner.model))
    assert isinstance(captioner, VisionCaptions)
    from kolors_submit.data.vision import QWEN

    return find_endpoint(model=captioner.model, dashscope_model=QWEN).name
