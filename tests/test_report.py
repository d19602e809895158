"""What people see: words as they are, whoever wrote them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kolors_submit.report import Reporter

WORDS = r"story.yaml:100: [red]a[/red] :cat: \[b] C:\x"


@pytest.mark.parametrize(
    "tell",
    [
        lambda report: report.say(WORDS),
        lambda report: report.note(WORDS),
        lambda report: report.stage("data", WORDS),
        lambda report: report.table(WORDS, ("a", "b"), [(1.0, 2)]),
        lambda report: report.table("a", (WORDS, "b"), [(1.0, 2)]),
        lambda report: report.table("a", ("a", "b"), [(WORDS, 2)]),
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
