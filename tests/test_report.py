"""What people see: words as they are, whoever wrote them, and lines where no bar can be drawn."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kolors_submit import report
from kolors_submit.report import Reporter

WORDS = r"story.yaml:100: [red]a[/red] :cat: \[b] C:\x"


@pytest.mark.parametrize(
    "tell",
    [
        lambda reporter: reporter.say(WORDS),
        lambda reporter: reporter.note(WORDS),
        lambda reporter: reporter.stage("data", WORDS),
        lambda reporter: reporter.table(WORDS, ("a", "b"), [(1.0, 2)]),
        lambda reporter: reporter.table("a", (WORDS, "b"), [(1.0, 2)]),
        lambda reporter: reporter.table("a", ("a", "b"), [(WORDS, 2)]),
    ],
)
def test_no_word_is_markup_or_an_emoji(tell):
    heard = io.StringIO()
    tell(Reporter(Console(file=heard, width=200)))
    assert "".join(WORDS.split()) in "".join(heard.getvalue().split()), "a table breaks a title where it ends"


def test_a_tables_numbers_are_set_right():
    heard = io.StringIO()
    Reporter(Console(file=heard, width=80)).table("scores", ("panel", "score"), [("01.png", 6.25), ("02.png", 10.0)])
    assert "│ 01.png │  6.250 │" in heard.getvalue()


def in_a_log(quiet: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100)
    with Reporter(console, quiet).progress("train", 300, 100) as advance:
        for _ in range(20):
            advance(1, "loss 0.123")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_a_log() == ""
    monkeypatch.setattr(report, "LINE_EVERY", 0.0)
    lines = in_a_log().splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("train   101 of 300") and lines[-1].startswith("train   120 of 300, ")
    assert " left, loss 0.123" in lines[-1]
    assert in_a_log(quiet=True) == ""


def test_a_figure_that_rounds_to_nothing_has_no_sign() -> None:
    console = Console(file=io.StringIO(), width=100)
    Reporter(console).table("t", ("figure",), [(-1e-17,), (-0.25,)])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "-0.000" not in text and "0.000" in text and "-0.250" in text
