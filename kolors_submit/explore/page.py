"""index.html: every candidate of every panel on one page that needs no network, to choose from and save picks.json.

Nothing may be loaded but pictures and letters inside the page; style and script only with the digests of ours.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

from kolors_submit.bundle.typeface import font_faces
from kolors_submit.decoders import open_picture
from kolors_submit.explore.words import WORDS
from kolors_submit.pages import asset, filled, whole

PACKAGE = "kolors_submit.explore"
SIDE = 512
"""Longest side of a picture in the page, in pixels; the candidates themselves are the PNGs beside it."""

QUALITY = 85


def page_text(explored: dict[str, Any], folder: Path, language: str) -> str:
    """The whole page of an exploration whose files lie in `folder`; every word of the story is escaped."""
    values = {
        "explored": explored,
        "language": language,
        "words": WORDS[language],
        "variants": [_variant(explored, variant) for variant in explored["variants"]],
        "panels": [_panel(panel, folder) for panel in explored["panels"]],
    }
    body = filled(PACKAGE, "page.body.html", values)
    script = asset(PACKAGE, "page.js")
    css = font_faces(body + script) + asset(PACKAGE, "page.css")
    return whole(PACKAGE, "page.html", body, css, script, "img-src data:; font-src data:", values)


def _variant(explored: dict[str, Any], variant: dict[str, Any]) -> dict[str, Any]:
    """A variant with the means of its candidates, None where a measure is missing."""
    own = [one for panel in explored["panels"] for one in panel["candidates"] if one["variant"] == variant["name"]]
    means = {name: _mean([one[name] for one in own]) for name in ("score", "agreement", "fit")}
    return {**variant, "means": means, "count": len(own)}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _panel(panel: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A panel with its candidates' pictures in the page, the best of each variant marked."""
    best: dict[str, dict[str, Any]] = {}
    for one in panel["candidates"]:
        leading = best.setdefault(one["variant"], one)
        if one["overall"] > leading["overall"]:
            best[one["variant"]] = one
    candidates = [
        {**one, **_picture(folder / one["file"]), "best": one is best[one["variant"]]} for one in panel["candidates"]
    ]
    return {**panel, "candidates": candidates}


def _picture(path: Path) -> dict[str, Any]:
    """A picture as a WebP data URL, no larger than SIDE, with its size in pixels."""
    with open_picture(path) as file:
        picture = file.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=4)
    source = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"source": source, "width": picture.width, "height": picture.height}
