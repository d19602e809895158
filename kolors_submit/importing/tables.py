"""Prompt tables: a csv file, or a Markdown table in a README, with headings in Chinese or English."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from kolors_submit.errors import InputError
from kolors_submit.importing.labels import field_of, ordinal, value_of
from kolors_submit.importing.told import Told, words

MAX_ROWS = 1000
_DELIMITERS = ",\t;"
# Every repetition is bounded or possessive: these search a stranger's text.
_RULE = re.compile(r"[\s|:-]*+")
_CELL = re.compile(r"(?<!\\)\|")
_IMAGE = re.compile(
    r"\[[^\]\n]{0,300}\]\(\s{0,3}<?(?P<path>[^)>\s]{1,500})|<img[^>\n]{0,500}?src\s?=\s?[\"']?(?P<source>[^\"'\s>]{1,500})",
    re.IGNORECASE,
)
_SHORT = 12
"""Characters of a cell that says which picture it is; a longer one describes the picture."""


def csv_rows(text: str, where: str) -> list[Told]:
    """The rows of a csv file whose first line names its columns; empty where none of them is a prompt.

    Raises InputError where it cannot be read as csv.
    """
    cells = _csv_cells(text, where)
    return _rows(cells, where) if cells else []


def unclear(text: str, where: str) -> list[str]:
    """What is not clear about a csv file's columns, in a sentence each; raises as `csv_rows`."""
    heading = next(iter(_csv_cells(text, where)), [])
    columns: dict[str | None, list[str]] = {}
    for cell in heading:
        columns.setdefault(field_of(cell), []).append(repr(cell.strip()[:40]))
    found = [
        f"{where} has {len(named)} columns for the {field}, {' and '.join(named[:5])}; the first that is filled counts"
        for field, named in columns.items()
        if field is not None and len(named) > 1
    ]
    if heading and "prompt" not in columns:
        named = ", ".join(repr(cell.strip()[:40]) for cell in heading[:8])
        found.append(f"{where} is not used: none of its columns ({named}) is called prompt or 提示词")
    return found


def _csv_cells(text: str, where: str) -> list[list[str]]:
    """The lines of a csv file that are not blank."""
    _, delimiter = _first_line(text)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"{where} is not a table: {error}") from error
    return [line for line in lines if any(cell.strip() for cell in line)]


def names_prompts(text: str) -> bool:
    """Whether a csv file, which may be broken, has prompts: its first line names a column so."""
    line, delimiter = _first_line(text)
    return any(field_of(cell.strip().strip('"')) == "prompt" for cell in line.split(delimiter))


def _first_line(text: str) -> tuple[str, str]:
    """The first line that is not blank, and the delimiter that makes most of its columns known."""
    line = text.lstrip("\n").split("\n", 1)[0]
    return line, max(_DELIMITERS, key=lambda mark: sum(field_of(cell) is not None for cell in line.split(mark)))


def markdown_rows(text: str, where: str) -> list[Told]:
    """The rows of every Markdown table with a column of prompts."""
    lines = text.split("\n")
    rows: list[Told] = []
    at = 1
    while at < len(lines):
        if "|" in lines[at - 1] and "|" in lines[at] and "--" in lines[at] and _RULE.fullmatch(lines[at]):
            end = next((here for here in range(at + 1, len(lines)) if "|" not in lines[here]), len(lines))
            table = [_cells(line) for line in (lines[at - 1], *lines[at + 1 : end])]
            rows += _rows(table, f"{where}, line {at}")
            at = end
        at += 1
    return rows


def picture_in(text: str) -> str | None:
    """The path of the first picture or link in a piece of Markdown."""
    match = _IMAGE.search(text)
    return html.unescape(match["path"] or match["source"]) if match else None


def _cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table, without the marks around it."""
    return [shown(cell) for cell in _CELL.split(line.strip().removeprefix("|").removesuffix("|"))]


def shown(cell: str) -> str:
    """The words that a piece of Markdown shows in one line."""
    text = re.sub(r"<br\s*/?>", " ", cell.strip(), flags=re.IGNORECASE)
    return html.unescape(re.sub(r"\\([\\`*_{}\[\]()|~$#+\-.!])", r"\1", text)).strip()


def _rows(table: Sequence[Sequence[str]], where: str) -> list[Told]:
    """Each line below the heading as what it tells; empty where no column is a prompt."""
    fields = [field_of(cell) for cell in table[0]]
    if "prompt" not in fields:
        return []
    if len(table) > MAX_ROWS:
        raise InputError(f"{where} has {len(table):,} rows; a story has at most {MAX_ROWS:,} panels")
    rows = []
    for count, line in enumerate(table[1:], start=1):
        row = _row(fields, line, f"{where}, row {count}")
        if row.prompt is not None:
            rows.append(row)
    return rows


def _row(fields: Sequence[str | None], line: Sequence[str], where: str) -> Told:
    values: dict[str, Any] = {}
    remarks: list[str] = []
    for field, cell in zip(fields, line, strict=False):
        if field is None or not cell.strip():
            continue
        for name, value in (_place(cell) if field in ("picture", "number") else value_of(field, cell)).items():
            if name == "remarks":
                remarks += value
            else:
                values.setdefault(name, words(value, where) if isinstance(value, str) else value)
    return Told(where, remarks=tuple(remarks), **values)


def _place(cell: str) -> dict[str, Any]:
    """Which picture a cell means: a link or a file's name, else a number; a longer text describes it."""
    cell = cell.strip()
    path = picture_in(cell)
    if path is None and PurePosixPath(cell).suffix and " " not in cell and len(cell) < 200:
        path = cell
    if path is not None:
        return {"picture": path}
    found = ordinal(cell) if len(cell) <= _SHORT else None
    return {"scene": cell} if found is None else {"number": found}
