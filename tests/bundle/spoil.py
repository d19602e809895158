"""Ways to spoil a bundle; with `rebuild` the manifest is made true again afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kolors_submit.bundle import documents, manifest


def rebuild(folder: Path) -> None:
    """A new manifest over the spoiled files."""
    manifest.write(folder)


def rewrite(folder: Path) -> None:
    """The bundle that another entry would have had: documents and manifest over the changed files."""
    documents.write(folder, manifest.files_below(folder))
    manifest.write(folder)


def edit_json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the value of a JSON file."""
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value))


def replace(folder: Path, name: str, old: str, new: str) -> None:
    """Change words of a text file; the old ones have to be there."""
    text = (folder / name).read_text()
    assert old in text, (name, old)
    (folder / name).write_text(text.replace(old, new))
