"""Which bundle a call means: one that is named, or that of a story; and calls that mean none."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kolors_submit.cli.options import bundle_of
from kolors_submit.errors import InputError
from kolors_submit.hub.known import HUBS

if TYPE_CHECKING:
    from kolors_submit.cli.answer import Answer
    from kolors_submit.report import Reporter
    from kolors_submit.run import Run

BUNDLE = "name a bundle's folder or its zip file"
"""What to do instead."""

PLACE = {
    "base": "--base",
    "runs": "--runs",
    "settings": "--set",
    "name": "--name",
    "device": "--device",
    "yes": "--yes",
    "vram": "--vram",
    "price": "--price",
    "budget": "--budget",
}
"""What says in which run folder a story's bundle lies, and how that was made."""


def named_bundle(
    answer: Answer, /, report: Reporter, bundle: Path | None, story: Path | None, place: dict[str, Any]
) -> tuple[Path, Run | None]:
    """The bundle that is meant, with its run folder where that is a story's; told to the answer.

    Raises UsageError and InputError for a call that means no bundle, before anything is read.
    """
    if bundle is not None and story is not None:
        raise click.UsageError("name a bundle or a story with --story, not both")
    if story is not None:
        run = bundle_of(answer, report, story, place)
        answer.outputs["bundle"] = run.bundle
        return run.bundle, run
    if bundle is None:
        raise click.UsageError("name a bundle, or a story with --story")
    refuse_place("a bundle is taken as it is; with --story they say which one")
    answer.outputs["bundle"] = bundle
    refuse_other(bundle, f"name it with --story {bundle} for its bundle, or {BUNDLE}")
    return bundle, None


def refuse_place(why: str, allowed: Collection[str] = ()) -> None:
    """Raises UsageError where this call gives options that say where a story's files lie, but for those `allowed`."""
    context = click.get_current_context()
    given = [
        option
        for name, option in PLACE.items()
        if option not in allowed and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: no use here; {why}")


def refuse_other(path: Path, of_story: str = BUNDLE) -> None:
    """Raises InputError for what is something else than a bundle, saying what it is and what to name instead.

    `of_story` is what to do with a story.
    """
    if not path.exists():
        if str(path).partition(":")[0] in HUBS:
            fetched = f"`kolors-submit reproduce {path}` fetches and checks it"
            raise InputError(f"{path} is on a hub; {fetched}, here {BUNDLE}")
        raise InputError(f"{path} does not exist; {BUNDLE}")
    if path.suffix.lower() in (".yaml", ".yml"):
        raise InputError(f"{path} is a story; {of_story}")
    if path.is_file() and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is neither a folder nor a zip file; {BUNDLE}")
    if path.is_dir():
        _refuse_other_folder(path)


def _refuse_other_folder(folder: Path) -> None:
    """The same for a folder; one with a bundle's panels or LoRA is a bundle, however broken."""
    if (folder / "stages").is_dir():
        bundle = folder / "bundle"
        there = f"its bundle is {bundle}" if bundle.is_dir() else "it has no bundle yet: run `kolors-submit submission`"
        raise InputError(f"{folder} is a run folder; {there}")
    runs = sorted(path / "bundle" for path in folder.iterdir() if (path / "stages").is_dir())
    if runs:
        raise InputError(f"{folder} holds a story's run folders; name a bundle: {', '.join(map(str, runs))}")
    if not any((folder / name).exists() for name in ("manifest.json", "images", "lora", "prompts.csv", "scores.json")):
        raise InputError(f"{folder} is no bundle, for it has neither manifest.json nor images/ nor lora/; {BUNDLE}")
