"""What a document has to say of an entry, whichever version of this program worded it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from kolors_submit.bundle import layout
from kolors_submit.bundle.card import number
from kolors_submit.bundle.entry import Entry

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_DECIMAL = re.compile(r"(?<![\w.])\d{1,40}\.\d{1,40}(?![\w]|\.\d)")
AROUND = 6000
"""Characters before and behind a panel's prompt in which its seed and score stand."""

_UNSEEN = ("style", "script", "title")


def missing(name: str, text: str, entry: Entry) -> Iterator[str]:
    """What a document with this name does not say, or says otherwise than the entry, in a sentence each."""
    said = plain(name, text)
    for what, value in _figures(name, entry):
        if not _has(said, value):
            yield f"does not give the {what}, {value[0]}"
    scores: list[float | None] = [*entry.panel_scores] if entry.scores else [None] * len(entry.rows)
    prompts = [_one_line(row.prompt) for row in entry.rows]
    start = 0
    for row, score, prompt, following in zip(entry.rows, scores, prompts, [*prompts[1:], ""], strict=True):
        place = said.find(prompt, start)
        if place < 0:
            yield f"does not have the prompt of panel {row.panel}"
            continue
        before, start = said[max(start, place - AROUND) : place], place + len(prompt)
        after = said[start : start + AROUND]
        around = f"{before} {after.partition(following)[0] if following else after}"
        if not _has(around, [str(row.seed)]):
            yield f"does not give the seed of panel {row.panel}, {row.seed}"
        if score is not None and name != layout.POST and not _has(around, _spellings(score)):
            yield f"does not give the score of panel {row.panel}, {number(score)}"


def unknown(said: str, meant: str) -> list[str]:
    """Numbers with a decimal point in one text and not in the other, in order."""
    known = set(_DECIMAL.findall(meant))
    return [found for found in dict.fromkeys(_DECIMAL.findall(said)) if found not in known]


def plain(name: str, text: str) -> str:
    """A document's words as people read them, in one line: no mark-up, no escapes, no entities."""
    if name != layout.PAGE:
        return _one_line(html.unescape(_ESCAPED.sub(r"\1", text)))
    reader = _Words()
    reader.feed(text)
    reader.close()
    return _one_line(" ".join(reader.words))


class _Words(HTMLParser):
    """The text of a page that is not its style or script."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        """Text between two tags."""
        if self.lasttag not in _UNSEEN:
            self.words.append(data)


def _figures(name: str, entry: Entry) -> Iterator[tuple[str, list[str]]]:
    """The entry's figures that a document has, with the ways to write each."""
    if entry.scores:
        yield "mean score", _spellings(entry.scores["mean"])
        if name != layout.POST:
            yield "lowest score", _spellings(entry.scores["minimum"])
    if name != layout.POST:
        yield "LoRA's strength", [f"strength_model {number(entry.strengths.comfyui)}"]
        yield "strength for the contest's node", [f"lora_alpha {number(entry.strengths.node)}"]
        yield "strength for DiffSynth", [f"lora_alpha {number(entry.strengths.diffsynth)}"]
        yield "LoRA's name", [entry.safetensors]


def _spellings(value: float) -> list[str]:
    return [number(value), f"{value:.2f}"]


def _has(said: str, spellings: list[str]) -> bool:
    """Whether one of these stands in a text, not as a part of another number or word."""
    return any(re.search(rf"(?<![\w.]){re.escape(one)}(?!\w|\.\d)", said) for one in spellings)


def _one_line(text: str) -> str:
    return " ".join(text.split())
