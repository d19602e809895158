"""`kolors-submit reproduce SOURCE`: whether an entry comes out again; with `--list`, hundreds of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import Listed, asker, reporter, said

if TYPE_CHECKING:
    from kolors_submit.report import Reporter
    from kolors_submit.reproduce import Request


@click.command("reproduce", short_help="Render anybody's entry again and compare.")
@click.argument("source", required=False)
@click.option(
    "--list",
    "entries",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Reproduce every entry of a list, one per line.",
)
@click.option(
    "--sample",
    type=int,
    metavar="N",
    help="Render only N randomly chosen panels; the choice is saved, so a rerun uses the same ones.",
)
@click.option("--panels", default=(), type=Listed(click.IntRange(1)), metavar="N,N", help="Render only these panels.")
@click.option("--retrain", is_flag=True, help="Rebuild the data, train the LoRA again and compare that too.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DIR", help="Folder of private training pictures, for --retrain."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where pictures and report go.  [default: reproductions/NAME; of a list: results]",
)
@click.option("--base", default="auto", metavar="BASE", help="auto (the entry's), kolors, picturebook or a folder.")
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.")
@click.option("--yes", is_flag=True, help="Download without asking.")
@said
@click.pass_obj
def command(answer: Answer, /, source: str | None, entries: Path | None, quiet: bool, **options: Any) -> None:
    """Verify an entry, render it again with its own LoRA, prompts, seeds and settings, and compare panel by panel.

    SOURCE is a bundle's folder, its zip file, modelscope:owner/Name[@revision] or huggingface:owner/Name[@revision].
    Exit status 0: identical or equivalent; 1: different, not retrainable, or not what it says it is.

    With --list the entries go one after the other into --out, with a ranked table as a page and as CSV; after an
    interruption, run it again. Exit status 0: each has a verdict; 3: some could not be fetched or judged.
    """
    from kolors_submit.reproduce import Request

    if (source is None) == (entries is None):
        raise click.UsageError("name an entry, or a list of entries with --list")
    if options["data"] is not None and not options["retrain"]:
        raise click.UsageError("--data is for --retrain")
    for name in ("retrain", "panels"):
        if entries is not None and options[name]:
            raise click.UsageError(f"--{name} is for one entry, not for a list")
    request = Request(source or "", **options)
    if entries is None:
        _one(answer, request, reporter(quiet))
    else:
        _list(answer, entries, request, reporter(quiet))


def _one(answer: Answer, request: Request, report: Reporter) -> None:
    """Reproduce one entry; an answer has its results whatever the verdict is."""
    from kolors_submit.cli.named import refuse_other
    from kolors_submit.hub.source import parse
    from kolors_submit.reproduce import NotReproduced, reproduce
    from kolors_submit.reproduce.entry import result_folder
    from kolors_submit.reproduce.outcome import REPRODUCTION, SIDE_BY_SIDE

    source = parse(request.source)
    if isinstance(source, Path):
        refuse_other(source)
    answer.run = result_folder(request, source)
    made = {"report": answer.run / REPRODUCTION, "pictures": answer.run / SIDE_BY_SIDE}
    try:
        answer.metrics |= reproduce(request, report, asker())
    except NotReproduced as error:
        answer.metrics |= error.value
        answer.outputs |= made
        raise
    answer.outputs |= made


def _list(answer: Answer, entries: Path, request: Request, report: Reporter) -> None:
    """Reproduce a list of entries; an answer has the tables also where some have no verdict."""
    from kolors_submit.reproduce import Unjudged, reproduce_list
    from kolors_submit.reproduce.batch import RESULTS
    from kolors_submit.reproduce.table import CSV, HTML

    answer.run = request.out or RESULTS
    made = {"table": answer.run / HTML, "csv": answer.run / CSV}
    try:
        answer.metrics |= reproduce_list(entries, request, report, asker())
    except Unjudged as error:
        answer.metrics |= error.value
        answer.outputs |= made
        raise
    answer.outputs |= made
