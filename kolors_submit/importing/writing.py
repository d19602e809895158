"""The bundle of an imported entry: its pictures' pixels, its LoRA, its words, and what is and is not known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kolors_submit import weights
from kolors_submit.base_names import KOLORS
from kolors_submit.bundle import documents, history, layout, manifest, workflows
from kolors_submit.bundle.contents import CONFIGURATION, prompts_text, story_text
from kolors_submit.errors import OutsideError
from kolors_submit.files import file_digest, keep_only, write_bytes, write_json, write_text
from kolors_submit.importing import lora as loras
from kolors_submit.importing.pictures import pixels
from kolors_submit.importing.settle import Notes
from kolors_submit.picture import png_bytes
from kolors_submit.report import Reporter
from kolors_submit.score import score_folder
from kolors_submit.sheet import story_sheet
from kolors_submit.story import Story, panel_prompt

FORMAT = 1
TRAIN_FORMAT = 1
ABSENT = {
    layout.DATA: "the entry does not say which pictures the LoRA learned from",
    layout.ENVIRONMENT: "the entry does not say what it was rendered with",
}


@dataclass(frozen=True)
class Origin:
    """What a bundle is imported from: the opened entry, its name, its LoRA, and its panels' pictures in order."""

    folder: Path
    name: str
    lora_file: Path
    lora: loras.Found
    pictures: list[str]


def write(folder: Path, origin: Origin, story: Story, notes: Notes, device: str, report: Reporter) -> dict[str, Any]:
    """Write the bundle, its manifest last; returns import.json's value."""
    (folder / layout.MANIFEST).unlink(missing_ok=True)
    base = _base(origin.lora)
    on = {"name": origin.lora.base, "digest": base.digest if base else None}
    summary, outputs = loras.write(origin.lora, story.train.alpha, folder / layout.LORA)
    panels = _panels(folder, origin, story, file_digest(outputs[0]))
    sheet = story_sheet(panels, [panel.scene for panel in story.panels], story.title, story.team)
    outputs += [*panels, write_bytes(folder / layout.SHEET, sheet)]
    workflows.say_left_out(story, report)
    scores, absent = _scores(folder, base, story, device, report)
    value = _value(origin, notes, absent, outputs[0].relative_to(folder).as_posix())
    train = {"format": TRAIN_FORMAT, "base": on, "modules": summary.modules}
    jsons = {layout.IMPORT: value, layout.TRAIN: train, layout.CONFIGURATION: CONFIGURATION}
    jsons |= {layout.HISTORY: history.value((), ())} | ({layout.SCORES: scores} if scores else {})
    outputs += [write_json(folder / path, content) for path, content in jsons.items()]
    outputs += [
        write_text(folder / layout.STORY, story_text(story, only_said=True)),
        write_text(folder / layout.PROMPTS, prompts_text(story)),
    ]
    outputs += documents.write(folder, [path.relative_to(folder).as_posix() for path in outputs])
    keep_only(folder, outputs)
    manifest.write(folder)
    return value


def _base(lora: loras.Found) -> weights.Base | None:
    """The base that the LoRA fits, where its files are here."""
    folder = lora.folder
    if folder is None:
        known = weights.KNOWN[KOLORS]
        folder = known.folder if known.is_here() else None
    return weights.open_base(folder, lora.base) if folder is not None else None


def _panels(folder: Path, origin: Origin, story: Story, lora_digest: str) -> list[Path]:
    """The panels, written anew from their pixels with what the story says of them.

    Nothing else of a stranger's picture file goes further, and nothing of an earlier import stays beside them, where it
    would be scored.
    """
    paths = []
    for number, (name, panel) in enumerate(zip(origin.pictures, story.panels, strict=True), start=1):
        prompt = panel_prompt(story, panel)
        png = png_bytes(pixels(origin.folder, name), prompt, panel.seed, story.render, lora_digest)
        paths.append(write_bytes(folder / layout.panel_file(number), png))
    keep_only(folder / layout.IMAGES, paths)
    return paths


def _scores(
    folder: Path, base: weights.Base | None, story: Story, device: str, report: Reporter
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """scores.json's value measured here, or None and why not."""
    try:
        predictor = weights.find_predictor(base)
    except OutsideError as error:
        return None, {**ABSENT, layout.SCORES: f"not measured: {error}"}
    scores = score_folder(folder / layout.IMAGES, predictor, report, device)
    threshold = story.gate.threshold
    return scores | {"threshold": threshold, "passed": scores["mean"] >= threshold}, ABSENT


def _value(origin: Origin, notes: Notes, absent: Mapping[str, str], lora: str) -> dict[str, Any]:
    """What import.json says."""
    names = {lora: origin.lora_file.relative_to(origin.folder).as_posix()}
    names |= {layout.panel_file(number): name for number, name in enumerate(origin.pictures, start=1)}
    return {
        "format": FORMAT,
        "source": origin.name,
        "files": {made: {"from": name, "sha256": file_digest(origin.folder / name)} for made, name in names.items()},
        "guessed": [asdict(one) for one in notes.guesses],
        "remarks": notes.remarks,
        "absent": dict(absent),
    }
