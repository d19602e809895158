"""What one place of an entry says, what had to be guessed, and how a stranger's words are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kolors_submit.errors import InputError
from kolors_submit.text import STEERING

MAX_TEXT = 1_000_000
"""Bytes of a README or a table."""

MAX_WORDS = 10_000
"""Characters of one prompt, as in a story."""

Noise = Literal["cpu-float32", "cuda-float16"]


@dataclass(frozen=True)
class Told:
    """What one place (`where`) says of one picture, or of all where it names none; None is not said.

    `picture` is a file's name and `number` its place in the story, as far as the place tells them. `node_alpha` is the
    contest's lora_alpha: applied as lora_alpha / rank; `strength` multiplies the file's own alpha / rank. `remarks`
    say what of it cannot be rendered here.
    """

    where: str
    picture: str | None = None
    number: int | None = None
    scene: str | None = None
    prompt: str | None = None
    negative: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    noise: Noise | None = None
    lora: str | None = None
    strength: float | None = None
    node_alpha: float | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """A value of the story that nobody says, or that places disagree on: which, and why this one was taken."""

    field: str
    value: Any
    because: str

    def __str__(self) -> str:
        return f"{self.field} {self.value!r}: {self.because}"


def read_text(path: Path) -> str:
    """A text file in UTF-8, UTF-16 with a byte order mark, or GBK, with plain line ends.

    Raises InputError where it is none of these, too large, or holds control characters.
    """
    if path.stat().st_size > MAX_TEXT:
        raise InputError(
            f"{path.name} is larger than {MAX_TEXT:,} bytes, which is too much for a prompt table or a README"
        )
    data = path.read_bytes()
    # A byte order mark decides; UTF-8 is then the stricter of the two that have none, so it is tried first.
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return plain(text.replace("\r\n", "\n").replace("\r", "\n"), path.name)
    raise InputError(f"{path.name} is not text in UTF-8 or GBK; save it as UTF-8")


def plain(text: str, where: str) -> str:
    """A stranger's text as it is; raises InputError where it holds what a terminal or a page would obey."""
    found = STEERING.search(text)
    if found:
        raise InputError(f"{where} holds the control character {found[0]!a}; remove it")
    return text


def words(text: Any, where: str) -> str | None:
    """A prompt or a title as a stranger gives it, or None where it is none or empty; raises InputError for too many."""
    if not isinstance(text, str) or not text.strip():
        return None
    if len(text) > MAX_WORDS:
        raise InputError(f"{where} has {len(text):,} characters; a prompt has at most {MAX_WORDS:,}")
    return plain(text.strip().replace("\r\n", "\n").replace("\r", "\n"), where)
