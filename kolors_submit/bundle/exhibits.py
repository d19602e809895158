"""What the page shows, drawn from an entry: panels, pairs with and without the LoRA, bars, matrices, tables."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from kolors_submit.bundle.card import number
from kolors_submit.bundle.charts import MAX_MATRIX, Bar, Cell, FunnelBar, funnel_bars, matrix_cells, score_x
from kolors_submit.bundle.contents import PromptRow
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.words import STEPS
from kolors_submit.threads import in_threads

QUALITY = 90
"""Of the WebP copies in the page; the pictures themselves are the PNGs in images/ and before/."""


WEBP = "data:image/webp;base64,"
"""How the address of every picture in the page begins."""

PICTURE = re.compile(re.escape(WEBP) + r'([^"]*)')
"""Such an address; its group is the picture in base64."""


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it: a data URL, and its size in pixels."""

    source: str
    width: int
    height: int


Show = Callable[[Path], Picture]
"""Makes of a picture's file what stands in the page; several threads call it."""


@dataclass(frozen=True)
class ShownPanel:
    """A panel with its words and score, where there is one; `low` is below the threshold.

    `before` is the same seed without the LoRA.
    """

    row: PromptRow
    score: float | None
    low: bool
    picture: Picture
    before: Picture | None


@dataclass(frozen=True)
class Matrix:
    """How alike the panels are, pair by pair: `kind` names it in words.py; values are written with `digits`."""

    kind: str
    cells: Sequence[Cell]
    digits: int


@dataclass(frozen=True)
class Coherence:
    """How well the panels belong together; `outlier` is the panel that stands out, `size` how many there are."""

    mean: float
    outlier: int | None
    threshold: float | None
    features: str
    size: int
    matrices: Sequence[Matrix]


def panels(entry: Entry, pictures: Sequence[Path], before: Mapping[int, Path], shown: Show) -> list[ShownPanel]:
    """Every panel; `pictures` in order, `before` by the panel's number."""
    paths = [*pictures, *before.values()]
    copies = dict(zip(paths, in_threads(shown, paths), strict=True))
    none: list[float | None] = [None] * len(pictures)
    scores = entry.panel_scores if entry.scores else none
    return [
        ShownPanel(
            row,
            score,
            score is not None and score < entry.scores["threshold"],
            copies[path],
            copies[before[row.panel]] if row.panel in before else None,
        )
        for row, score, path in zip(entry.rows, scores, pictures, strict=True)
    ]


def embedded(path: Path) -> Picture:
    """A copy of a PNG as WebP."""
    with Image.open(path, formats=["PNG"]) as picture:
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=4)
        source = WEBP + base64.b64encode(buffer.getvalue()).decode()
        return Picture(source, picture.width, picture.height)


def score_bars(entry: Entry) -> list[Bar]:
    """A bar a panel, on a scale of 0 to 10."""
    threshold = entry.scores["threshold"]
    return [
        Bar(f"{row.panel}  {row.scene}", score_x(score), f"{score:.2f}", score < threshold)
        for row, score in zip(entry.rows, entry.panel_scores, strict=True)
    ]


def data_funnel(entry: Entry) -> list[FunnelBar]:
    """The pictures that each step of the data's recipe left."""
    names = STEPS[entry.story.language]
    return funnel_bars([(names.get(step.name, step.name), step.left) for step in entry.funnel])


def coherence(entry: Entry) -> Coherence | None:
    """The fit of the set as scores.json has it; None where it was not measured."""
    value = entry.scores.get("coherence")
    if value is None:
        return None
    size = len(value["style"])
    shown = _matrices(value) if 1 < size <= MAX_MATRIX else []
    return Coherence(value["mean"], value["outlier"], value["threshold"], value["features"]["name"], size, shown)


def _matrices(value: Mapping[str, Any]) -> list[Matrix]:
    """What scores.json has of every pair of panels."""
    return [
        Matrix("style", matrix_cells(value["style"]), 2),
        Matrix("similarity", matrix_cells(value["similarity"]), 2),
        Matrix("palette", matrix_cells(value["palette"], distance=True), 1),
    ]


def training_rows(entry: Entry, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value of each setting that a reader of a LoRA asks for; without train.json's, what the file tells."""
    ends = [(words["layers"], f"{entry.lora.modules}"), (words["size"], f"{entry.lora.bytes / 1e6:.1f} MB")]
    train = entry.story.train
    rank_alpha = (words["rank_alpha"], f"{train.rank} / {number(train.alpha)}")
    if not entry.train:
        return [rank_alpha, *ends]
    batch = f"{train.batch_size}" + (f" × {train.accumulation}" if train.accumulation > 1 else "")
    rows = [
        rank_alpha,
        (words["steps_in_all"], f"{train.steps:,}"),
        (words["batch"], batch),
        (words["learning_rate"], f"{number(train.learning_rate)}, {train.schedule}"),
        (words["optimizer"], train.optimizer),
        (words["resolution"], f"{entry.story.dataset.size} px"),
        *ends,
    ]
    if "loss_first" in entry.train:
        rows.insert(
            2, (words["loss_ends"], f"{number(entry.train['loss_first'])} → {number(entry.train['loss_last'])}")
        )
    return rows


def environment_rows(entry: Entry, words: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Name and value of what the entry was made with and how it was rendered."""
    environment, render = entry.environment, entry.render
    settings = (
        f"{render.width} × {render.height}",
        f"{render.steps} {words['steps']}",
        f"{words['guidance']} {number(render.guidance_scale)}",
        render.sampler,
        f"{words['strength']} {number(render.lora_strength)}",
    )
    digest = f" ({_short(entry.base['digest'])})" if entry.base["digest"] else ""
    rows = [(words["render"], ", ".join(settings)), (words["base"], f"{entry.base['name']}{digest}")]
    if not environment:
        return rows
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory_mib']} MiB)" for gpu in environment["gpus"])
    rows += [
        (words["arithmetic"], environment["render"]["compute"].get("dtype")),
        (words["gpu"], gpus),
        (words["driver"], environment["driver"]),
        (words["processor"], environment["processor"]),
        (words["system"], environment["system"]),
        (words["python"], environment["python"]),
        (words["lock"], _short(environment["lock_sha256"] or "")),
    ]
    return [(name, value) for name, value in rows if value]


def _short(digest: str) -> str:
    """The beginning of a digest; the whole one is in the bundle's own files."""
    return digest and f"{digest[:16]}…"
