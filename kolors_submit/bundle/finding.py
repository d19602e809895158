"""What a rule says about a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kolors_submit.text import cut, tame

MAX_MESSAGE = 10_000
"""Characters of a message: a stranger's value may be quoted in it, and as long as its file."""


@dataclass(frozen=True)
class Finding:
    """One rule's verdict: `ok`, `warn` (a person should look) or `fail` (the entry breaks the rule)."""

    level: Literal["ok", "warn", "fail"]
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.level:<4} {self.rule}: {self.message}"


def fail(rule: str, message: str) -> Finding:
    """The entry breaks a rule. The message may quote a stranger: what a terminal would obey is left out."""
    return Finding("fail", rule, tame(cut(message, MAX_MESSAGE)))


def warn(rule: str, message: str) -> Finding:
    """Allowed, but a person should look; of the message the same holds."""
    return Finding("warn", rule, tame(cut(message, MAX_MESSAGE)))
