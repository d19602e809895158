"""The render stage: the story's panels, what was done for them, and their sheet.

Each panel has a record of its own, so that only changed panels are rendered again and a killed run goes on at the next
one. Nothing here imports torch before there is something to render.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.device import NO_COMPILER, has_compiler
from kolors_submit.engine.memory import Compute, stepping_down
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest, keep_only, write_bytes, write_json
from kolors_submit.panels import (
    FORMAT,
    NAME,
    PanelJob,
    panel_inputs,
    plans_of,
    record_of,
    render_panels,
    settings_of,
)
from kolors_submit.run import Job
from kolors_submit.story import panel_prompt


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


def _pending(panels: Sequence[PanelJob]) -> list[PanelJob]:
    return [panel for panel in panels if not panel.record.is_done(panel.inputs)]


def _reasons(pending: Sequence[PanelJob]) -> dict[str, list[int]]:
    """Why panels are rendered, and the numbers of those that are rendered for it."""
    reasons: dict[str, list[int]] = {}
    for panel in pending:
        why = ", ".join(panel.record.changes(panel.inputs)[:3])
        reasons.setdefault(why, []).append(panel.number)
    return reasons


def _render_pending(
    job: Job, plan: RenderPlan, lora_digest: str, only: Collection[int] | None
) -> tuple[RenderPlan, int]:
    """Render what is not done by this plan; returns it and how many panels that were."""
    pending = _pending(_panel_jobs(job, plan.compute, lora_digest, only))
    for why, numbers in _reasons(pending).items():
        job.report.stage(NAME, f"panel{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: {why}")
    if pending:
        job.report.stage(NAME, str(plan))
        if job.device != "cpu" and not has_compiler():
            job.report.note(NO_COMPILER.format("rendering"))
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
        panels.append(
            PanelJob(number, panel.scene, prompt, panel.seed, job.run.panel(number), record_of(job, number), inputs)
        )
    return panels


def _inputs(job: Job, panels: Sequence[PanelJob], compute: Compute, lora_digest: str) -> dict[str, Any]:
    """What the whole of the stage depends on: the panels, and what the sheet and render.json say beside them."""
    return {
        "base": {"name": job.base.name, "digest": job.base.digest},
        "lora": lora_digest,
        **settings_of(job),
        "compute": compute.record(),
        "title": job.story.title,
        "team": job.story.team,
        "panels": {f"{panel.number:02d}": panel.said() for panel in panels},
    }


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
        **settings_of(job),
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
