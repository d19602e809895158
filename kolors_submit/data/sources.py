"""Where the training pictures come from: a folder, a hub's dataset, or the picture book.

A source gives `Sample`s: a name for people, the columns its captions are made from, and a function that reads the
picture's bytes. What one picture lacks is said when it is read, so that one bad file never stops the others.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

from kolors_submit.base_names import PICTUREBOOK
from kolors_submit.data.folder import digests, find_folder, read_folder
from kolors_submit.data.sample import Sample, shown
from kolors_submit.errors import InputError
from kolors_submit.hub import HUBS, name_problems
from kolors_submit.hub.source import PUBLIC
from kolors_submit.run import Job
from kolors_submit.story import Dataset, Language

if TYPE_CHECKING:
    from PIL import Image


def samples(job: Job) -> list[Sample]:
    """The pictures of the story's source, in its own order, `dataset.limit` of them at most.

    Drawn pictures have captions in the story's language.

    Raises InputError where there is no such source or no picture in it, OutsideError where a hub fails.
    """
    settings = job.story.dataset
    kind, place = split_source(settings.source)
    if kind == "folder":
        folder = find_folder(place, job.story_file)
        job.report.stage("data", f"pictures from {shown(str(folder.resolve()))}")
        found = read_folder(folder)
    elif kind == PICTUREBOOK:
        found = _drawn(place, settings, job.story.language)
    else:
        from kolors_submit.data.hub import read_hub

        found = read_hub(kind, place, settings)
    if not found:
        raise InputError(f"dataset.source {shown(settings.source)} has no pictures")
    return found[: settings.limit]


def _drawn(style: str, settings: Dataset, language: Language) -> list[Sample]:
    """The picture book's pictures in a style, as PNG files in memory."""
    from kolors_submit.picturebook.samples import COUNT, sample_set

    count = min(COUNT, settings.limit or COUNT)
    return [
        Sample(name, {"text": text}, functools.partial(_png, image))
        for name, image, text in sample_set(style, count, settings.size, language)
    ]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def fingerprint(job: Job) -> dict[str, Any]:
    """What of the source the result depends on beyond the settings; reads no picture of a hub and draws none."""
    kind, place = split_source(job.story.dataset.source)
    if kind == "folder":
        return digests(find_folder(place, job.story_file))
    if kind == PICTUREBOOK:
        from kolors_submit.picturebook.samples import FORMAT

        return {"drawings": FORMAT}
    return {}


def split_source(source: str) -> tuple[str, str]:
    """`modelscope:owner/name` as its two halves; a plain path is ("folder", path)."""
    kind, colon, place = source.partition(":")
    if not colon or kind not in PUBLIC:
        return "folder", source
    if kind in HUBS and (problems := name_problems(place)):
        raise InputError(f"dataset.source {shown(source)}: {'; '.join(problems)}; write {kind}:owner/dataset")
    return kind, place
