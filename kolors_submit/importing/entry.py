"""One entry that another program made: read, settled into a story, and written as a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kolors_submit.bundle import layout
from kolors_submit.device import find_device
from kolors_submit.errors import InputError
from kolors_submit.hub.source import HubSource, claim, folder_name, parse, refuse_overlap
from kolors_submit.importing.advice import on_this_device, refuse_own
from kolors_submit.importing.evidence import read_panels, title_in
from kolors_submit.importing.lora import choose, open_lora, scale
from kolors_submit.importing.pictures import one_size
from kolors_submit.importing.settle import Notes, story_values
from kolors_submit.importing.source import names_in, open_entry
from kolors_submit.importing.told import Noise
from kolors_submit.importing.writing import Origin, write
from kolors_submit.report import Reporter
from kolors_submit.run import Run
from kolors_submit.story import Document, Story, StoryError, validate
from kolors_submit.story.settings import with_settings


@dataclass(frozen=True)
class Request:
    """What to import and how.

    `images` and `lora` say which folder and which file of the entry are meant where there are several; `noise` None
    follows what made the pictures; `settings` (`render.steps=30`) correct what was read or guessed; `out` None is
    `imports/NAME`.
    """

    source: str
    out: Path | None = None
    base: str = "auto"
    images: str | None = None
    lora: str | None = None
    noise: Noise | None = None
    settings: Sequence[str] = ()
    device: str = "auto"


def import_entry(request: Request, report: Reporter) -> dict[str, Any]:
    """Make a bundle of an entry; returns import.json's value and, under `bundle`, the bundle's folder.

    Raises InputError where the entry is a bundle already, lacks a LoRA, eight pictures or their prompts, or holds what
    is not safe to read, or where another entry's bundle lies in the output folder; OutsideError where a hub fails.
    """
    device = find_device(request.device)
    source = parse(request.source)
    name = name_of(source)
    out = request.out or Path("imports") / folder_name(name)
    refuse_overlap(source, out)
    run = Run(out)
    if isinstance(source, Path) and source.is_dir():
        refuse_own(source, request.source)
    with run.hold("import"):
        claim(source, out, run.bundle / layout.MANIFEST)
        with open_entry(source, out / "entry", report) as folder:
            refuse_own(folder, request.source)
            origin, story, notes = read_entry(folder, name, request)
            origin = replace(origin, name=request.source if isinstance(source, HubSource) else source.name)
            value = write(run.bundle, origin, story, notes, device, report)
    module = next(iter(origin.lora.lora.modules.values()))
    dtype = str(module.down.dtype).removeprefix("torch.")
    if advice := on_this_device(dtype, story.render.noise, device):
        report.note(advice)
    _say(value, run.bundle, report)
    return value | {"bundle": str(run.bundle)}


def name_of(source: HubSource | Path) -> str:
    """What an entry is called where its files give no title: the repository, the folder, or the zip without .zip."""
    if isinstance(source, HubSource):
        return source.name.split("/")[1]
    path = source.resolve()
    return path.name if path.is_dir() else path.stem


def read_entry(folder: Path, name: str, request: Request) -> tuple[Origin, Story, Notes]:
    """The entry's parts, the story that they tell, and what had to be guessed for it; raises as `import_entry` does."""
    names, notes = names_in(folder), Notes()
    panels = read_panels(folder, names, request.images, notes)
    path = folder / choose(names, panels, request.lora)
    lora = open_lora(path, request.base)
    if request.base == "auto":
        notes.guess("base", lora.base, "the LoRA's layers fit it; --base names another")
    used = scale(lora, panels, notes)
    pictures = [panel.picture for panel in panels]
    values = story_values(
        title_in(folder, names) or name, panels, one_size(folder, pictures), used, request.noise, notes
    )
    story = _story(values, request.settings)
    if story.train.rank != used.rank or (lora.keys != "diffsynth" and story.train.alpha != used.alpha):
        raise InputError(f"{path.name} has rank {used.rank} and alpha {used.alpha:g}; --set cannot change what it is")
    notes.forget(setting.partition("=")[0].strip() for setting in request.settings)
    return Origin(folder, name, path, lora, pictures), story, notes


def _story(values: dict[str, Any], settings: Sequence[str]) -> Story:
    """The story, with the settings of the command line put in; raises StoryError with every problem."""
    story, problems = validate(Document("the imported story", with_settings(values, settings), {}))
    if story is None:
        raise StoryError(problems)
    return story


def _say(value: dict[str, Any], bundle: Path, report: Reporter) -> None:
    """What was made, and all that a judge has to know about it."""
    for remark in value["remarks"]:
        report.note(remark)
    rows = [(one["field"], str(one["value"]), one["because"]) for one in value["guessed"]]
    if rows:
        report.table("guessed, or stated in two ways; --set FIELD=VALUE corrects it", ("field", "taken", "why"), rows)
    for name, why in value["absent"].items():
        report.say(f"        no {name}: {why}")
    report.stage("import", f"{bundle}; next: kolors-submit reproduce {bundle}", done=True)
