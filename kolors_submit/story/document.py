"""A YAML file as plain values with their lines, and the findings about it.

A story may be a stranger's: only plain YAML is read (no tags, anchors or aliases, no second document, no character that
nobody sees), up to `MAX_BYTES` and `MAX_DEPTH`, and reading never makes the program import or run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kolors_submit.errors import InputError
from kolors_submit.story.sentences import yaml_sentence
from kolors_submit.text import STEERING, tame

MAX_BYTES = 1_000_000
MAX_DEPTH = 32

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One finding about a story: where it is and what to do about it."""

    file: str
    line: int | None
    field: str
    message: str
    panel: int | None = None
    hint: bool = False

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        panel = "" if self.panel is None else f"panel {self.panel}: "
        field = f"{self.field}: " if self.field else ""
        return f"{where}: {panel}{field}{self.message}"


class StoryError(InputError):
    """A story that cannot be used; `problems` holds every finding."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values, with the line on which each of them starts."""

    file: str
    values: Any
    lines: dict[Location, int]

    def problem(self, path: Location, message: str, *, hint: bool = False) -> Problem:
        """A finding about the value at `path`, at its line or at the nearest line above it that is known."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        panel = path[1] + 1 if len(path) > 1 and path[0] == "panels" and isinstance(path[1], int) else None
        field = ".".join(tame(str(part)) for part in (path[2:] if panel else path))
        return Problem(self.file, self.lines.get(known), field, message, panel, hint)


def read_document(path: Path) -> Document:
    """Read one YAML mapping; raises StoryError where it is no plain, small YAML."""
    name = str(path)

    def refuse(message: str, line: int | None = None) -> StoryError:
        return StoryError([Problem(name, line, "", message)])

    try:
        data = path.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read ({error.strerror}); name a story file such as stories/watercolor.yaml") from error
    if len(data) > MAX_BYTES:
        raise refuse(f"is {len(data):,} bytes; a story has at most {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8")
        if hidden := list(_hidden_lines(name, text)):
            raise StoryError(hidden)
        loader = _PlainLoader(text, refuse)
        node = loader.get_single_node()
        values = loader.plain(node, ()) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise refuse(yaml_sentence(error), mark.line + 1 if mark else None) from error
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8; save it as UTF-8", data[: error.start].count(b"\n") + 1) from error
    except ValueError as error:
        raise refuse(f"is not readable as YAML: {error}") from error
    if loader.doubled:
        raise StoryError([Problem(name, line, "", message) for line, message in loader.doubled])
    if not isinstance(values, dict):
        raise refuse("holds no settings; a story is a YAML mapping with title, dataset and panels")
    return Document(name, values, loader.lines)


def hidden_problems(document: Document) -> Iterator[Problem]:
    """A finding for each text of a document that holds a hidden character, as YAML's escapes can put there."""
    for path, text in _texts(document.values, ()):
        if message := _hidden_in(text):
            yield document.problem(path, message)


def _hidden_lines(name: str, text: str) -> Iterator[Problem]:
    """A finding for each line of a file that holds a hidden character, comments included."""
    for number, line in enumerate(text.split("\n"), start=1):
        if message := _hidden_in(line):
            yield Problem(name, number, "", message)


def _hidden_in(text: str) -> str | None:
    """What is wrong with a text that holds a character which terminals, pages or models obey instead of showing."""
    found = STEERING.search(text)
    return found and f"holds the control character U+{ord(found.group()):04X}; remove it"


def _texts(value: Any, path: Location) -> Iterator[tuple[Location, str]]:
    """Every text and every key below a value, with where it is."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), key
            yield from _texts(item, (*path, key))


class _PlainLoader(yaml.SafeLoader):
    """Anchors can explode, tags can construct, nesting can exhaust the stack: a story needs none of them."""

    def __init__(self, text: str, refuse: Callable[[str, int | None], StoryError]):
        super().__init__(text)
        self.refuse = refuse
        self.depth = 0
        self.lines: dict[Location, int] = {}
        self.doubled: list[tuple[int, str]] = []

    def get_event(self) -> yaml.Event:
        """The next event of the text, unless a story has none of its kind."""
        event = super().get_event()
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.refuse("anchors and aliases (& and *) are not allowed in a story; write the value out", line)
        if tag := getattr(event, "tag", None):
            raise self.refuse(f"the tag {tag} is not allowed in a story", line)
        self.depth += isinstance(event, yaml.CollectionStartEvent)
        self.depth -= isinstance(event, yaml.CollectionEndEvent)
        if self.depth > MAX_DEPTH:
            raise self.refuse(f"is nested more than {MAX_DEPTH} deep", line)
        return event

    def plain(self, node: yaml.Node, path: Location) -> Any:
        """The value of a node, noting in `lines` where each part starts and in `doubled` what is said twice."""
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            values: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
                if key in values:
                    self.doubled.append((key_node.start_mark.line + 1, f"{tame(key)} is given twice; keep one"))
                values[key] = self.plain(value_node, (*path, key))
                self.lines[(*path, key)] = key_node.start_mark.line + 1
            return values
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value  # no setting is a date; a title may look like one
        return self.construct_object(node)
