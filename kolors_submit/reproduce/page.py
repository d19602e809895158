"""The judge's table as a page that needs no network; the pictures and reports lie in the entries' folders beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from kolors_submit.bundle.typeface import font_faces
from kolors_submit.policy import content_security_policy
from kolors_submit.reproduce.outcome import REPRODUCTION, SIDE_BY_SIDE

Row = Mapping[str, Any]

MEANINGS = {
    "reproduced": "Their panels came out here with the same bytes (identical), or within the limits that each report "
    "states (equivalent). Ranked by score; equal scores share a rank.",
    "not reproduced": "Panels came out differently here, or the entry makes a false claim.",
    "invalid": "The bundle breaks a rule, so it is not a valid entry; where it was safe to open, its panels were "
    "compared.",
    "fetch failed": "The hub or the disk could not provide the files. Run the same command again to try once more.",
    "failed here": "The program failed, or needs another --base or an update, which does not count against the entry. "
    "Do what its problem says, or run the same command again to try once more.",
}

_LINKS = {SIDE_BY_SIDE: "pictures", REPRODUCTION: "report"}


def page_text(groups: Sequence[tuple[str, Sequence[Row]]], marks: Mapping[str, int], folder: Path) -> str:
    """The whole page of the groups that have rows; `marks` are the jury's and the most points of each.

    Every word of the rows is escaped. The only script sorts the tables.
    """
    shown = [(name, rows) for name, rows in groups if rows]
    rows = [row for _, some in shown for row in some]
    ranked = [row for row in rows if row["rank"] is not None]
    predictors = {row["score by"] for row in ranked}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kolors_submit.reproduce"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    body = environment.get_template("table.body.html").render(
        groups=shown,
        total=len(rows),
        columns={name: _columns(name, marks) for name, _ in shown},
        numeric=("rank", "score", *marks),
        meanings=MEANINGS,
        marks=marks,
        found={row["folder"]: _links(folder / row["folder"]) for row in rows},
        mixed=len(predictors) > 1 or not all(row["measured"] for row in ranked),
        predictor=next(iter(predictors), ""),
    )
    css, script = font_faces(body) + _asset("table.css"), _asset("table.js")
    policy = content_security_policy(css, script, "font-src data:")
    return environment.get_template("table.html").render(
        total=len(rows),
        policy=Markup(policy),  # noqa: S704 - these four are this program's own words, or escaped already
        css=Markup(css),  # noqa: S704
        body=Markup(body),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )


def _columns(name: str, marks: Mapping[str, int]) -> list[str]:
    """What a group's table shows: ranks only where there are any, marks only where there is something to mark."""
    if name == "reproduced":
        return ["rank", "entry", "team", "score", "verdict", *marks]
    return ["entry", "team", "score", "problems", *(marks if name == "not reproduced" else ())]


def _links(folder: Path) -> list[tuple[str, str]]:
    """The files of an entry's that are there, each with the word for it."""
    return [(name, word) for name, word in _LINKS.items() if (folder / name).is_file()]


def _asset(name: str) -> str:
    return files("kolors_submit.reproduce").joinpath("templates", name).read_text("utf-8")
