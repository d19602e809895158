"""`--set train.rank=32`: settings from the command line put into a story's values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import yaml

from kolors_submit.errors import InputError
from kolors_submit.story.sentences import yaml_sentence


def with_settings(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The values with `train.rank=32` and the like put in; values are read as YAML scalars or flow lists."""
    values = copy.deepcopy(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise InputError(f"--set {setting}: write KEY=VALUE, for example --set train.rank=32")
        if parts[0] == "bases":
            wanted = ".".join(parts[2:]) or "train.rank"
            raise InputError(f"--set {setting}: write --set {wanted}=…; it applies to the base that is used")
        target: Any = values
        for part in parts[:-1]:
            target = _step(target, part, setting)
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # a ValueError for 2024-13-45, which is no date
            raise InputError(
                f"--set {setting}: {yaml_sentence(error)}; put texts in quotes, as in 'KEY=\"…\"'"
            ) from error
        if isinstance(target, list):
            target[_index(target, parts[-1], setting)] = value
        else:
            target[parts[-1]] = value
    return values


def _step(target: Any, part: str, setting: str) -> Any:
    key = _index(target, part, setting) if isinstance(target, list) else part
    if isinstance(target, list) or target.get(key) is not None:
        inner = target[key]
    else:
        inner = target[key] = {}
    if not isinstance(inner, dict | list):
        raise InputError(f"--set {setting}: {part} has no settings of its own")
    return inner


def _index(items: list[Any], part: str, setting: str) -> int:
    """Panels count from 1 on the command line, as they do in file names."""
    if not part.isdecimal() or not 1 <= int(part) <= len(items):
        raise InputError(f"--set {setting}: {part} is not a number from 1 to {len(items)}")
    return int(part) - 1
