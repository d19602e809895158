"""The panels: text embeddings, the UNet with the LoRA merged in, sampling, pictures, and the story's sheet.

Each panel has a record of its own, so that only changed panels are rendered again and a killed run goes on at the next
one. Nothing here imports torch before there is something to render.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.engine.memory import Compute, compute_for
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import file_digest, keep_only, write_bytes, write_json
from kolors_submit.picture import fault_of, png_bytes
from kolors_submit.run import Job, Stage
from kolors_submit.story import Prompt, panel_prompt

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from PIL import Image

    from kolors_submit.engine.sampler import Task

NAME = "render"
FORMAT = 2


@dataclass(frozen=True)
class PanelJob:
    """One panel as it is to be rendered, with the record that says whether it is done."""

    number: int
    scene: str
    prompt: Prompt
    seed: int
    path: Path
    record: Stage
    inputs: dict[str, Any]


def render(job: Job) -> bool:
    """Render the panels that are not as the story and the LoRA say; returns whether there was anything to do.

    Raises InputError where there is no LoRA or it does not fit the base, RuleError for a picture that shows nothing.
    """
    compute = compute_for(job.device)
    lora_digest = _lora_digest(job.run.lora)
    panels = _panel_jobs(job, compute, lora_digest)
    inputs = _inputs(job, panels, compute, lora_digest)
    stage = job.run.stage(NAME, FORMAT)
    if stage.is_done(inputs) and all(panel.record.is_done(panel.inputs) for panel in panels):
        job.report.stage(NAME, "nothing to do", done=True)
        return False
    started = time.monotonic()
    pending = [panel for panel in panels if not panel.record.is_done(panel.inputs)]
    for panel in pending:
        job.report.stage(NAME, f"panel {panel.number}: {', '.join(panel.record.changes(panel.inputs)[:3])}")
    if pending:
        _render_panels(job, pending, compute)
    outputs = [panel.path for panel in panels] + [_write_sheet(job, panels)]
    outputs.append(write_json(job.run.render / "render.json", _summary(job, panels, compute, lora_digest)))
    keep_only(job.run.render, outputs)
    stage.finish(inputs, outputs, time.monotonic() - started)
    job.report.stage(NAME, f"{len(pending)} of {len(panels)} panels rendered", done=True)
    return True


def _lora_digest(lora: Path) -> str:
    if not lora.is_file():
        raise InputError(f"there is no LoRA at {lora}; run `kolors-submit train` first")
    return file_digest(lora)


def _panel_jobs(job: Job, compute: Compute, lora_digest: str) -> list[PanelJob]:
    panels = []
    for number, panel in enumerate(job.story.panels, start=1):
        prompt = panel_prompt(job.story, panel)
        inputs = {
            "base": job.base.digest,
            "lora": lora_digest,
            "settings": job.story.render.model_dump(mode="json"),
            "compute": compute.record(),
            "prompt": prompt.positive,
            "negative": prompt.negative,
            "seed": panel.seed,
        }
        record = job.run.stage(f"{NAME}.{number:02d}", FORMAT)
        panels.append(PanelJob(number, panel.scene, prompt, panel.seed, job.run.panel(number), record, inputs))
    return panels


def _inputs(job: Job, panels: Sequence[PanelJob], compute: Compute, lora_digest: str) -> dict[str, Any]:
    """What the whole of the stage depends on: the panels, and what the sheet and render.json say beside them."""
    return {
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": lora_digest,
        "settings": job.story.render.model_dump(mode="json"),
        "compute": compute.record(),
        "title": job.story.title,
        "team": job.story.team,
        "panels": {
            f"{panel.number:02d}": {
                "scene": panel.scene,
                "prompt": panel.prompt.positive,
                "negative": panel.prompt.negative,
                "seed": panel.seed,
            }
            for panel in panels
        },
    }


def _render_panels(job: Job, pending: Sequence[PanelJob], compute: Compute) -> None:
    """Render the pending panels, each written and recorded as soon as it is there."""
    from kolors_submit.engine import base as bases
    from kolors_submit.engine.memory import compute_all, release
    from kolors_submit.engine.sampler import check_size, decode, sample

    settings, device = job.story.render, compute.device_kind
    check_size(settings)
    tasks = _tasks(job, pending, compute)
    unet = _unet_with_lora(job, compute)
    decoder = bases.load_vae_decoder(job.base, device, compute.torch_dtype)
    with job.report.progress(NAME, len(pending) * settings.steps) as advance:

        def render_batch(batch: Sequence[PanelJob], go_on: Callable[[], None]) -> None:
            def step(pictures: int) -> None:
                go_on()
                advance(pictures)

            begun = time.monotonic()
            latents = sample(unet, [tasks[panel.number] for panel in batch], settings, compute, step)
            for panel, latent in zip(batch, latents, strict=True):
                picture = _checked(decode(decoder, latent), panel, compute)
                png = png_bytes(picture, panel.prompt, panel.seed, settings, panel.inputs["lora"])
                write_bytes(panel.path, png)
                panel.record.finish(panel.inputs, [panel.path], (time.monotonic() - begun) / len(batch))

        batches = [pending[start : start + compute.panels] for start in range(0, len(pending), compute.panels)]
        compute_all(device, render_batch, batches)
    release(device)


def _tasks(job: Job, pending: Sequence[PanelJob], compute: Compute) -> dict[int, Task]:
    """The sampler's tasks by panel number; each new prompt's embedding goes into the run's cache."""
    from kolors_submit.engine.conditioning import encode_cached
    from kolors_submit.engine.sampler import Task

    prompts = [text for panel in pending for text in (panel.prompt.positive, panel.prompt.negative)]
    folder = job.run.cache / "text"
    encoded = encode_cached(job.base, prompts, compute.device_kind, compute.torch_dtype, folder)
    return {
        panel.number: Task(positive, negative, panel.seed)
        for panel, positive, negative in zip(pending, encoded[::2], encoded[1::2], strict=True)
    }


