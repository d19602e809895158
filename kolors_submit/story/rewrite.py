"""Seeds written into a story file: only their digits change, every other character stays."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path
from kolors_submit.story.document import read_document


def write_seeds(path: Path, seeds: Mapping[int, int], digest: str) -> None:
    """Give panels (counted from 1) other seeds in the story file, whose bytes must have the SHA-256 `digest`.

    Raises InputError, and leaves the file as it is, where somebody has edited it meanwhile.
    """
    path = path.resolve()  # a link stays one
    text = _unchanged(path, digest).decode("utf-8")
    with atomic_path(path) as partial:
        partial.write_bytes(_with_seeds(text, seeds, path).encode("utf-8"))
        if read_document(partial).values != _expected(read_document(path).values, seeds):
            raise InputError(f"{path}: the seeds cannot be written without changing more; write them by hand: {seeds}")
        shutil.copymode(path, partial)
        _unchanged(path, digest)


def _unchanged(path: Path, digest: str) -> bytes:
    """The file's bytes, as long as they are those that were read before."""
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise InputError(
            f"{path} was edited in the meantime; nothing was written. Look at it, then run the command again"
        )
    return data


def _with_seeds(text: str, seeds: Mapping[int, int], path: Path) -> str:
    """The text with other digits where the seeds stand."""
    try:
        panels = _item(YAML().compose(text), "panels")
    except YAMLError as error:
        raise InputError(f"{path} is not YAML that can be rewritten: {error}") from error
    for number in sorted(seeds, reverse=True):  # from the end, so that earlier places stay where they are
        panel = panels.value[number - 1] if isinstance(panels, SequenceNode) else None
        seed = _item(panel, "seed")
        if not isinstance(seed, ScalarNode):
            raise InputError(f"{path}: panel {number} has no seed of its own to change")
        text = text[: seed.start_mark.index] + str(seeds[number]) + text[seed.end_mark.index :]
    return text


def _item(node: Node | None, key: str) -> Node | None:
    """The value of a mapping's key, as a node with its place in the text."""
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _expected(values: dict[str, Any], seeds: Mapping[int, int]) -> dict[str, Any]:
    """The story's values with the new seeds."""
    panels = [
        panel | {"seed": seeds[number]} if number in seeds else panel
        for number, panel in enumerate(values["panels"], start=1)
    ]
    return values | {"panels": panels}
