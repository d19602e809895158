"""Which panels of an entry are rendered again: all, those that the judge names, or some that are drawn by lot here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kolors_submit.errors import InputError
from kolors_submit.files import read_json, write_json

DRAWN = "drawn.json"
"""Beside the entry's results: what was drawn, so that a call that was cut goes on with the same panels."""


@dataclass(frozen=True)
class Choice:
    """The panels' numbers in order, and who chose them."""

    numbers: tuple[int, ...]
    how: Literal["all", "named", "drawn"]


def check_wish(sample: int | None, named: Sequence[int]) -> None:
    """Raises InputError for a choice that no entry has."""
    if sample is not None and named:
        raise InputError("--sample draws panels and --panels names them; give one of the two")
    if sample is not None and sample < 1:
        raise InputError(f"--sample {sample}: ask for at least one panel")


def choose(folder: Path, bundle: str | None, panels: int, sample: int | None, named: Sequence[int]) -> Choice:
    """The panels of an entry that has `panels` of them; `bundle` is its digest and `folder` where its results go.

    Nothing that an entrant can write decides which panels are drawn: they come from the system's randomness, and the
    draw is kept, so that the same call on the same bundle draws once. Raises InputError for a panel that is not there.
    """
    check_wish(sample, named)
    if named:
        numbers = tuple(sorted(set(named)))
        if numbers[0] < 1 or numbers[-1] > panels:
            raise InputError(f"--panels {','.join(map(str, named))}: the entry's panels are 1 to {panels}")
        return Choice(numbers, "named")
    if sample is None or sample >= panels:
        return Choice(tuple(range(1, panels + 1)), "all")
    return Choice(_drawn(folder / DRAWN, {"bundle": bundle, "of": panels, "sample": sample}), "drawn")


def _drawn(path: Path, wish: dict[str, Any]) -> tuple[int, ...]:
    """The panels that were drawn for this wish before, or are drawn and noted now."""
    known = read_json(path)
    if isinstance(known, dict) and {key: known.get(key) for key in wish} == wish:
        return tuple(known["panels"])
    panels = sorted(secrets.SystemRandom().sample(range(1, wish["of"] + 1), wish["sample"]))
    write_json(path, {**wish, "panels": panels})
    return tuple(panels)
