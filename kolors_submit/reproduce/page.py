"""The judge's table as a page that needs no network; the pictures and reports lie in the entries' folders beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.bundle.typeface import font_faces
from kolors_submit.pages import asset, filled, whole
from kolors_submit.reproduce.outcome import REPRODUCTION, SIDE_BY_SIDE

PACKAGE = "kolors_submit.reproduce"

Row = Mapping[str, Any]

MEANINGS = {
    "reproduced": "Their panels came out here with the same bytes (identical), or within the limits that each report "
    "states (equivalent). Ranked by score; equal scores share a rank.",
    "not reproduced": "Panels came out differently here, or the entry makes a false claim.",
    "invalid": "The bundle breaks a rule, so it is not a valid entry; where it was safe to open, its panels were "
    "compared.",
    "fetch failed": "The hub or the disk could not provide the files. Run the same command again to try once more.",
    "failed here": "The program failed, or needs another --base, another device or an update, which does not count "
    "against the entry. Do what its problem says, or run the same command again to try once more.",
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
    values = {
        "groups": shown,
        "total": len(rows),
        "columns": {name: _columns(name, marks) for name, _ in shown},
        "numeric": ("rank", "score", *marks),
        "meanings": MEANINGS,
        "marks": marks,
        "found": {row["folder"]: _links(folder / row["folder"]) for row in rows},
        "mixed": len(predictors) > 1 or not all(row["measured"] for row in ranked),
        "predictor": next(iter(predictors), ""),
    }
    body = filled(PACKAGE, "table.body.html", values)
    css, script = font_faces(body) + asset(PACKAGE, "table.css"), asset(PACKAGE, "table.js")
    return whole(PACKAGE, "table.html", body, css, script, "font-src data:", values)


def _columns(name: str, marks: Mapping[str, int]) -> list[str]:
    """What a group's table shows: ranks only where there are any, marks only where there is something to mark."""
    if name == "reproduced":
        return ["rank", "entry", "team", "score", "verdict", *marks]
    return ["entry", "team", "score", "problems", *(marks if name == "not reproduced" else ())]


def _links(folder: Path) -> list[tuple[str, str]]:
    """The files of an entry's that are there, each with the word for it."""
    return [(name, word) for name, word in _LINKS.items() if (folder / name).is_file()]
