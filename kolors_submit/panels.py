"""Panels as they are rendered: what a picture depends on, by which plan it is made, and the making of it.

The render stage, the pictures without the LoRA and the candidates of `explore` all come this way. Nothing here imports
torch before there is something to render.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.device import LEFT_ALONE, read_machine
from kolors_submit.engine.memory import Compute, keep_compiled, keep_within, release
from kolors_submit.engine.method import method_of
from kolors_submit.engine.plan import RenderPlan, Sizes, beginning_with, fitting
from kolors_submit.engine.planning import render_plans
from kolors_submit.errors import RuleError
from kolors_submit.files import file_digest, write_bytes
from kolors_submit.picture import fault_of, png_bytes
from kolors_submit.run import Job, Stage
from kolors_submit.story import Prompt, Render
from kolors_submit.weights import Base, count_parameters

if TYPE_CHECKING:
    from PIL import Image

    from kolors_submit.engine.sampler import Task

NAME, FORMAT = "render", 2
"""The stage, and the version of its files and its arithmetic."""


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


def plans_of(
    job: Job, like: Mapping[str, Any] | None = None, own: Mapping[str, Any] | None = None
) -> tuple[RenderPlan, ...]:
    """The plans to try in turn; the first is the one that earlier pictures were made by, where it still can be.

    These are the caller's own, made with the recorded arithmetic `own`, else the run's panels, else those that the new
    ones are to be `like`.
    """
    settings, machine = job.story.render, read_machine(job.device, job.vram)
    sizes = Sizes(0, 0, 0) if machine.device == "cpu" else sizes_of(job.base, settings)
    plans = render_plans(machine, settings, len(job.story.panels), sizes, like is not None)
    return beginning_with(own or panels_made_by(job) or like, plans, fitting(plans, machine))


def panels_made_by(job: Job) -> dict[str, Any] | None:
    """The arithmetic that the run's panels of the LoRA that is there now were made by, where any is."""
    lora = file_digest(job.run.lora) if job.run.lora.is_file() else None
    return made_by((record_of(job, number) for number in range(1, len(job.story.panels) + 1)), lora)


def made_by(records: Iterable[Stage], lora_digest: str | None) -> dict[str, Any] | None:
    """The arithmetic of the first picture recorded with this LoRA; another LoRA's are rendered anew anyway."""
    made = (record.inputs() for record in records)
    return next((one["compute"] for one in made if "compute" in one and one.get("lora") == lora_digest), None)


def record_of(job: Job, number: int) -> Stage:
    """The record of one of the story's panels, counted from 1."""
    return job.run.stage(f"{NAME}.{number:02d}", FORMAT)


def sizes_of(base: Base, settings: Render) -> Sizes:
    """What rendering with a base takes memory and time by."""
    area = settings.width * settings.height // 64
    return Sizes(count_parameters(base, "unet"), count_parameters(base, "text_encoder"), area)


def panel_inputs(job: Job, prompt: Prompt, seed: int, compute: Compute, lora_digest: str) -> dict[str, Any]:
    """All that one picture's bytes depend on."""
    return {
        "base": job.base.digest,
        "lora": lora_digest,
        **settings_of(job),
        "compute": compute.record(),
        "prompt": prompt.positive,
        "negative": prompt.negative,
        "seed": seed,
    }


def settings_of(job: Job) -> dict[str, Any]:
    """The story's render settings, and for `quality: fast` what was done instead."""
    settings = job.story.render
    said = {"settings": settings.model_dump(mode="json")}
    return said if settings.quality == "exact" else said | {"method": method_of(settings).record()}


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
    if machine.left_alone:
        job.report.note(LEFT_ALONE.format(machine.left_alone))
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
    how = compute.device_kind, compute.torch_dtype, folder, plan.stream_text_encoder
    encoded = encode_cached(job.base, prompts, *how, job.report.note)
    return [
        Task(positive, negative, panel.seed)
        for panel, positive, negative in zip(pending, encoded[::2], encoded[1::2], strict=True)
    ]
