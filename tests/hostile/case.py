"""What a hostile case is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Spoil = Callable[[Path], object]
"""Changes a copy of the sound bundle; where it returns a path (a zip file), that is the entry."""


@dataclass(frozen=True)
class Case:
    """One way to do harm, and its twin."""

    kind: str
    name: str
    spoil: Spoil
    twin: Spoil
    rebuild: bool = True

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


def nothing(folder: Path) -> None:
    """The sound bundle as it is is the twin."""
