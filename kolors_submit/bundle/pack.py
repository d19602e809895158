"""The bundle stage: everything that is published, put together from the run's files."""

from __future__ import annotations

import csv
import math
import shutil
import time
from pathlib import Path
from typing import Any

from kolors_submit import environment
from kolors_submit.bundle import documents, history, layout, manifest, workflows
from kolors_submit.bundle.contents import CONFIGURATION, prompts_text, story_text
from kolors_submit.bundle.entry import FunnelStep
from kolors_submit.bundle.lora import write_diffusers
from kolors_submit.errors import InputError
from kolors_submit.export.comfyui import lora_name
from kolors_submit.files import atomic_path, file_digest, keep_only, read_json, write_json, write_text
from kolors_submit.run import Job, Run

NAME, FORMAT = "bundle", 4


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
    run, name = job.run, lora_name(file_digest(job.run.lora))
    copies = {
        f"{layout.LORA}/{name}.safetensors": run.lora,
        f"{layout.LORA}/{name}.ckpt": run.train / "lora.ckpt",
        layout.SCORES: run.scores,
        layout.TRAIN: run.train / "train.json",
        layout.DATA: run.data / "data.json",
        layout.SHEET: run.render / "story.jpg",
    }
    copies |= {layout.panel_file(number): path for number, path in enumerate(_panels(job), start=1)}
    copies |= {layout.before_file(number): path for number, path in _before(job).items()}
    outputs = [_copy(source, folder / name) for name, source in copies.items()]
    diffusers = folder / layout.LORA / f"{name}{layout.DIFFUSERS}"
    outputs.append(write_diffusers(run.lora, run.train / "lora.ckpt", diffusers))
    outputs += [
        write_json(folder / layout.CONFIGURATION, CONFIGURATION),
        write_json(folder / layout.ENVIRONMENT, _environment(job)),
        write_json(folder / layout.HISTORY, history.value(_funnel(job), _losses(_metrics(run)))),
        write_text(folder / layout.STORY, story_text(job.story)),
        write_text(folder / layout.PROMPTS, prompts_text(job.story)),
    ]
    workflows.say_left_out(job.story, job.report)
    return outputs + documents.write(folder, [path.relative_to(folder).as_posix() for path in outputs])


def _copy(source: Path, target: Path) -> Path:
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)
    return target


def _environment(job: Job) -> dict[str, Any]:
    """What environment.json says: what the bundle is packed with, and how the panels were rendered."""
    render = _read(job.run.render / "render.json", "render")
    made = {key: render[key] for key in ("base", "lora", "compute", "method") if key in render}
    return environment.describe(job.device) | {"render": made}


def _read(path: Path, verb: str) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged; run `kolors-submit {verb}` again")
    return value


def _funnel(job: Job) -> list[FunnelStep]:
    """Pictures left after each step of the data's report."""
    report = _read(job.run.data / "report.json", "data")
    return [FunnelStep(step["step"], step["left"]) for step in report["steps"]]


def _losses(path: Path) -> list[tuple[int, float]]:
    """Step and loss of each line of metrics.csv that has a finite one; empty where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        points = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    return [(step, loss) for step, loss in points if math.isfinite(loss)]
