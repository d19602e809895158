"""`kolors-submit import SOURCE`: an entry of another program as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import reporter, said


@click.command("import", short_help="Make a bundle from an entry that another program made.")
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), help="Where the bundle goes.  [default: imports/NAME]")
@click.option(
    "--base", default="auto", metavar="BASE", help="auto (what the LoRA fits), kolors, picturebook or a folder."
)
@click.option("--noise", type=click.Choice(["cpu-float32", "cuda-float16"]), help="Where a seed's noise was drawn.")
@click.option("--images", metavar="FOLDER", help="Which of the entry's folders holds the panels.")
@click.option("--lora", metavar="FILE", help="Which of the entry's LoRAs is meant.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Correct a value, for example panels.3.seed=7."
)
@click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to score.")
@said
@click.pass_obj
def command(answer: Answer, /, source: str, quiet: bool, **options: Any) -> None:
    """Make a bundle that check and reproduce understand from an entry that another program made.

    SOURCE is a folder, a zip file, modelscope:owner/Name or huggingface:owner/Name with a LoRA (a .ckpt in DiffSynth's
    keys, or kohya's or diffusers'), eight pictures, and their prompts: in a csv or Markdown table, a README, ComfyUI
    workflows, or the workflows inside PNGs. What is not stated anywhere is guessed, and every guess is
    listed.

    \b
    --noise cuda-float16   the contest's notebook and its ComfyUI sampler: on the GPU, in half precision
    --noise cpu-float32    ComfyUI's own sampler and this program
    """
    from kolors_submit.importing import Request, import_entry

    value = import_entry(Request(source, **options), reporter(quiet))
    answer.outputs["bundle"] = Path(value.pop("bundle"))
    answer.metrics |= value
