"""All that the data stage's result depends on, for its fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kolors_submit.base_names import PICTUREBOOK
from kolors_submit.data import captioning, sources
from kolors_submit.data.folder import find_folder
from kolors_submit.data.sample import shown
from kolors_submit.files import file_digest
from kolors_submit.run import Job
from kolors_submit.story import Captioner


def find_filter_predictor(job: Job) -> tuple[Path, str] | None:
    """Folder and digest of the predictor that the aesthetics filter asks, where the story has that filter."""
    if job.story.dataset.filters.aesthetics is None:
        return None
    from kolors_submit.metrics.predictor import predictor_digest
    from kolors_submit.weights import find_predictor

    folder = find_predictor(job.base)[1]
    return folder, predictor_digest(folder)


def stage_inputs(job: Job, predictor: str | None, known: captioning.Known = None) -> dict[str, Any]:
    """The settings, the source's files and the predictor's digest; with a captioner the caption files, or `known` ones.

    A captioner's model is not among them: what it wrote stands in the caption files, which may be corrected.
    """
    settings = job.story.dataset
    kind, _ = sources.split_source(settings.source)
    inputs: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "source": sources.fingerprint(job),
        "language": job.story.language if kind == PICTUREBOOK else None,
        "predictor": predictor,
    }
    if known is not None:
        inputs["captions"] = dict(known)
    elif isinstance(settings.captions, Captioner) and kind != "folder":
        inputs["captions"] = captioning.sidecar_digests(job.run)
    return inputs


def with_written(inputs: dict[str, Any], job: Job, written: Sequence[Path]) -> dict[str, Any]:
    """The inputs with the caption files that the stage itself has written meanwhile, as the next run will find them."""
    kind, place = sources.split_source(job.story.dataset.source)
    if not written:
        return inputs
    if kind == "folder":
        folder = find_folder(place, job.story_file)
        names = {shown(path.relative_to(folder).as_posix()): path for path in written}
        return inputs | {"source": inputs["source"] | {name: file_digest(path) for name, path in names.items()}}
    return inputs | {"captions": inputs["captions"] | {path.name: file_digest(path) for path in written}}