def _unet_with_lora(job: Job, compute: Compute) -> SDXLUNet:
    from kolors_submit.engine import base as bases
    from kolors_submit.engine.lora import merge
    from kolors_submit.engine.lora_files import read

    lora = read(job.run.lora, bases.config(job.base, "unet"))
    unet = bases.load_unet(job.base, compute.device_kind, compute.torch_dtype)
    merge(unet, lora, job.story.render.lora_strength)
    return unet


def _checked(picture: Image.Image | None, panel: PanelJob, compute: Compute) -> Image.Image:
    """The picture, if it shows something; raises RuleError that names the panel if it does not."""
    fault = "is not finite" if picture is None else fault_of(picture)
    if picture is None or fault is not None:
        half = " or a base with a VAE that is safe in half precision" if compute.dtype == "float16" else ""
        advice = f"try a lower render.lora_strength, another seed{half}"
        raise RuleError(f"panel {panel.number} ({panel.scene}) {fault}; {advice}")
    return picture


def _write_sheet(job: Job, panels: Sequence[PanelJob]) -> Path:
    from kolors_submit.sheet import story_sheet

    paths, captions = [panel.path for panel in panels], [panel.scene for panel in panels]
    sheet = story_sheet(paths, captions, job.story.title, job.story.team)
    return write_bytes(job.run.render / "story.jpg", sheet)


def _summary(job: Job, panels: Sequence[PanelJob], compute: Compute, lora_digest: str) -> dict[str, Any]:
    """What render.json says."""
    strength = job.story.render.lora_strength
    return {
        "format": FORMAT,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": {"sha256": lora_digest, "strength": strength, "modules": _count_modules(job.run.lora)},
        "settings": job.story.render.model_dump(mode="json"),
        "compute": compute.record(),
        "panels": [
            {
                "number": panel.number,
                "scene": panel.scene,
                "prompt": panel.prompt.positive,
                "negative": panel.prompt.negative,
                "seed": panel.seed,
                "file": panel.path.name,
                "sha256": file_digest(panel.path),
            }
            for panel in panels
        ],
    }


def _count_modules(lora: Path) -> int:
    """How many layers the LoRA has, all of which were merged; its header is read without torch."""
    from safetensors import safe_open

    with safe_open(lora, framework="numpy") as file:
        return sum(".lora_down." in key or ".lora_A." in key for key in file.keys())  # noqa: SIM118
