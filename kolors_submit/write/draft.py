"""The model's answer: as values of a story, and everything that is wrong with it, in words that the model can mend."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kolors_submit.story.document import Document
from kolors_submit.story.hints import hints
from kolors_submit.story.load import validate
from kolors_submit.text import STEERING
from kolors_submit.write.layout import story_values
from kolors_submit.write.order import MAX_PANELS, Order

MAX_TITLE = 60
MAX_PARTS = 2 * MAX_PANELS
"""Panels, and characters, of an answer that is worth looking at."""

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_BRACED = re.compile(r"\{([^{}]*)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Character(_Part):
    """Somebody in the story."""

    name: str
    description: str


class Picture(_Part):
    """One panel: a title for people, a prompt for the model that draws."""

    scene: str
    prompt: str


class Draft(_Part):
    """What the model is asked for; its JSON schema goes to the endpoint."""

    title: str
    characters: list[Character]
    panels: list[Picture]


@dataclass(frozen=True)
class Judgement:
    """An answer's story, or None; what forbids it, and what is likely to fail in a story that is valid."""

    values: dict[str, Any] | None
    problems: tuple[str, ...]
    advice: tuple[str, ...] = ()


def judge(answer: str, order: Order) -> Judgement:
    """Hold an answer to the story's own rules, and to what was ordered."""
    draft = _read(answer)
    if isinstance(draft, Judgement):
        return draft
    if max(len(draft.panels), len(draft.characters)) > MAX_PARTS:
        return Judgement(None, (f"has {len(draft.panels)} panels and {len(draft.characters)} characters: too many",))
    values = story_values(draft.title, {one.name: one.description for one in draft.characters}, _panels(draft), order)
    document = Document("story", values, {})
    story, found = validate(document)
    problems = [_without_file(problem) for problem in found] + _broken_order(draft, order)
    advice = [_without_file(hint) for hint in hints(document, story)] if story is not None else []
    return Judgement(None if problems else values, tuple(map(_printable, problems)), tuple(map(_printable, advice)))


def _read(answer: str) -> Draft | Judgement:
    """The answer as a draft, or why it is none; a model may put words or a fence around its JSON."""
    try:
        value, _ = json.JSONDecoder().raw_decode(answer[answer.index("{") :])
        return Draft.model_validate(value)
    except ValidationError as error:
        return Judgement(None, tuple(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()))
    except (ValueError, RecursionError):
        return Judgement(None, ("the answer is not one whole JSON object",))


def _panels(draft: Draft) -> list[dict[str, str]]:
    return [{"scene": panel.scene, "prompt": panel.prompt} for panel in draft.panels]


def _printable(text: str) -> str:
    """A problem for a terminal and for the model: it may quote control characters and halves of surrogate pairs."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _without_file(problem: Any) -> str:
    return str(problem).removeprefix("story: ")


def _broken_order(draft: Draft, order: Order) -> list[str]:
    """What was ordered and is not there, beyond what any story has to be."""
    found = []
    if len(draft.panels) != order.panels:
        found.append(f"has {len(draft.panels)} panels; exactly {order.panels} are asked for")
    if not 0 < len(draft.title) <= MAX_TITLE or not draft.title.isprintable():
        found.append(f"title: write one of at most {MAX_TITLE} characters")
    names = [one.name for one in draft.characters]
    if len(set(names)) < len(names) or not names:
        found.append("characters: give at least one, and each its own name")
    found += [f"characters: {one.name!r}: write a description in plain words" for one in draft.characters
              if not one.description or not " ".join(one.description.split()).isprintable()]  # fmt: skip
    seen = {name.strip() for panel in draft.panels for name in _BRACED.findall(panel.prompt)}
    found += [f"characters: {{{name}}} stands in no prompt; write {{{name}}} where it is seen" for name in names
              if name not in seen]  # fmt: skip
    for number, panel in enumerate(draft.panels, 1):
        found += [f"panel {number}: {problem}" for problem in _about(panel, draft.characters, order)]
    return found


def _about(panel: Picture, characters: list[Character], order: Order) -> list[str]:
    """What a panel's own words break."""
    found = []
    if _CHINESE.search(panel.scene) or not 0 < len(panel.scene) <= MAX_TITLE or not panel.scene.isprintable():
        found.append(f"scene: write a short English title of at most {MAX_TITLE} characters")
    bare = _BRACED.sub("", panel.prompt)
    if bool(_CHINESE.search(bare)) != (order.language == "zh"):
        found.append(f"prompt: write it in {'Chinese' if order.language == 'zh' else 'English'}")
    for one in characters:
        if one.name and re.search(_word(one.name), bare):
            found.append(f"prompt: {one.name} stands without braces; write {{{one.name}}}")
        if one.description and one.description in bare:
            found.append(f"prompt: repeats a description; write {{{one.name}}} instead")
    if any(mark in panel.prompt for mark in ("|", "//", "/*")):
        found.append("prompt: has |, // or /*, which other programs read as commands; leave it out")
    if not STEERING.search(panel.prompt) and not " ".join(panel.prompt.split()).isprintable():
        found.append("prompt: has characters that cannot be seen; leave them out")
    return found


def _word(name: str) -> str:
    """A pattern for a name; a Latin one has to stand alone, Chinese knows no blanks."""
    return rf"\b{re.escape(name)}\b" if name.isascii() else re.escape(name)
