"""What the LoRA changes: two panels from the same prompts and seeds as the base alone draws them, for the page.

They lie in a folder of their own, because the contest's scorer averages every picture beside the panels.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from kolors_submit.engine.memory import Compute, stepping_down
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.files import keep_only
from kolors_submit.panels import PanelJob, made_by, panel_inputs, plans_of, render_panels
from kolors_submit.run import Job, Stage
from kolors_submit.story import panel_prompt

NAME, FORMAT = "before", 1


def render_before(job: Job) -> bool:
    """Render the panels of `numbers` without the LoRA where they are not as the story says; True if any was.

    A picture that shows nothing is said, left out, and not tried again: the entry does not depend on it.
    """
    bare, wanted = _without_lora(job), numbers(len(job.story.panels))
    # These are compared by eye: the batch that all panels share would be filled up to no purpose.
    plans = plans_of(job, own=made_by((_record(job, number) for number in wanted), None))
    small = [plan for plan in plans if plan.compute.panels <= len(wanted)] or plans

    def pending(plan: RenderPlan) -> list[PanelJob]:
        panels = [_panel_job(bare, number, plan.compute) for number in wanted]
        return [panel for panel in panels if not panel.record.is_done(panel.inputs)]

    def attempt(plan: RenderPlan) -> bool:
        panels = pending(plan)
        if not panels:
            return False
        job.report.stage(NAME, f"panels {', '.join(str(panel.number) for panel in panels)} without the LoRA")
        # At strength zero the LoRA adds zeros: these are the base's own weights.
        render_panels(bare, panels, plan, job.run.lora, partial(_leave_out, job))
        return True

    rendered = bool(pending(small[0])) and stepping_down(small, attempt, job.report.note)
    keep_only(job.run.folder / NAME, [job.run.before(number) for number in wanted])
    return rendered


def numbers(panels: int) -> list[int]:
    """The panels that are drawn without the LoRA too, counted from 1: the first, and one in the middle."""
    return sorted({1, panels // 2 + 1})


def _without_lora(job: Job) -> Job:
    """The job with a LoRA strength of zero."""
    settings = job.story.render.model_copy(update={"lora_strength": 0.0})
    return replace(job, story=job.story.model_copy(update={"render": settings}))


def _panel_job(job: Job, number: int, compute: Compute) -> PanelJob:
    """The panel with what its picture depends on, which is not the LoRA."""
    panel = job.story.panels[number - 1]
    prompt = panel_prompt(job.story, panel)
    inputs = panel_inputs(job, prompt, panel.seed, compute, "") | {"lora": None}
    return PanelJob(number, panel.scene, prompt, panel.seed, job.run.before(number), _record(job, number), inputs)


def _record(job: Job, number: int) -> Stage:
    return job.run.stage(f"{NAME}.{number:02d}", FORMAT)


def _leave_out(job: Job, panel: PanelJob, fault: str) -> None:
    """Say so, and record that there is no picture: one of an earlier prompt would be taken for this one's."""
    job.report.note(f"panel {panel.number} without the LoRA {fault}; the page leaves it out")
    panel.path.unlink(missing_ok=True)
    panel.record.finish(panel.inputs, [])
