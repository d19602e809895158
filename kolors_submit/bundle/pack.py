"""The bundle stage: everything that is published, put together from the run's files."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kolors_submit import environment
from kolors_submit.bundle import layout, manifest, workflows
from kolors_submit.bundle.card import card_text, post_text
from kolors_submit.bundle.contents import CONFIGURATION, prompts_text, story_text
from kolors_submit.bundle.entry import Entry, FunnelStep
from kolors_submit.bundle.lora import summarise, write_diffusers
from kolors_submit.bundle.page import page_text
from kolors_submit.errors import InputError
from kolors_submit.export.comfyui import lora_name
from kolors_submit.files import atomic_path, file_digest, keep_only, read_json, write_json, write_text
from kolors_submit.run import Job, Run

NAME, FORMAT = "bundle", 3


def pack(job: Job) -> bool:
    """Write the bundle of a finished run; returns whether there was anything to do.

    The manifest is written last, so that a bundle that was cut short is known by its lack of one. Raises InputError
    where an earlier stage's file is missing or is not what that stage writes.
    """
    sources = _sources(job)
    inputs = {
        "story": job.story.model_dump(by_alias=True, mode="json"),
        "base": {"name": job.base.name, "digest": job.base.digest},
        "files": {str(path.relative_to(job.run.folder)): file_digest(path) for path in sources},
    }
    stage = job.run.stage(NAME, FORMAT)
    if stage.is_done(inputs):
        job.report.stage(NAME, "nothing to do", done=True)
        return False
    job.report.stage(NAME, ", ".join(stage.changes(inputs)[:3]))
    start = time.monotonic()
    folder = job.run.bundle
    (folder / layout.MANIFEST).unlink(missing_ok=True)
    outputs = _write(job, folder)
    keep_only(folder, outputs)
    outputs.append(manifest.write(folder))
    stage.finish(inputs, outputs, time.monotonic() - start)
    job.report.stage(NAME, f"{len(outputs)} files in {folder}", done=True)
    return True


def _sources(job: Job) -> list[Path]:
    """The files of earlier stages that the bundle is made from; raises InputError that names what is missing."""
    run = job.run
    needed = {
        "data": [run.data / "data.json", run.data / "report.json"],
        "train": [run.lora, run.train / "lora.ckpt", run.train / "train.json"],
        "render": [*_panels(job), run.render / "render.json", run.render / "story.jpg"],
        "score": [run.scores],
    }
    for verb, paths in needed.items():
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]} is missing; run `kolors-submit {verb}` first")
    paths = [path for group in needed.values() for path in group]
    return [*paths, *_before(job).values(), *filter(Path.is_file, [_metrics(run)])]


def _panels(job: Job) -> list[Path]:
    return [job.run.panel(number) for number in range(1, len(job.story.panels) + 1)]


def _before(job: Job) -> dict[int, Path]:
    """The panels that were also rendered without the LoRA, by number."""
    paths = {number: job.run.before(number) for number in range(1, len(job.story.panels) + 1)}
    return {number: path for number, path in paths.items() if path.is_file()}


def _metrics(run: Run) -> Path:
    """The loss by step; a story may switch this log off."""
    return run.train / "metrics.csv"


def _write(job: Job, folder: Path) -> list[Path]:
    """Write everything but the manifest."""
    run, entry = job.run, _entry(job)
    copies = {
        f"{layout.LORA}/{entry.safetensors}": run.lora,
        f"{layout.LORA}/{entry.ckpt}": run.train / "lora.ckpt",
        layout.SCORES: run.scores,
        layout.TRAIN: run.train / "train.json",
        layout.DATA: run.data / "data.json",
        layout.SHEET: run.render / "story.jpg",
    }
    copies |= {layout.panel_file(number): path for number, path in enumerate(_panels(job), start=1)}
    copies |= {layout.before_file(number): path for number, path in _before(job).items()}
    outputs = [_copy(source, folder / name) for name, source in copies.items()]
    outputs.append(write_diffusers(run.lora, run.train / "lora.ckpt", folder / layout.LORA / entry.diffusers))
    outputs += workflows.write(folder / layout.COMFYUI, job.story, entry.lora_name, job.report)
    outputs += [
        write_json(folder / layout.CONFIGURATION, CONFIGURATION),
        write_json(folder / layout.ENVIRONMENT, entry.environment),
        write_text(folder / layout.STORY, story_text(job.story)),
        write_text(folder / layout.PROMPTS, prompts_text(job.story)),
        write_text(folder / layout.README, card_text(entry)),
        write_text(folder / layout.POST, post_text(entry)),
        write_text(folder / layout.PAGE, page_text(entry, _panels(job), _before(job))),
    ]
    return outputs


def _copy(source: Path, target: Path) -> Path:
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)
    return target


def _entry(job: Job) -> Entry:
    """What card and page tell, from the run's files."""
    run = job.run
    render = _read(run.render / "render.json", "render")
    data = _read(run.data / "data.json", "data")
    made = {key: render[key] for key in ("base", "lora", "compute", "method") if key in render}
    return Entry(
        story=job.story,
        lora_name=lora_name(file_digest(run.lora)),
        base={"name": job.base.name, "digest": job.base.digest},
        lora=summarise(run.lora),
        train=_read(run.train / "train.json", "train"),
        pictures=len(data["pictures"]),
        funnel=_funnel(_read(run.data / "report.json", "data")),
        scores=_read(run.scores, "score"),
        environment=environment.describe(job.device) | {"render": made},
        losses=_losses(_metrics(run)),
    )


def _read(path: Path, verb: str) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged; run `kolors-submit {verb}` again")
    return value


def _funnel(report: Mapping[str, Any]) -> list[FunnelStep]:
    """Pictures left after each step of the data's report."""
    return [FunnelStep(step["step"], step["left"]) for step in report["steps"]]


def _losses(path: Path) -> list[tuple[int, float]]:
    """Step and loss of each line of metrics.csv; empty where there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
