"""What people see where stderr is a file or a pipe, in which no bar can be drawn."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kolors_submit import report
from kolors_submit.report import Reporter


def heard(quiet: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100)
    with Reporter(console, quiet).progress("train", 300, 100) as advance:
        for _ in range(20):
            advance(1, "loss 0.123")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard() == ""
    monkeypatch.setattr(report, "LINE_EVERY", 0.0)
    lines = heard().splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("train   101 of 300") and lines[-1].startswith("train   120 of 300, ")
    assert " left, loss 0.123" in lines[-1]
    assert heard(quiet=True) == ""


def test_a_figure_that_rounds_to_nothing_has_no_sign() -> None:
    console = Console(file=io.StringIO(), width=100)
    Reporter(console).table("t", ("figure",), [(-1e-17,), (-0.25,)])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "-0.000" not in text and "0.000" in text and "-0.250" in text
