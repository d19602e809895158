"""All that an entry's files say about its panels, from its tables, its texts and its workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from kolors_submit.errors import InputError
from kolors_submit.importing import readme, tables, workflow
from kolors_submit.importing.labels import ordinal
from kolors_submit.importing.pictures import Picture, candidates, is_training, match, open_picture
from kolors_submit.importing.settle import Notes, ToldPanel, panels_of
from kolors_submit.importing.source import TABLES, TEXTS, WORKFLOWS, of_kind
from kolors_submit.importing.told import Told, read_text

Rows = tuple[str, Sequence[Told]]
"""Where they stand, and what they say."""


def read_panels(folder: Path, names: Sequence[str], images: str | None, notes: Notes) -> list[ToldPanel]:
    """The panels with all that is said of each, the most believed first.

    A picture's own workflow comes before a workflow beside it, that before tables, code and text, and what is said for
    all pictures at once comes last. Raises InputError where fewer than eight pictures have a prompt.
    """
    pictures = [open_picture(folder, name) for name in candidates(names, images)]
    told = {picture.name: [picture.told] if picture.told else [] for picture in pictures}
    for picture in pictures:
        if picture.remark:
            notes.remark(picture.remark)
    names = [name for name in names if not is_training(str(PurePosixPath(name).parent))]
    rows, for_all = _workflows(folder, names, pictures, notes)
    texts = _texts(folder, names, notes)
    written = list(_written(_tables(folder, names, notes), texts))
    for where, some in (rows, *written):
        if not some:
            continue
        matched, word = match(some, pictures, where)
        if word or not matched:
            notes.remark(
                word or f"what {where} says about {len(some)} pictures matches none of them by name, number or order"
            )
        for name, row in matched.items():
            told[name].append(row)
    for_all += [readme.settings(text, name) for name, text in texts.items()]
    told = {name: [*some, *for_all] for name, some in told.items()}
    read = {where for where, some in written if some}
    silent = [name for name in texts if name not in read]
    return panels_of([picture.name for picture in pictures], told, notes, silent)


def title_in(folder: Path, names: Sequence[str]) -> str | None:
    """The title of the README that lies highest."""
    found = [name for name in of_kind(names, TEXTS) if _is_readme(name)]
    highest = min(found, key=lambda name: (name.count("/"), name), default=None)
    return readme.title_of(read_text(folder / highest)) if highest else None


def _workflows(
    folder: Path, names: Sequence[str], pictures: Sequence[Picture], notes: Notes
) -> tuple[Rows, list[Told]]:
    """What workflow files say: of a picture each, or a single one of all (its prompt and seed are one picture's)."""
    found = []
    for name in of_kind(names, WORKFLOWS):
        value = workflow.parse((folder / name).read_text("utf-8", "replace"))
        if value is None:
            continue
        stem = PurePosixPath(name).stem
        try:
            found.append(replace(workflow.read(value, name), picture=stem, number=ordinal(stem)))
        except workflow.Unreadable as error:
            notes.remark(f"the workflow {name} is not used: {error}")
    if len(found) == 1 and not match(found, pictures, found[0].where)[0]:
        return ("", []), [replace(found[0], prompt=None, negative=None, seed=None)]
    return ("the workflow files", found), []


def _is_readme(name: str) -> bool:
    return PurePosixPath(name).stem.lower().startswith("readme")


def _texts(folder: Path, names: Sequence[str], notes: Notes) -> dict[str, str]:
    """The running texts; another than a README that cannot be used, such as a terminal's log, is only remarked."""
    texts = {}
    for name in of_kind(names, TEXTS):
        try:
            texts[name] = read_text(folder / name)
        except InputError as error:
            if _is_readme(name):
                raise
            notes.remark(f"{name} is not used: {error}")
    return texts


def _tables(folder: Path, names: Sequence[str], notes: Notes) -> dict[str, str]:
    """The csv files; a broken one is only remarked, unless its first line can be read and names prompts."""
    texts = {}
    for name in of_kind(names, TABLES):
        text = ""
        try:
            text = read_text(folder / name)
            for unclear in tables.unclear(text, name):
                notes.remark(unclear)
            texts[name] = text
        except InputError as error:
            if tables.names_prompts(text):
                raise
            notes.remark(f"{name} is not used: {error}")
    return texts


def _written(csv: Mapping[str, str], texts: Mapping[str, str]) -> Iterator[Rows]:
    """What tables say, then code, then running text."""
    for name, text in csv.items():
        yield name, tables.csv_rows(text, name)
    for reader in (tables.markdown_rows, readme.code_rows, readme.text_rows, readme.listed_rows):
        for name, text in texts.items():
            yield name, reader(text, name)
