"""`kolors-submit compare RUN…`: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import reporter, said


@click.command("compare", short_help="Show runs side by side.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--html",
    default="compare.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the page.",
)
@said
@click.pass_obj
def command(answer: Answer, /, runs: tuple[Path, ...], html: Path, quiet: bool) -> None:
    """Show run folders (runs/watercolor/kolors ...) side by side: settings that differ, loss, score, time, sheets."""
    from kolors_submit.compare import compare

    answer.metrics |= compare(runs, html, reporter(quiet))
    answer.outputs["page"] = html
