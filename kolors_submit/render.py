"""The panels: text embeddings, the UNet with the LoRA merged in, sampling, pictures, and the story's sheet.

Each panel has a record of its own, so that only changed panels are rendered again and a killed run goes on at the next
one. Nothing here imports torch before there is something to render.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.device import has_compiler, read_machine
from kolors_submit.engine.memory import Compute, keep_compiled, keep_within, release, stepping_down
from kolors_submit.engine.method import method_of
from kolors_submit.engine.plan import RenderPlan, Sizes, beginning_with, fitting, render_plans
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import file_digest, keep_only, write_bytes, write_json
from kolors_submit.picture import fault_of, png_bytes
from kolors_submit.run import Job, Stage
from kolors_submit.story import Prompt, panel_prompt
from kolors_submit.weights import count_parameters

if TYPE_CHECKING:
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

    def said(self) -> dict[str, Any]:
        """What the story says of it, as JSON values."""
        return {
            "scene": self.scene,
            "prompt": self.prompt.positive,
            "negative": self.prompt.negative,
            "seed": self.seed,
        }


def render(job: Job, only: Collection[int] | None = None, like: Mapping[str, Any] | None = None) -> bool:
    """Render the panels that are not as the story and the LoRA say; returns whether there was anything to do.

    `only` are the numbers of the panels to render, all without it; the others' pictures go. `like` is the recorded
    arithmetic of pictures that these will be compared with, and is kept to where this machine can.

    Raises InputError where there is no LoRA or it does not fit the base, RuleError for a picture that shows nothing,
    OutsideError where the GPU's memory does not carry the leanest plan.
    """
    plans, lora_digest = plans_of(job, like), _lora_digest(job.run.lora)
    panels = _panel_jobs(job, plans[0].compute, lora_digest, only)
    stage = job.run.stage(NAME, FORMAT)
    if stage.is_done(_inputs(job, panels, plans[0].compute, lora_digest)) and not _pending(panels):
        job.report.stage(NAME, "nothing to do", done=True)
        return False
    started = time.monotonic()
    plan, done = stepping_down(plans, lambda plan: _render_pending(job, plan, lora_digest, only), job.report.note)
    panels = _panel_jobs(job, plan.compute, lora_digest, only)
    outputs = [panel.path for panel in panels] + [_write_sheet(job, panels)]
    outputs.append(write_json(job.run.render / "render.json", _summary(job, panels, plan, lora_digest)))
    keep_only(job.run.render, outputs)
    stage.finish(_inputs(job, panels, plan.compute, lora_digest), outputs, time.monotonic() - started)
    job.report.stage(NAME, f"{done} of {len(panels)} panels rendered", done=True)
    return True


def plan_of(job: Job) -> RenderPlan:
    """How the story's panels are rendered on this machine, or were already."""
    return plans_of(job)[0]


def plans_of(job: Job, like: Mapping[str, Any] | None = None) -> tuple[RenderPlan, ...]:
    """The plans to try in turn; the first is the one that earlier panels were made by, where it still can be."""
    settings, machine = job.story.render, read_machine(job.device, job.vram)
    if like is not None:
        machine = dataclasses.replace(machine, devices=1)  # sharing out would leave no plan with the larger batches
    sizes = Sizes(0, 0, 0) if machine.device == "cpu" else _sizes(job)
    plans = render_plans(machine, settings, len(job.story.panels), sizes)
    numbers = range(1, len(job.story.panels) + 1)
    records = (job.run.stage(f"{NAME}.{number:02d}", FORMAT).inputs() for number in numbers)
    made_by = next((inputs["compute"] for inputs in records if "compute" in inputs), like)
    return beginning_with(made_by, plans, fitting(plans, machine))


def _sizes(job: Job) -> Sizes:
    settings = job.story.render
    area = settings.width * settings.height // 64
    return Sizes(count_parameters(job.base, "unet"), count_parameters(job.base, "text_encoder"), area)


def _pending(panels: Sequence[PanelJob]) -> list[PanelJob]:
    return [panel for panel in panels if not panel.record.is_done(panel.inputs)]


def _render_pending(
    job: Job, plan: RenderPlan, lora_digest: str, only: Collection[int] | None
) -> tuple[RenderPlan, int]:
    """Render what is not done by this plan; returns it and how many panels that were."""
    pending = _pending(_panel_jobs(job, plan.compute, lora_digest, only))
    for panel in pending:
        job.report.stage(NAME, f"panel {panel.number}: {', '.join(panel.record.changes(panel.inputs)[:3])}")
    if pending:
        job.report.stage(NAME, str(plan))
        if job.device != "cpu" and not has_compiler():
            job.report.note("no C compiler here (cc, gcc or clang), so nothing is compiled: rendering takes longer")
        render_panels(job, pending, plan, job.run.lora)
    return plan, len(pending)


def _lora_digest(lora: Path) -> str:
    if not lora.is_file():
        raise InputError(f"there is no LoRA at {lora}; run `kolors-submit train` first")
    return file_digest(lora)


def _panel_jobs(job: Job, compute: Compute, lora_digest: str, only: Collection[int] | None) -> list[PanelJob]:
    panels = []
    for number, panel in enumerate(job.story.panels, start=1):
        if only is not None and number not in only:
            continue
        prompt = panel_prompt(job.story, panel)
        inputs = panel_inputs(job, prompt, panel.seed, compute, lora_digest)
        record = job.run.stage(f"{NAME}.{number:02d}", FORMAT)
        panels.append(PanelJob(number, panel.scene, prompt, panel.seed, job.run.panel(number), record, inputs))
    return panels


