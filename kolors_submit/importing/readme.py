"""Prompts and settings in a README's running text, and in the contest's notebook code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kolors_submit.importing.labels import field_of, ordinal, value_of
from kolors_submit.importing.tables import MAX_ROWS, picture_in, shown
from kolors_submit.importing.told import Told, words
from kolors_submit.story.model import PANELS

# Every repetition is bounded or possessive: these search a stranger's text.
_HEADING = re.compile(r"#{1,6}\s(?P<words>.+)")
_ORDINAL = r"[0-9零一二三四五六七八九十]{1,3}"
_PLACE = re.compile(
    rf"[\s>*_\-+#]*+(?P<place>第\s?{_ORDINAL}\s?[幕张格章图]|(图片?|场景|画面|分镜|panel|scene|image)\s?{_ORDINAL})"
    r"(?P<rest>([\s:：.、—_*\-].*)?)",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"[\s>*\-+|_`【\[]*+(?P<label>[^:：=|*`【】\[\]]{1,24}?)[*_`]*+\s*+[:：=|】\]][*_`|】\]:：=\s]*+(?P<value>.*)"
)
_ITEM = re.compile(r"\s*+(?P<number>[0-9]{1,3})\s*+[.、．)）:：]\s*+(?P<words>\S.*)")
_SETTINGS = {"steps", "guidance", "sampler", "strength", "size", "width", "height"}
_AMBIGUOUS = {"步数", "steps"}
"""A README's steps may be those of the training."""

_STRING = (
    r"(?:'''.{0,3000}?'''|\"\"\".{0,3000}?\"\"\""
    r"|'(?:[^'\\\n]|\\.){0,3000}+'|\"(?:[^\"\\\n]|\\.){0,3000}+\")"
)
_CODE = re.compile(
    rf"manual_seed\(\s*(?P<seed>[0-9]{{1,20}})\s*\)|\b(?P<text>negative_prompt|prompt)\s*=\s*(?P<string>{_STRING})"
    r"|\b(?P<name>cfg_scale|guidance_scale|num_inference_steps|height|width|lora_alpha)\s*=\s*(?P<value>[0-9.]{1,12})"
    rf"|\.save\(\s*(?P<saved>{_STRING})\s*\)",
    re.DOTALL,
)
_CODE_FIELDS = {"cfg_scale": "guidance", "guidance_scale": "guidance", "num_inference_steps": "steps"}


def title_of(text: str) -> str | None:
    """The first heading of a README."""
    for line in text.split("\n"):
        if line.startswith("# "):
            return words(shown(line[2:]).replace("*", "").replace("`", "")[:200], "the README's title")
    return None


def code_rows(text: str, where: str) -> list[Told]:
    """The pictures that notebook code renders: seed, prompts and settings before each `.save("1.jpg")`.

    A second picture after one `manual_seed` has no seed that anybody knows: the generator had moved on.
    """
    rows: list[Told] = []
    values: dict[str, Any] = {}
    alpha: dict[str, Any] = {}
    for match in _CODE.finditer(text):
        if match["seed"]:
            values["seed"] = int(match["seed"])
        elif match["text"]:
            name = "negative" if match["text"] == "negative_prompt" else "prompt"
            values[name] = words(_literal(match["string"]), where)
        elif match["name"] == "lora_alpha":
            alpha = value_of("node_alpha", match["value"])
        elif match["name"]:
            values |= value_of(_CODE_FIELDS.get(match["name"], match["name"]), match["value"])
            # DiffSynth's pipeline alone says cfg_scale: it draws noise on the GPU in half precision, and samples DDIM.
            values |= {"sampler": "ddim", "noise": "cuda-float16"} if match["name"] == "cfg_scale" else {}
        elif values.get("prompt") is not None and len(rows) < MAX_ROWS:
            rows.append(Told(where, picture=_literal(match["saved"]), **values))
            values = {}
    return [Told(**(vars(row) | alpha)) for row in rows]


