"""The options that verbs share, as decorators, and what they come to."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kolors_submit.cli.answer import Answer
    from kolors_submit.report import Reporter
    from kolors_submit.run import Job, Run
    from kolors_submit.weights.download import Ask

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A number within a range, which nan would pass and infinity may."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails for one that is not finite."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Listed(click.ParamType[tuple[Any, ...]]):
    """Values of one type with commas between them, as in 0.4,0.7,1.0; an exact word may stand for one of them."""

    name = "list"

    def __init__(self, item: click.ParamType[Any], word: str | None = None) -> None:
        self.item = item
        self.word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The values as a tuple."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        return tuple(part if part == self.word else self.item.convert(part, param, ctx) for part in parts)


def said(function: Decorated) -> Decorated:
    """--json, --quiet, --debug: on every verb. The command line itself sees to --json and --debug."""
    function = click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")(
        function
    )
    function = click.option("--quiet", is_flag=True, help="Print only errors.")(function)
    return click.option("--json", is_flag=True, expose_value=False, help="Print one JSON object on stdout.")(function)


def placed(function: Decorated) -> Decorated:
    """--base, --runs, --set, --name, --device, --yes: on every verb that works in a story's run folder."""
    options = (
        click.option("--base", default="auto", metavar="BASE", help="auto, kolors, picturebook, or a base's folder."),
        click.option(
            "--runs",
            default="runs",
            type=click.Path(path_type=Path),
            help="Folder of the run folders.",
            show_default=True,
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a setting, for example train.rank=32.",
        ),
        click.option("--name", help="Give this variant a run folder of its own."),
        click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute."),
        click.option("--yes", is_flag=True, help="Download without asking."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def computed(function: Decorated, *, hidden: bool = False) -> Decorated:
    """--vram, --price, --budget: on verbs that compute for long. No result depends on the last two.

    They are hidden where a call only shares its options with one that computes.
    """
    options = (
        click.option(
            "--vram",
            type=Finite(min=1),
            metavar="GB",
            hidden=hidden,
            help="Stay within the memory of a card sold with this much.",
        ),
        click.option(
            "--price",
            type=Finite(min=0, min_open=True),
            metavar="MONEY",
            hidden=hidden,
            help="Hourly price of this machine; shows the running cost.",
        ),
        click.option(
            "--budget",
            type=Finite(min=0, min_open=True),
            metavar="MONEY",
            hidden=hidden,
            help="Save and stop (exit 3) before this call costs more.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def bundle_of(answer: Answer, /, report: Reporter, story: Path, options: dict[str, Any]) -> Run:
    """The run folder of a story's bundle, told to the answer."""
    from kolors_submit import submission

    run = submission.find_bundle(submission.Place(story=story, **options), report, asker())
    answer.run = run.folder
    return run


story_argument = click.argument("story", type=click.Path(path_type=Path))


def open_job(answer: Answer, /, report: Reporter, story: Path, options: dict[str, Any]) -> Job:
    """The job of a story, told to the answer."""
    from kolors_submit import submission

    place = submission.Place(story=story, **options)
    job = submission.open_job(place, report, asker())
    answer.run = job.run.folder
    return job


def reporter(quiet: bool) -> Reporter:
    """Whom the stages tell."""
    from kolors_submit.report import Reporter

    return Reporter(quiet=quiet)


def asker() -> Ask | None:
    """A question on the terminal, answered once for all; None where nobody sits at one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    agreed: list[bool] = []

    def ask(question: str) -> bool:
        if not agreed:
            agreed.append(click.confirm(question, default=True, err=True))
        return agreed[0]

    return ask
