"""index.html: every candidate of every panel on one page that needs no network, to choose from and save picks.json.

Nothing may be loaded but pictures and letters inside the page; style and script only with the digests of ours.
"""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from kolors_submit.bundle.typeface import font_faces
from kolors_submit.decoders import open_picture
from kolors_submit.explore.words import WORDS
from kolors_submit.policy import content_security_policy

SIDE = 512
"""Longest side of a picture in the page, in pixels; the candidates themselves are the PNGs beside it."""

QUALITY = 85


def page_text(explored: dict[str, Any], folder: Path, language: str) -> str:
    """The whole page of an exploration whose files lie in `folder`; every word of the story is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kolors_submit.explore"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    body = environment.get_template("page.body.html").render(
        explored=explored,
        words=WORDS[language],
        variants=[_variant(explored, variant) for variant in explored["variants"]],
        panels=[_panel(panel, folder) for panel in explored["panels"]],
    )
    script = _asset("page.js")
    css = font_faces(body + script) + _asset("page.css")
    policy = content_security_policy(css, script, "img-src data:; font-src data:")
    return environment.get_template("page.html").render(
        explored=explored,
        language=language,
        words=WORDS[language],
        policy=Markup(policy),  # noqa: S704 - these four are this program's own words, or escaped already
        css=Markup(css),  # noqa: S704
        body=Markup(body),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )


def _asset(name: str) -> str:
    return files("kolors_submit.explore").joinpath("templates", name).read_text("utf-8")


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
