"""What a command has to say for itself: the object that --json prints, and errors as people and programs read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from kolors_submit.errors import Interrupted, OutsideError, SubmitError


@dataclass
class Answer:
    """Filled by a verb as it goes, so that an error still tells the run folder and what was made so far."""

    verb: str
    run: Path | None = None
    outputs: dict[str, Path] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)

    def value(self, *, ok: bool) -> dict[str, Any]:
        """The object that --json prints."""
        return {
            "verb": self.verb,
            "ok": ok,
            "run": None if self.run is None else str(self.run),
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "metrics": self.metrics,
            "problems": self.problems,
        }


def status_of(error: BaseException) -> int:
    """The exit status that an error stands for."""
    if isinstance(error, SubmitError | Interrupted):
        return error.exit_status
    return error.exit_code if isinstance(error, click.ClickException) else OutsideError.exit_status


def problems_of(error: BaseException) -> list[dict[str, Any]]:
    """An error as findings: `text` for people, and for a story's findings file, line, panel and field."""
    findings = getattr(error, "problems", None)
    if isinstance(error, SubmitError) and findings:
        return [problem(item) for item in findings]
    return [{"text": _sentence(error)}]


def problem(item: Any) -> dict[str, Any]:
    """One finding (a story's, or a check's) as JSON values."""
    from dataclasses import asdict, is_dataclass

    fields = asdict(item) if is_dataclass(item) and not isinstance(item, type) else {}
    return {"text": str(item), **{key: value for key, value in fields.items() if value is not None}}


def _sentence(error: BaseException) -> str:
    """One or a few lines about any error, with what to do."""
    if isinstance(error, SubmitError | Interrupted):
        return str(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        return "stopped; run the same command again to go on"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"memory ran out ({error}); close other programs, or lower train.batch_size or the picture size (--set)"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; fix this and run again (--debug shows where)"
    advice = "This is a bug in kolors-submit; run it again with --debug and report what it prints."
    return f"unexpected {type(error).__name__}: {error}. {advice}"
