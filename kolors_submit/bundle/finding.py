"""What a rule says about a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One rule's verdict: `ok`, `warn` (a person should look) or `fail` (the entry breaks the rule)."""

    level: Literal["ok", "warn", "fail"]
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.level:<4} {self.rule}: {self.message}"


def fail(rule: str, message: str) -> Finding:
    """The entry breaks a rule. The message may quote a stranger: what a terminal would obey is shown as an escape."""
    return Finding("fail", rule, _visible(message))


def warn(rule: str, message: str) -> Finding:
    """Allowed, but a person should look; of the message the same holds."""
    return Finding("warn", rule, _visible(message))


def _visible(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)
