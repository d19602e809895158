"""Render the candidates that are missing, measure all of them, and lay them out: sheets, a table, a page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from kolors_submit.engine.memory import compute_for, stepping_down
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.errors import RuleError
from kolors_submit.explore.loras import loras_for
from kolors_submit.explore.measure import Instruments, Measures, find_instruments, measure
from kolors_submit.explore.page import page_text
from kolors_submit.explore.plan import Candidate, Grid, Variant, candidates_of, panels_of, variants_of
from kolors_submit.files import file_digest, read_json, write_bytes, write_json, write_text
from kolors_submit.panels import PanelJob, made_by, plans_of, render_panels
from kolors_submit.run import Job
from kolors_submit.sheet import story_sheet
from kolors_submit.story import panel_prompt, refuse_unfilled

NAME, FORMAT = "explore", 3
SHOWN = 3
"""Candidates of each panel in the table."""


def explore(job: Job, grid: Grid, story: str) -> dict[str, Any]:
    """Render and measure every candidate of the grid; returns the value of explored.json.

    `story` is the story file's name. Candidates that are there already stay, so a killed call goes on. Raises
    InputError where there is no LoRA or no such panel or checkpoint, RuleError where no candidate shows anything.
    """
    refuse_unfilled(job.story, job.story_file)
    panels = panels_of(job, grid)
    variants = variants_of(job, grid, loras_for(job, grid.checkpoints))
    candidates = [one for variant in variants for one in _rendered(job, variant, panels, grid.seeds)]
    shown = [candidate for candidate in candidates if candidate.path.is_file()]
    if not shown:
        raise RuleError("no candidate shows anything; try a lower --lora-strength")
    others, instruments = _others(job, panels), find_instruments(job)
    inputs = _inputs(job, story, variants, shown, others, instruments)
    stage = job.run.explore.stage(NAME, FORMAT)
    done = stage.is_done(inputs)
    if not done:
        started = time.monotonic()
        measured = list(zip(shown, measure(job, instruments, shown, others), strict=True))
        value = _value(job, story, variants, instruments, measured)
        stage.finish(inputs, _write(job, value), time.monotonic() - started)
    value = read_json(job.run.explore.folder / "explored.json")
    _say(job, value)
    said = "nothing to do" if done else f"{len(shown)} candidates"
    job.report.stage(NAME, f"{said}; look through them in {outputs(job)['page']}", done=True)
    return value


def outputs(job: Job) -> dict[str, Path]:
    """What `explore` leaves for people."""
    folder = job.run.explore.folder
    return {"page": folder / "index.html", "sheets": folder / "sheets", "explored": folder / "explored.json"}


def _rendered(job: Job, variant: Variant, panels: Sequence[int], seeds: int) -> list[Candidate]:
    """The candidates of one variant, those that were missing rendered as the stage would render them."""
    plans = plans_of(variant.job, like=_made_before(variant, panels, seeds))
    candidates = candidates_of(variant, panels, seeds, plans[0].compute)
    if not _pending(candidates):
        return candidates

    def attempt(plan: RenderPlan) -> list[Candidate]:
        candidates = candidates_of(variant, panels, seeds, plan.compute)
        pending = _pending(candidates)
        if not pending:
            return candidates
        job.report.stage(NAME, f"{variant.name}: {len(pending)} of {len(candidates)} candidates to render")
        render_panels(variant.job, pending, plan, variant.lora, leave_out)
        return candidates

    def leave_out(panel: PanelJob, fault: str) -> None:
        job.report.note(f"panel {panel.number} with seed {panel.seed} {fault}; it is left out")
        panel.path.unlink(missing_ok=True)
        panel.record.finish(panel.inputs, [])

    return stepping_down(plans, attempt, job.report.note)


def _made_before(variant: Variant, panels: Sequence[int], seeds: int) -> dict[str, Any] | None:
    """The arithmetic that candidates of the variant were made by, where any was: after a step down not the first."""
    candidates = candidates_of(variant, panels, seeds, compute_for(variant.job.device))
    return made_by((one.render.record for one in candidates), variant.lora_digest)


def _pending(candidates: Sequence[Candidate]) -> list[PanelJob]:
    return [one.render for one in candidates if not one.render.record.is_done(one.render.inputs)]


def _inputs(
    job: Job,
    story: str,
    variants: Sequence[Variant],
    shown: Sequence[Candidate],
    others: Mapping[int, Path],
    instruments: Instruments,
) -> dict[str, Any]:
    """All that explored.json, the sheets and the page depend on."""
    return {
        "story": story,
        "typed": job.typed or quote(story),
        "title": job.story.title,
        "language": job.story.language,
        "base": {"name": job.base.name, "digest": job.base.digest},
        "panels": [{"scene": panel.scene, "seed": panel.seed} for panel in job.story.panels],
        "variants": [variant.facts() for variant in variants],
        "candidates": {
            _name(job, one.path): {"sha256": file_digest(one.path), "prompt": one.prompt.positive, "seed": one.seed}
            for one in shown
        },
        "negative": [panel_prompt(job.story, panel).negative for panel in job.story.panels],
        "others": {path.name: file_digest(path) for path in others.values()},
        "instruments": instruments.facts(),
    }


def _others(job: Job, explored: Sequence[int]) -> dict[int, Path]:
    """The rendered panels that are not explored, by number; a set is more than what is tried now."""
    rest = {number: job.run.panel(number) for number in range(1, len(job.story.panels) + 1) if number not in explored}
    return {number: path for number, path in rest.items() if path.is_file()}


def _name(job: Job, path: Path) -> str:
    """A file's name below the explore folder."""
    return path.relative_to(job.run.explore.folder).as_posix()


