"""Tags for pictures by a WD tagger: an ONNX model and its list of tags, run by onnxruntime on the processor.

The model takes one picture, padded to a white square, as float32 from 0 to 255 in the order height, width, channel, its
channels blue, green, red; it answers a probability for each line of selected_tags.csv (SmilingWolf's WD taggers, v2 and
v3).
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kolors_submit.data.filtering import Candidate
from kolors_submit.decoders import open_picture
from kolors_submit.errors import InputError
from kolors_submit.story import TaggerCaptions

if TYPE_CHECKING:
    import onnxruntime

MODEL, LABELS = "model.onnx", "selected_tags.csv"
GENERAL, CHARACTER = "0", "4"
"""Danbooru's numbers of the kinds of tags that describe a picture; 9, how fit it is for work, is none."""

_WORD = re.compile(r"[^\W_]{2}")
MAX_LABEL_BYTES = 16 * 2**20
MAX_LABELS = 200_000
MAX_LABEL = 200
MAX_SIDE = 2048
"""Pixels of a model's square; the WD taggers have 448."""


@dataclass(frozen=True)
class Label:
    """One line of selected_tags.csv."""

    text: str
    kind: str


def tag_pictures(settings: TaggerCaptions, folder: Path, pictures: Sequence[Candidate]) -> Iterator[tuple[int, str]]:
    """Each picture's id and its tags, the likeliest first: "a girl, long hair, outdoors"; "" where none is likely.

    Raises InputError where the folder holds no tagger.
    """
    labels = read_labels(folder / LABELS)
    session = _session(folder / MODEL)
    entry, side = _check(session, folder, len(labels))
    for picture in pictures:
        with open_picture(picture.file) as image:
            pixels = model_input(image.convert("RGB"), side)
        (probabilities,) = session.run(None, {entry: pixels})
        yield picture.id, ", ".join(choose_tags(labels, probabilities[0].tolist(), settings))


def model_input(image: Image.Image, side: int) -> NDArray[np.float32]:
    """An RGB picture as the model's input: [1, side, side, 3], blue first, padded to a white square in the middle."""
    longer = max(image.size)
    square = Image.new("RGB", (longer, longer), "white")
    square.paste(image, ((longer - image.width) // 2, (longer - image.height) // 2))
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.ascontiguousarray(pixels[None, :, :, ::-1])


def choose_tags(labels: Sequence[Label], probabilities: Sequence[float], settings: TaggerCaptions) -> list[str]:
    """The tags above their kind's threshold, characters first, the likeliest first, without those to drop."""
    limits = {GENERAL: settings.threshold, CHARACTER: settings.character_threshold}
    dropped = {_plain(tag) for tag in settings.drop}
    found = [
        (label.kind != CHARACTER, -probability, label.text)
        for label, probability in zip(labels, probabilities, strict=True)
        if probability >= limits.get(label.kind, 2.0) and _plain(label.text) not in dropped
    ]
    return [text for _, _, text in sorted(found)][: settings.max_tags]


def read_labels(path: Path) -> list[Label]:
    """The tags of a model, a stranger's file; raises InputError where it is not what it should be."""
    try:
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise ValueError("is too large")
        rows = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
        if not {"name", "category"} <= set(rows.fieldnames or ()):
            raise ValueError("has no columns name and category")
        labels = [Label(_readable(row["name"]), row["category"] or "") for row in rows]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); a tagger has {MODEL} and {LABELS}") from error
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(f"{path} is not a list of tags: {error}; fetch the tagger again") from error
    if not 0 < len(labels) <= MAX_LABELS:
        raise InputError(f"{path} has {len(labels):,} tags; a tagger has 1 to {MAX_LABELS:,}")
    return labels


def _readable(name: str | None) -> str:
    """A tag as words: blanks for underscores, but not in faces such as o_o; raises ValueError for what is no tag."""
    if not name or len(name) > MAX_LABEL or not name.isprintable() or "," in name:
        raise ValueError(f"{name!r:.80} is not a tag")
    return name.replace("_", " ") if _WORD.search(name) else name


def _plain(tag: str) -> str:
    """A tag to compare by: letters' case and underscores do not matter."""
    return " ".join(tag.lower().replace("_", " ").split())


def _session(path: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, one a kind of damage
        why = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not an ONNX model that can be run ({why}); fetch the tagger again") from error


def _check(session: onnxruntime.InferenceSession, folder: Path, labels: int) -> tuple[str, int]:
    """Name of the model's input and side of its square; raises InputError where the model is no such tagger."""
    entries, exits = session.get_inputs(), session.get_outputs()
    shape: list[Any] = entries[0].shape if len(entries) == 1 else []
    square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3 and isinstance(shape[1], int)
    if not square or not 8 <= shape[1] <= MAX_SIDE or entries[0].type != "tensor(float)":
        raise InputError(f"{folder / MODEL} does not take pictures as a WD tagger does ([1, side, side, 3], float32)")
    if len(exits) != 1 or len(exits[0].shape) != 2 or exits[0].shape[1] != labels:
        raise InputError(f"{folder} has {labels} tags in {LABELS}, and a model that answers {exits[0].shape}")
    return entries[0].name, shape[1]
