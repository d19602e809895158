"""One picture of a source as the data stage meets it, before anything of it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One picture of a source, not yet read. `problem` says why it cannot be used, where that is known already.

    `sidecar` is the caption file of a picture in a folder, whether it is there or not.
    """

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[], bytes] = bytes
    problem: str | None = None
    sidecar: Path | None = None


def shown(name: str) -> str:
    """A stranger's name fit for a terminal and for UTF-8: control characters and undecodable bytes as escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
