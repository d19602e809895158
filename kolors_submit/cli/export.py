"""`kolors-submit export LORA --to FORMAT`: a LoRA in the keys that another program reads."""

from __future__ import annotations

from pathlib import Path

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import Finite, reporter, said

READERS = {
    "kohya": "ComfyUI (LoraLoaderModelOnly) and diffusers read it; alpha is in the file",
    "diffusers": "diffusers and peft read it; alpha / rank is multiplied in",
    "diffsynth": "DiffSynth-Studio and the contest's LoadKolorsLoRA read it; it has no alpha",
}


@click.command("export", short_help="Convert a LoRA for another program.")
@click.argument("lora", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(list(READERS)), help="Format to write; ComfyUI reads kohya's.")
@click.option("--from", "keys", default="auto", type=click.Choice(["auto", *READERS]), help="Format of LORA.")
@click.option("--base", default="auto", metavar="BASE", help="auto, kolors, picturebook or a base's folder.")
@click.option(
    "--alpha", type=Finite(min=0, min_open=True), help="Alpha of a file that states none.  [default: its rank]"
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: beside LORA]")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@said
@click.pass_obj
def command(
    answer: Answer,
    /,
    lora: Path,
    to: str,
    keys: str,
    base: str,
    alpha: float | None,
    out: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Convert a LoRA to another program's format, and read it back: every layer must be there with the same update."""
    from kolors_submit.export.formats import export

    done = export(lora, to, base, None if keys == "auto" else keys, alpha, out, force)
    report = reporter(quiet)
    report.say(f"{done.path}: {done.modules} of {done.modules} layers of {done.base} match; {READERS[to]}")
    if to == "diffsynth" and done.scale is not None:
        report.say(
            f"for strength 1 set lora_alpha to {done.scale:g} in DiffSynth, to {done.alphas[0]:g} in LoadKolorsLoRA"
        )
    answer.outputs["lora"] = done.path
    answer.metrics |= {"modules": done.modules, "base": done.base, "ranks": done.ranks, "alphas": done.alphas}
