"""history.json: what card and page tell of an entry's making and no other file says, and which program told it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from kolors_submit.bundle.entry import FunnelStep
from kolors_submit.bundle.opened import figure
from kolors_submit.errors import InputError

FORMAT = 1
MAX_LOSSES = 1_000_000
_LIBRARIES = ("fonttools", "huggingface-hub", "jinja2", "markupsafe", "pillow", "pyyaml")
"""Other versions of these may write the same words, letters or pixels in other bytes."""


def value(funnel: Sequence[FunnelStep], losses: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """What history.json says: the pictures left after each step of the data's recipe, and the loss by step."""
    return {
        "format": FORMAT,
        "writer": writer(),
        "funnel": [{"step": step.name, "left": step.left} for step in funnel],
        "losses": [list(point) for point in losses],
    }


@cache
def writer() -> str:
    """SHA-256 of this program's source and font, and of the versions of what else shapes a bundle's documents.

    Two programs with the same digest write the same documents for the same entry. zlib packs the page's letters, and
    its successors pack them otherwise; which characters are wide is Unicode's to say.
    """
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    versions |= {"zlib": zlib.ZLIB_RUNTIME_VERSION, "unicode": unicodedata.unidata_version}
    found = hashlib.sha256()
    for name, version in versions.items():
        found.update(f"{name} {version}\n".encode())
    for name, data in sorted(_sources(files("kolors_submit"))):
        found.update(name.encode() + hashlib.sha256(data).digest())
    return found.hexdigest()


def _sources(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for part in folder.iterdir():
        name = f"{prefix}/{part.name}"
        if part.is_dir():
            yield from _sources(part, name)
        elif name.endswith((".py", ".woff")) or "/templates/" in name:
            yield name, part.read_bytes()


def is_own(history: Mapping[str, Any] | None) -> bool:
    """Whether the same program as this one says it wrote a bundle's documents."""
    return history is not None and history.get("writer") == writer()


def funnel(history: Mapping[str, Any]) -> list[FunnelStep]:
    """The pictures left after each step; raises InputError for a stranger's value that is no such list."""
    steps = history.get("funnel")
    if not isinstance(steps, list) or not all(_is_step(step) for step in steps):
        raise InputError("history.json does not list the steps of the data's recipe with the pictures they left")
    return [FunnelStep(step["step"], step["left"]) for step in steps]


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and isinstance(step.get("step"), str) and _is_count(step.get("left"))


def losses(history: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Step and loss of each step; raises InputError for a stranger's value that is no such list."""
    points = history.get("losses")
    if not isinstance(points, list) or len(points) > MAX_LOSSES or not all(_is_point(point) for point in points):
        raise InputError("history.json does not list the training's steps with their loss")
    return [(step, float(loss)) for step, loss in points]


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and _is_count(point[0]) and figure(point[1]) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
