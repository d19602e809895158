"""What pydantic and PyYAML find wrong, as a sentence for somebody who knows neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kolors_submit.story.keys import unknown_key
from kolors_submit.text import tame

MAX_SHOWN = 60
"""Characters of a wrong value that are shown."""

_KINDS = {
    "string": "has to be text; put it in quotes",
    "int": "has to be a whole number",
    "float": "has to be a number",
    "finite": "has to be a finite number",
    "bool": "has to be true or false",
    "tuple": "has to be a list, as in [a, b]",
    "dict": "has to have settings of its own, as in {key: value}",
    "model": "has to have settings of its own, as in {key: value}",
}
"""By the first word of pydantic's name for the finding: int_type, int_parsing, int_from_float, …"""

_NOT_OF_THIS_KIND = ("type", "parsing", "from_float", "number", "parsing_size", "attributes_type")

_YAML = {
    "cannot start any token": "a tab, or a sign that YAML keeps for itself: indent with blanks, put texts in quotes",
    "mapping values are not allowed here": "a second `: ` in a line: put the text in quotes, or fix the indentation",
    "could not find expected ':'": "a line without `key: value` (a plain colon and a blank), here or just above",
    "expected <block end>": "this line, or the one above, is not indented like its neighbours or lacks a quote",
    "found unexpected end of stream": "a quote or bracket that is never closed",
}
"""The usual mistakes behind PyYAML's words."""


def sentence(item: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """One of pydantic's findings about the value at `path`, with what stands there if that is short."""
    kind, message = str(item["type"]), str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return unknown_key(path)
    if kind == "missing":
        return "is missing"
    first, _, rest = kind.partition("_")
    if kind == "string_too_short" or (item.get("input") is None and rest in _NOT_OF_THIS_KIND):
        return "is empty; write a value after the colon"
    if rest in _NOT_OF_THIS_KIND and first in _KINDS:
        message = _KINDS[first]
    elif kind == "string_pattern_mismatch":
        message = "is not a name: start with letters or hanzi, then digits, - and _ are allowed too"
    elif kind == "string_too_long":
        message = f"has {len(item['input']):,} characters; write at most {item['ctx']['max_length']:,}"
    shown = repr(item.get("input"))
    message = message.replace("Input should be", "has to be", 1)
    return f"{message} (here: {shown})" if len(shown) <= MAX_SHOWN and kind != "value_error" else message


def yaml_sentence(error: yaml.YAMLError | ValueError) -> str:
    """What is wrong with a file that is no YAML, and what is usually meant by that."""
    detail = str(getattr(error, "problem", None) or error)
    advice = next((words for said, words in _YAML.items() if said in detail), None)
    return f"is not YAML: {tame(detail)}" + (f" ({advice})" if advice else "")
