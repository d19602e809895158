"""A panel's words as the model reads them: characters put in, style around them, tokens counted."""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolors_submit.errors import OutsideError
from kolors_submit.story.model import Panel, Story

MAX_TOKENS = 256
"""Kolors' pipelines cut a prompt at this many ChatGLM tokens, the two that every prompt starts with included."""

MAX_CHARACTERS = 20_000
"""Of a prompt with its characters put in: many times what 256 tokens can hold."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class PromptError(ValueError):
    """A `{name}` that no character of the story has, a brace that stands alone, or a prompt without end."""


@dataclass(frozen=True)
class Prompt:
    """What one panel is rendered from."""

    positive: str
    negative: str


def expand(text: str, characters: dict[str, str]) -> str:
    """Put characters' descriptions where `{name}` stands; `{{` and `}}` are literal braces.

    Raises PromptError: with the names that exist, or where the whole is longer than `MAX_CHARACTERS`.
    """
    length = 0

    def put(match: re.Match[str]) -> str:
        nonlocal length
        token = match.group(0)
        if token in ("{{", "}}"):
            return token[0]
        name = (match.group(1) or "").strip()
        if name in characters:
            length += len(characters[name])
            _refuse_endless(length)
            return characters[name]
        known = ", ".join(characters) or "none"
        if match.group(1) is not None:
            raise PromptError(f"{{{name}}} names no character (known: {known}); write {{{{ for a brace")
        raise PromptError(f"a lone {token!r}; write {{name}} for a character, {token * 2} for a brace")

    _refuse_endless(len(text))
    return _BRACES.sub(put, text)


def _refuse_endless(characters: int) -> None:
    if characters > MAX_CHARACTERS:
        raise PromptError(f"is longer than {MAX_CHARACTERS:,} characters with all that it consists of")


def panel_prompt(story: Story, panel: Panel) -> Prompt:
    """The full positive and negative prompt of a panel: style prefix, the panel's words, style suffix.

    Raises PromptError.
    """
    joint = "，" if story.language == "zh" else ", "
    positive = (story.style.prefix, expand(panel.prompt, story.characters), story.style.suffix)
    negative = (story.style.negative, expand(panel.negative, story.characters))
    for parts in (positive, negative):
        _refuse_endless(sum(map(len, parts)))
    return Prompt(joint.join(filter(None, positive)), joint.join(filter(None, negative)))


@functools.cache
def _sentencepiece() -> Any:
    """The real ChatGLM tokenizer's pieces, read from the diffsynth package without importing it."""
    import sentencepiece

    spec = importlib.util.find_spec("diffsynth")
    if spec is None or spec.origin is None:
        raise OutsideError("the package diffsynth is not installed; run `make setup`")
    model = Path(spec.origin).parent / "tokenizer_configs/kolors/tokenizer/tokenizer.model"
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def token_count(text: str) -> int:
    """Length of a prompt in ChatGLM tokens, its two special tokens included; equals the real tokenizer's count."""
    return len(_sentencepiece().encode(text)) + 2


def split_at_limit(text: str) -> tuple[str, str]:
    """The part of a prompt that the model reads, and the part that would be cut off silently."""
    processor = _sentencepiece()
    pieces = processor.encode(text)
    kept = processor.decode(pieces[: MAX_TOKENS - 2])
    return kept, text[len(kept) :] if len(pieces) > MAX_TOKENS - 2 else ""
