"""`kolors-submit reproduce SOURCE`: whether an entry comes out again."""

from __future__ import annotations

from pathlib import Path

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import asker, reporter, said


@click.command("reproduce", short_help="Render anybody's entry again and compare.")
@click.argument("source")
@click.option("--sample", type=int, metavar="N", help="Render only N panels, to the same bytes.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where pictures and report go.  [default: reproductions/NAME]"
)
@click.option("--base", default="auto", metavar="BASE", help="auto (the entry's), kolors, picturebook or a folder.")
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.")
@click.option("--yes", is_flag=True, help="Download without asking.")
@said
@click.pass_obj
def command(
    answer: Answer, /, source: str, sample: int | None, out: Path | None, base: str, device: str, yes: bool, quiet: bool
) -> None:
    """Verify an entry, render it again with its own LoRA, prompts, seeds and settings, and compare panel by panel.

    SOURCE is a bundle's folder, its zip file, modelscope:owner/Name[@revision] or huggingface:owner/Name[@revision].
    Exit status 0: identical or equivalent; 1: different, or not what it says it is.
    """
    from kolors_submit.reproduce import Request, reproduce

    answer.metrics |= reproduce(Request(source, base, device, sample, out, yes), reporter(quiet), asker())