def _value(
    job: Job,
    story: str,
    variants: Sequence[Variant],
    instruments: Instruments,
    measured: Sequence[tuple[Candidate, Measures]],
) -> dict[str, Any]:
    """What explored.json says: enough to show, to choose, and to see later whether the story is still the same."""
    panels = []
    for number in sorted({candidate.panel for candidate, _ in measured}):
        own = [(candidate, measures) for candidate, measures in measured if candidate.panel == number]
        panel, prompt = job.story.panels[number - 1], own[0][0].prompt
        panels.append(
            {
                "number": number,
                "scene": panel.scene,
                "prompt": prompt.positive,
                "negative": prompt.negative,
                "seed": panel.seed,
                "candidates": [
                    {
                        "variant": candidate.variant.name,
                        "seed": candidate.seed,
                        "file": _name(job, candidate.path),
                        **asdict(measures),
                    }
                    for candidate, measures in own
                ],
            }
        )
    return {
        "format": FORMAT,
        "story": story,
        "typed": job.typed or quote(story),
        "title": job.story.title,
        "base": {"name": job.base.name, "digest": job.base.digest},
        **instruments.facts(),
        "variants": [variant.facts() for variant in variants],
        "panels": panels,
    }


def _write(job: Job, value: dict[str, Any]) -> list[Path]:
    """A sheet a panel, the page, and last the values that both were made from."""
    folder = job.run.explore.folder
    several = len(value["variants"]) > 1
    outputs = []
    for panel in value["panels"]:
        captions = [_caption(one, several) for one in panel["candidates"]]
        pictures = [folder / one["file"] for one in panel["candidates"]]
        sheet = story_sheet(pictures, captions, f"{panel['number']}  {panel['scene']}", job.story.title)
        outputs.append(write_bytes(folder / "sheets" / f"{panel['number']:02d}.jpg", sheet))
    outputs.append(write_text(folder / "index.html", page_text(value, folder, job.story.language)))
    outputs.append(write_json(folder / "explored.json", value))
    return outputs


def _caption(candidate: dict[str, Any], several: bool) -> str:
    """A candidate's seed and figures, and its variant where there are several."""
    parts = [f"seed {candidate['seed']}", f"{candidate['score']:.2f}"]
    parts += [f"{name} {candidate[name]:.2f}" for name in ("agreement", "fit") if candidate[name] is not None]
    return " · ".join([*parts, candidate["variant"]] if several else parts)


def _say(job: Job, value: dict[str, Any]) -> None:
    """The best candidates of each panel."""
    columns = ("panel", "seed", "variant", "score", "agreement", "fit", "overall")
    rows = []
    for panel in value["panels"]:
        best = sorted(panel["candidates"], key=lambda one: -one["overall"])[:SHOWN]
        rows += [(panel["number"], *(_cell(one[name]) for name in columns[1:])) for one in best]
    job.report.table(f"the best {SHOWN} of each panel, by {value['predictor']['name']}", columns, rows)


def _cell(value: Any) -> Any:
    return "-" if value is None else value
