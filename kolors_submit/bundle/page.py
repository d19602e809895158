"""index.html: the entry on one page that needs no network and allows nothing but its own style and script."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from kolors_submit.bundle.card import number
from kolors_submit.bundle.charts import loss_curve, score_x
from kolors_submit.bundle.contents import PromptRow
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.words import STEPS, WORDS
from kolors_submit.weights import OFFICIAL_PREDICTOR

QUALITY = 90
"""Of the WebP copies in the page; the pictures themselves are the PNGs in images/."""


@dataclass(frozen=True)
class Panel:
    """A panel as the page shows it."""

    row: PromptRow
    score: float
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart; `width` and `mark` on a scale of 100."""

    label: str
    title: str
    width: float
    value: str
    low: bool = False
    mark: float | None = None


def page_text(entry: Entry, pictures: Sequence[Path]) -> str:
    """The whole page; every word of the story is escaped. `pictures` are the panels in order."""
    words = WORDS[entry.story.language]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kolors_submit.bundle"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("page.html").render(
        entry=entry,
        story=entry.story,
        words=words,
        panels=_panels(entry, pictures),
        score_bars=_score_bars(entry),
        funnel_bars=_funnel_bars(entry),
        curve=loss_curve(entry.losses),
        strengths=entry.strengths,
        official=entry.scores["predictor"]["name"] == OFFICIAL_PREDICTOR,
        environment_rows=_environment_rows(entry, words),
        number=number,
        policy=Markup(content_security_policy()),  # noqa: S704 - these three are this program's own words
        css=Markup(_asset("page.css")),  # noqa: S704
        script=Markup(_asset("page.js")),  # noqa: S704
    )
    return text.lstrip()


def content_security_policy() -> str:
    """Nothing may be loaded but pictures inside the page; style and script only with the digests of ours."""
    style, script = (_source(_asset(name)) for name in ("page.css", "page.js"))
    rest = "base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; img-src data:; style-src {style}; script-src {script}; {rest}"


def script_source() -> str:
    """The only script that a page of ours holds."""
    return _asset("page.js")


def _asset(name: str) -> str:
    return files("kolors_submit.bundle").joinpath("templates", name).read_text("utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _panels(entry: Entry, pictures: Sequence[Path]) -> list[Panel]:
    panels = []
    for row, score, path in zip(entry.rows, entry.panel_scores, pictures, strict=True):
        with Image.open(path) as picture:
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=4)
            source = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
            panels.append(Panel(row, score, source, picture.width, picture.height))
    return panels


def _score_bars(entry: Entry) -> list[Bar]:
    threshold = entry.scores["threshold"]
    return [
        Bar(
            f"{row.panel}  {row.scene}",
            row.scene,
            score_x(score),
            f"{score:.2f}",
            score < threshold,
            score_x(threshold),
        )
        for row, score in zip(entry.rows, entry.panel_scores, strict=True)
    ]


def _funnel_bars(entry: Entry) -> list[Bar]:
    most = max((step.left for step in entry.funnel), default=0) or 1
    names = STEPS[entry.story.language]
    return [
        Bar(names.get(step.name, step.name), step.name, round(100 * step.left / most, 3), str(step.left))
        for step in entry.funnel
    ]


def _environment_rows(entry: Entry, words: dict[str, str]) -> list[tuple[str, Any]]:
    environment = entry.environment
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory_mib']} MiB)" for gpu in environment["gpus"])
    rows = [
        (words["base"], f"{entry.base['name']} ({entry.base['digest'][:16]}…)"),
        (words["arithmetic"], environment["render"]["compute"].get("dtype")),
        (words["gpu"], gpus),
        (words["driver"], environment["driver"]),
        (words["processor"], environment["processor"]),
        (words["system"], environment["system"]),
        (words["python"], environment["python"]),
        (words["lock"], environment["lock_sha256"]),
    ]
    return [(name, value) for name, value in rows if value]
