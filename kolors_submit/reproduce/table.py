"""The judge's table: ranked, as a page and as CSV for a spreadsheet. Its words are strangers'."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.files import write_bytes, write_error, write_text
from kolors_submit.report import Reporter
from kolors_submit.reproduce.page import page_text
from kolors_submit.text import cut, tame

REPRODUCED = ("identical", "equivalent")
AGAIN = ("fetch failed", "failed here")
"""Says nothing about the entry: the next call tries it again."""

STATUSES = (*REPRODUCED, "not reproduced", "invalid", *AGAIN)
MARKS = {"technique": 40, "coherence": 30, "effect": 30}
"""The jury's marks and the most points of each."""

RESULT = "result.json"
"""In an entry's folder, all that came of it."""

MAX_REASON, MAX_REASONS = 2000, 50
"""Characters of a reason that an entry is not reproduced, and how many are kept."""

HTML, CSV, OLD_CSV = "table.html", "table.csv", "table.old{}.csv"
_ENCODINGS, _DELIMITERS = ("utf-8-sig", "gb18030", "utf-16"), ",;\t"
"""In which spreadsheets save it again, by their language and their country."""

COLUMNS = ("rank", "status", "entry", "title", "team", "score", "score by", "base", "panels", "problems", *MARKS)
MAX_CELL = 1000
_FORMULA = "=+-@＝＋－＠"
"""A spreadsheet computes a cell that starts with one of these, also after blanks; the last four are full-width."""


