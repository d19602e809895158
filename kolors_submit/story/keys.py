"""What an unknown key of a story could have meant: its like beside it, or the place where that key belongs."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kolors_submit.story.model import BaseOverrides, Story

MAX_MEANT = 3
"""Places that are named where a key could belong."""


def unknown_key(path: Sequence[str | int]) -> str:
    """What to write instead of a key that there is none of: its like beside it, or where else it belongs."""
    *parents, key = map(str, path)
    # What stands under bases.NAME is called as it is in the story itself.
    base, parents = (parents[:2], parents[2:]) if parents[:1] == ["bases"] and len(parents) > 1 else ([], parents)
    known = [one for one in _paths() if not base or one[0] in BaseOverrides.model_fields]
    parent = tuple("1" if part.isdecimal() else part for part in parents)
    near = difflib.get_close_matches(key, {one[-1] for one in known if one[:-1] == parent}, 1)
    elsewhere = [one for one in known if one[-1] == key]
    if not near and not elsewhere:
        likely = difflib.get_close_matches(key, {one[-1] for one in known}, 1)
        elsewhere = [one for one in known if one[-1] in likely]
    meant = [_place((*base, *one)) for one in elsewhere[:MAX_MEANT]] or near
    if not meant:
        return "unknown key; stories/story.schema.json has those that exist"
    return f"unknown key; did you mean {' or '.join(meant)}?"


def _place(path: Sequence[str]) -> str:
    """A key with where it stands."""
    return ".".join(path) if len(path) > 1 else f"{path[0]} at the top of the story"


@functools.cache
def _paths() -> list[tuple[str, ...]]:
    """Where every key of a story stands, `bases` left out; the first panel's are those of any."""
    schema = Story.model_json_schema(by_alias=True)
    return list(dict.fromkeys(_below(schema, schema["$defs"], ())))


def _below(part: Mapping[str, Any], parts: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all keys below a part of the schema."""
    if "$ref" in part:
        yield from _below(parts[part["$ref"].rsplit("/", 1)[-1]], parts, path)
    for branch in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _below(branch, parts, path)
    if isinstance(part.get("items"), dict):
        yield from _below(part["items"], parts, (*path, "1"))
    for key, value in part.get("properties", {}).items():
        yield (*path, key)
        if key != "bases":
            yield from _below(value, parts, (*path, key))
