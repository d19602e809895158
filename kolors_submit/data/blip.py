"""Sentences about pictures by Data-Juicer's image_captioning_mapper, in the closed process that filters run in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from kolors_submit.data.filtering import Candidate, crash, start, write_recipe
from kolors_submit.data.recipe import captioning

MODEL = "captioner"
"""The model's folder as the recipe names it."""

IMAGE = "<__dj__image>"
"""Data-Juicer's mark in a text, behind which the operator writes the caption."""

SECONDS_PER_PICTURE = 120
"""Far beyond what BLIP takes; a larger model on a processor may take half of it."""


def caption_pictures(
    model: Path, pictures: Sequence[Candidate], folder: Path, device: str
) -> Iterator[tuple[int, str]]:
    """Each picture's id and its caption; "" where the operator could not caption it.

    `folder` is the working folder below which the pictures are. Raises OutsideError where Data-Juicer fails.
    """
    asked = [dataclasses.replace(picture, text=IMAGE) for picture in pictures]
    operator = captioning(MODEL)
    write_recipe([operator], asked, folder)
    link = folder / MODEL
    link.unlink(missing_ok=True)
    link.symlink_to(model.resolve(), target_is_directory=True)
    result = start(folder, SECONDS_PER_PICTURE * len(asked), device)
    if not isinstance(result, list) or [entry.get("operator") for entry in result] != list(operator):
        raise crash(folder, "gave no captions")
    captions = {int(key): text for key, text in result[0]["values"].items()}
    for picture in pictures:
        yield picture.id, captions.get(picture.id, "")