def _literal(text: str) -> str:
    """A string of Python code; what is none that Python reads is taken as it stands."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text[1:-1]


@dataclass
class _Reader:
    """Goes through a README's lines and closes a row where the next one starts."""

    where: str
    rows: list[Told] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    wanted: str | None = None

    def close(self) -> None:
        """The row that was being read, if it has a prompt."""
        if self.values.get("prompt") and len(self.rows) < MAX_ROWS:
            self.rows.append(Told(self.where, **self.values))
        self.values, self.wanted = {}, None

    def put(self, name: str, value: Any) -> None:
        """A value; a second prompt or place starts another row."""
        if name in self.values and name in ("prompt", "number", "picture"):
            self.close()
        self.values.setdefault(name, value)


def text_rows(text: str, where: str) -> list[Told]:
    """Prompts in running text: lines such as `正向提示词：…` and `seed: 1`, with headings and pictures around them."""
    reader = _Reader(where)
    for line in _prose(text):
        picture = picture_in(line) if "](" in line or "<img" in line.lower() else None
        if picture is not None:
            reader.put("picture", picture)
            continue
        place = _PLACE.fullmatch(line)
        if place:
            _new_place(reader, place)
        elif _HEADING.match(line):
            reader.close()
        else:
            _labelled(reader, line)
    reader.close()
    return reader.rows


def listed_rows(text: str, where: str) -> list[Told]:
    """Prompts as a plain list and nothing else: lines `1. …` to at least `8. …`, one a picture."""
    lines = [line for line in text.split("\n") if line.strip()]
    items = [match for line in lines if (match := _ITEM.fullmatch(line))]
    numbers = [int(item["number"]) for item in items]
    if len(items) < max(len(lines), PANELS) or numbers != list(range(1, len(items) + 1)):
        return []
    return [Told(where, number=int(item["number"]), prompt=words(item["words"].strip(), where)) for item in items]


def _new_place(reader: _Reader, place: re.Match[str]) -> None:
    """A line such as `## 第三幕：雨停了`, or one that goes on with a label."""
    reader.close()
    number = ordinal(place["place"])
    if number is not None:
        reader.put("number", number)
    rest = place["rest"].strip(" \t:：.、-—_*")
    if rest and not _labelled(reader, rest):
        reader.put("scene", words(rest, reader.where))


def _labelled(reader: _Reader, line: str) -> bool:
    """Whether a line has a label, or the words that follow a label that stood alone; they go to the reader."""
    match = _LABELLED.fullmatch(line)
    name = field_of(match["label"]) if match else None
    if match is not None and name in ("prompt", "negative", "seed", "scene"):
        reader.wanted = None
        for key, value in value_of(name, match["value"]).items():
            reader.put(key, words(value, reader.where) if isinstance(value, str) else value)
        if not match["value"].strip() and name in ("prompt", "negative"):
            reader.wanted = name
        return True
    if reader.wanted and line.strip("` >\t"):
        reader.put(reader.wanted, words(line.strip("> \t"), reader.where))
        reader.wanted = None
        return True
    return False


def settings(text: str, where: str) -> Told:
    """What a README says for all pictures at once, in lines or in a table of two columns."""
    values: dict[str, Any] = {}
    for line in _prose(text):
        match = _LABELLED.fullmatch(line)
        name = field_of(match["label"]) if match else None
        if match is None or name not in _SETTINGS or match["label"].strip().lower() in _AMBIGUOUS:
            continue
        found = value_of(name, match["value"].split("|")[0])
        found.pop("remarks", None)
        values = found | values
    return Told(where, **values)


def _prose(text: str) -> Iterator[str]:
    """Lines outside a card's front matter and outside tables with more than two columns."""
    lines = text.split("\n")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0) if lines[0] == "---" else 0
    for line in lines[end + 1 if end else 0 :]:
        if line.count("|") <= 3:
            yield line
