"""What people see while they wait: notes, tables and progress bars on stderr, or nothing with --quiet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from kolors_submit.device import memory_in_use
from kolors_submit.meter import Meter
from kolors_submit.text import tame

LINE_EVERY = 30.0
"""Seconds between the lines that stand for a bar where stderr is a file or a pipe."""


@dataclass(frozen=True)
class Reporter:
    """Where a stage says what it does. Everything goes to stderr; stdout belongs to --json and to data."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    quiet: bool = False
    meter: Meter | None = None

    def say(self, text: str) -> None:
        """One plain line."""
        if not self.quiet:
            self.console.print(_plain(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line that a person should not miss."""
        if not self.quiet:
            self.console.print(_plain(f"note: {text}"), style="yellow", soft_wrap=True)

    def stage(self, name: str, text: str, *, done: bool = False) -> None:
        """The state of a stage: `render   panel 3: prompt changed`."""
        if not self.quiet:
            self.console.print(_plain(f"{name:<8}"), style="green" if done else "bold", end="")
            self.console.print(_plain(text), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; numbers are set right."""
        if self.quiet:
            return
        table = Table(title=_plain(title, "bold"), title_justify="left")
        for index, column in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
            table.add_column(_plain(column), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_plain(f"{cell:z.3f}" if isinstance(cell, float) else str(cell)) for cell in row))
        self.console.print(table)

    @contextlib.contextmanager
    def progress(self, label: str, total: int, start: int = 0) -> Iterator[Callable[..., None]]:
        """A bar with speed, time left, memory and cost; `advance(1, "loss 0.123")` is called for each step done.

        In a file or a pipe, which shows no bar, a line now and then says the same. `advance` raises BudgetSpent where
        the budget is passed, so it is called where a stage may be stopped.
        """
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TextColumn("{task.fields[use]}", style="dim", markup=False),
        )
        hidden = self.quiet or not self.console.is_terminal
        said = time.monotonic()
        with Progress(*columns, console=self.console, disable=hidden, transient=True) as bar:
            task = bar.add_task(f"{label:<8}", total=total, completed=start, detail="", speed="", use="")

            def advance(steps: int = 1, detail: str = "") -> None:
                nonlocal said
                speed = bar.tasks[0].speed
                shown = "" if not speed else f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"
                use = "" if hidden else f"{memory_in_use() / 1e9:.1f} GB"
                if self.meter:
                    use = f"{use} {self.meter.words(bar.tasks[0].time_remaining)}"
                bar.update(task, advance=steps, detail=detail, speed=shown, use=use)
                if hidden and time.monotonic() - said >= LINE_EVERY:
                    said = time.monotonic()
                    self.stage(label, _in_words(bar.tasks[0]))
                if self.meter:
                    self.meter.check()

            yield advance


def _in_words(task: Task) -> str:
    """How far a bar has come, as a line: `120 of 300, 2.1/s, 0:01:25 left, loss 0.123`."""
    left = "" if task.time_remaining is None else f"{timedelta(seconds=round(task.time_remaining))} left"
    parts = (f"{task.completed:g} of {task.total:g}", task.fields["speed"], left, task.fields["detail"])
    return ", ".join(filter(None, (*parts, task.fields["use"].strip())))


def _plain(text: str, style: str = "") -> Text:
    """Words that may be a stranger's, as they are: of a str rich takes [red] for markup and story.yaml:100: for 💯."""
    return Text(tame(text), style)


def quiet() -> Reporter:
    """A reporter that says nothing."""
    return Reporter(quiet=True)