def panel_inputs(job: Job, prompt: Prompt, seed: int, compute: Compute, lora_digest: str) -> dict[str, Any]:
    """All that one picture's bytes depend on."""
    return {
        "base": job.base.digest,
        "lora": lora_digest,
        **_settings(job),
        "compute": compute.record(),
        "prompt": prompt.positive,
        "negative": prompt.negative,
        "seed": seed,
    }


def _settings(job: Job) -> dict[str, Any]:
    """The story's render settings, and for `quality: fast` what was done instead."""
    settings = job.story.render
    said = {"settings": settings.model_dump(mode="json")}
    return said if settings.quality == "exact" else said | {"method": method_of(settings).record()}


def _inputs(job: Job, panels: Sequence[PanelJob], compute: Compute, lora_digest: str) -> dict[str, Any]:
    """What the whole of the stage depends on: the panels, and what the sheet and render.json say beside them."""
    return {
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": lora_digest,
        **_settings(job),
        "compute": compute.record(),
        "title": job.story.title,
        "team": job.story.team,
        "panels": {f"{panel.number:02d}": panel.said() for panel in panels},
    }


def _refuse(panel: PanelJob, fault: str) -> None:
    """Raise RuleError that names the panel."""
    float16 = panel.inputs["compute"]["dtype"] == "float16"
    half = " or a base with a VAE that is safe in half precision" if float16 else ""
    advice = f"try a lower render.lora_strength, another seed{half}"
    raise RuleError(f"panel {panel.number} ({panel.scene}) {fault}; {advice}")


def render_panels(
    job: Job,
    pending: Sequence[PanelJob],
    plan: RenderPlan,
    lora: Path,
    on_fault: Callable[[PanelJob, str], None] = _refuse,
) -> None:
    """Render the pending panels with a LoRA, each written and recorded as soon as it is there.

    A picture that shows nothing is not written; `on_fault` is told, and raises RuleError unless the caller gives
    another.
    """
    from kolors_submit.engine import base as bases
    from kolors_submit.engine.draw import draw, load_models
    from kolors_submit.engine.lora_files import read

    settings, machine = job.story.render, read_machine(job.device, job.vram)
    if machine.device != "cpu":
        keep_within(machine)
        keep_compiled(job.run.compiled)
    tasks = _tasks(job, pending, plan)
    method = method_of(settings)

    def deliver(index: int, picture: Image.Image | None, seconds: float) -> None:
        panel = pending[index]
        fault = "is not finite" if picture is None else fault_of(picture)
        if picture is None or fault is not None:
            on_fault(panel, str(fault))
            return
        png = png_bytes(picture, panel.prompt, panel.seed, method.applied(settings), panel.inputs["lora"])
        write_bytes(panel.path, png)
        panel.record.finish(panel.inputs, [panel.path], seconds)

    weights = read(lora, bases.config(job.base, "unet"))
    load = partial(load_models, job.base, weights, settings, plan)
    with job.report.progress(NAME, len(pending) * method.steps) as advance:
        draw(load, tasks, settings, plan, deliver, advance, machine.devices)
    release(machine.device)


def _tasks(job: Job, pending: Sequence[PanelJob], plan: RenderPlan) -> list[Task]:
    """The sampler's tasks; each new prompt's embedding goes into the run's cache."""
    from kolors_submit.engine.conditioning import encode_cached
    from kolors_submit.engine.sampler import Task

    prompts = [text for panel in pending for text in (panel.prompt.positive, panel.prompt.negative)]
    folder, compute = job.run.cache / "text", plan.compute
    encoded = encode_cached(
        job.base, prompts, compute.device_kind, compute.torch_dtype, folder, plan.stream_text_encoder
    )
    return [
        Task(positive, negative, panel.seed)
        for panel, positive, negative in zip(pending, encoded[::2], encoded[1::2], strict=True)
    ]


def _write_sheet(job: Job, panels: Sequence[PanelJob]) -> Path:
    from kolors_submit.sheet import story_sheet

    paths, captions = [panel.path for panel in panels], [panel.scene for panel in panels]
    sheet = story_sheet(paths, captions, job.story.title, job.story.team)
    return write_bytes(job.run.render / "story.jpg", sheet)


def _summary(job: Job, panels: Sequence[PanelJob], plan: RenderPlan, lora_digest: str) -> dict[str, Any]:
    """What render.json says."""
    strength = job.story.render.lora_strength
    return {
        "format": FORMAT,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": {"sha256": lora_digest, "strength": strength, "modules": _count_modules(job.run.lora)},
        **_settings(job),
        "compute": plan.compute.record(),
        "plan": str(plan),
        "panels": [
            {"number": panel.number, **panel.said(), "file": panel.path.name, "sha256": file_digest(panel.path)}
            for panel in panels
        ],
    }


def _count_modules(lora: Path) -> int:
    """How many layers the LoRA has, all of which were merged; its header is read without torch."""
    from safetensors import safe_open

    with safe_open(lora, framework="numpy") as file:
        return sum(".lora_down." in key or ".lora_A." in key for key in file.keys())  # noqa: SIM118
