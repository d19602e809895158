"""The money meter: what it counts, what it says, when it stops a stage."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from kolors_submit.errors import InputError
from kolors_submit.meter import BudgetSpent, Meter, make_meter
from kolors_submit.report import Reporter


def meter(seconds_ago: float, budget: float | None = None) -> Meter:
    return Meter(7.2, budget, time.monotonic() - seconds_ago)


def test_cost_follows_the_time() -> None:
    half_an_hour = meter(1800, budget=10)
    assert half_an_hour.spent() == pytest.approx(3.6, abs=0.01)
    assert half_an_hour.spent(1800) == pytest.approx(7.2, abs=0.01)
    assert half_an_hour.words(1800) == "cost 3.60 of 10.00, about 7.20 in all"
    assert meter(1800).words() == "cost 3.60"


def test_a_budget_is_told_before_it_is_passed() -> None:
    assert not meter(1800, budget=4).passes()
    assert meter(1800, budget=4).passes(300)
    assert meter(2100, budget=4).passes()
    assert not meter(10**9).passes()
    meter(1800, budget=4).check()
    with pytest.raises(BudgetSpent, match=r"cost 4\.20 of 4\.00") as raised:
        meter(2100, budget=4).check()
    assert raised.value.exit_status == 3


@pytest.mark.parametrize(("price", "budget"), [(None, 1.0), (0, None), (-1, None), (7.0, 0)])
def test_a_price_or_budget_that_means_nothing_is_refused(price: float | None, budget: float | None) -> None:
    with pytest.raises(InputError, match="--price"):
        make_meter(price, budget)


def test_the_bar_shows_memory_and_cost_and_ends_at_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with Reporter(console, meter=meter(1800, budget=10)).progress("panels", 4) as advance:
        advance(1, "panel 1")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "panel 1" in text
    assert " GB cost 3.60 of 10.00" in text
    quiet = Reporter(quiet=True, meter=meter(1800, budget=1))
    with quiet.progress("panels", 4) as advance, pytest.raises(BudgetSpent):
        advance(1)


def test_a_budget_without_a_price_ends_before_anything_is_done(tmp_path: Path) -> None:
    from kolors_submit.cli import run

    assert run(["train", "stories/watercolor.yaml", "--runs", str(tmp_path / "runs"), "--budget", "1"]) == 2
    assert not (tmp_path / "runs").exists()