def described(status: str, problems: Sequence[str], value: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the tables say of an entry; `value` is reproduction.json's, where it came to that."""
    value = value or {}
    score = value.get("score", {})
    measured = score.get("measured")
    return {
        "status": status,
        "title": value.get("title"),
        "team": value.get("team"),
        "base": value.get("base", {}).get("name"),
        "score": score.get("claimed") if measured is None else measured,
        "measured": measured is not None,
        "predictor": score.get("predictor"),
        "panels": dict(Counter(panel["verdict"] for panel in value.get("panels", []))),
        "rendered": [panel["number"] for panel in value.get("panels", [])],
        "of": value.get("chosen", {}).get("of"),
        "problems": [tame(cut(line.strip(), MAX_REASON)) for line in problems[:MAX_REASONS]],
    }


def write_tables(folder: Path, results: Sequence[dict[str, Any]], report: Reporter) -> Path:
    """Write both tables of the batch's results and return the page; marks that the jury put into the CSV stay.

    A table whose marks find no place in the new one is kept under another name, which is said.
    """
    marks = _read_marks(folder, {_cell(result["source"]) for result in results}, report)
    rows = [_row(rank, result, marks.get(_cell(result["source"]), {})) for rank, result in _ranked(results)]
    write_bytes(folder / CSV, _csv(rows).encode("utf-8-sig"))  # a spreadsheet takes UTF-8 without the mark for GBK
    groups = [("reproduced", [row for row in rows if row["status"] in REPRODUCED])]
    groups += [(name, [row for row in rows if row["status"] == name]) for name in STATUSES[len(REPRODUCED) :]]
    return write_text(folder / HTML, page_text(groups, MARKS, folder))


def _ranked(results: Sequence[dict[str, Any]]) -> list[tuple[int | None, dict[str, Any]]]:
    """Reproduced entries by score with their ranks (equal scores, equal rank), then the others by kind and score.

    A score that is only claimed stands behind all that were measured.
    """

    def key(result: dict[str, Any]) -> tuple[int, bool, float]:
        place = 0 if result["status"] in REPRODUCED else STATUSES.index(result["status"])
        return place, not result["measured"], -(result["score"] or 0.0)

    ordered = sorted(results, key=key)
    keys = [key(result) for result in ordered]
    return [(keys.index(own) + 1 if own[0] == 0 else None, result) for own, result in zip(keys, ordered, strict=True)]


def _row(rank: int | None, result: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    """One line; every text in it is a plain word."""
    predictor = _word(result["predictor"])
    claimed = "" if result["measured"] or result["score"] is None else " (claimed, not measured)"
    return {
        "rank": rank,
        "status": result["status"],
        "entry": _word(result["source"]),
        "title": _word(result["title"]),
        "team": _word(result["team"]),
        "score": None if result["score"] is None else round(result["score"], 4),
        "score by": predictor + claimed,
        "base": _word(result["base"]),
        "panels": _panels(result),
        "problems": _reasons(result),
        **{name: marks.get(name, "") for name in MARKS},
        "folder": result["folder"],
        "measured": result["measured"],
    }


def _panels(result: dict[str, Any]) -> str:
    """How many panels came out how, and which they are where not all were rendered."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result["panels"].items())
    numbers, of = result.get("rendered", ()), result.get("of")
    if not of or len(numbers) >= of:
        return counts
    word = "panel" if len(numbers) == 1 else "panels"
    return f"{counts} ({word} {', '.join(map(str, numbers))} of {of})"


def _reasons(result: dict[str, Any]) -> str:
    """All that is wrong with an entry in one cell; where it is too long, which file has all of it."""
    text = "; ".join(result["problems"])
    whole = f" (all of it: {result['folder']}/{RESULT})"
    return _word(text) if len(text) <= MAX_CELL else _word(cut(text, MAX_CELL - len(whole)) + whole)


def _word(value: Any) -> str:
    """A stranger's text on one line."""
    return " ".join(tame("" if value is None else str(value)[:MAX_CELL]).split())


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """All cells quoted, as RFC 4180 has it; what a spreadsheet would compute is made text by an apostrophe."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow({name: f"{name} (of {MARKS[name]})" if name in MARKS else name for name in COLUMNS})
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def _cell(source: str) -> str:
    """The cell that names an entry."""
    return str(_inert(_word(source)))


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.lstrip()[:1] in tuple(_FORMULA) else value


def _read_marks(folder: Path, entries: Collection[str], report: Reporter) -> dict[str, dict[str, str]]:
    """The marks in the CSV that is there; one with marks that have no place in the new one is kept aside."""
    path = folder / CSV
    if not path.is_file():
        return {}
    marks = _marks_in(path.read_bytes())
    homeless = [entry for entry, own in (marks or {}).items() if any(own.values()) and entry not in entries]
    if marks is None:
        _put_aside(path, "it cannot be read as this table, so none of its marks are in the new one", report)
    elif homeless:
        _put_aside(path, f"it has marks for {', '.join(homeless[:5])}, which the new table does not list", report)
    return marks or {}


def _marks_in(data: bytes) -> dict[str, dict[str, str]] | None:
    """The marks by the cell that names their entry, in a table as a spreadsheet may have saved it, or None."""
    for encoding, delimiter in itertools.product(_ENCODINGS, _DELIMITERS):
        try:
            text = io.StringIO(data.decode(encoding), newline="")
            lines = [line for line in csv.reader(text, delimiter=delimiter, strict=True) if line]
            places = {name: lines[0].index(f"{name} (of {points})") for name, points in MARKS.items()}
            entry, blanks = lines[0].index("entry"), [""] * len(lines[0])  # some leave out blanks at a line's end
            return {
                line[entry]: {name: _word([*line, *blanks][place]) for name, place in places.items()}
                for line in lines[1:]
            }
        except (ValueError, IndexError, csv.Error):
            continue
    return None


def _put_aside(path: Path, why: str, report: Reporter) -> None:
    """Give the table a name that no other file has, and say so."""
    names = (OLD_CSV.format(f"-{number}" if number > 1 else "") for number in itertools.count(1))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    try:
        path.replace(aside)
    except OSError as error:
        raise write_error(aside, error) from error
    report.note(f"{path} is kept as {aside.name}: {why}")
