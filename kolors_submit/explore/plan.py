"""Which candidates there are: every panel asked for, with every seed, in every variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kolors_submit.engine.memory import Compute
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.panels import FORMAT as RENDER_FORMAT
from kolors_submit.panels import PanelJob, panel_inputs
from kolors_submit.run import Job
from kolors_submit.story import Prompt, panel_prompt
from kolors_submit.story.model import MAX_SEED

LAST = "last"
SEED_STEP = 1000
"""From one candidate's seed to the next; panels whose seeds lie closer together still get seeds of their own."""

MOST = 2000
"""Candidates in one call: what a page can still show."""


@dataclass(frozen=True)
class Grid:
    """What to try; empty tuples stand for what the story says: all panels, its strength and steps, the last LoRA."""

    seeds: int = 8
    panels: tuple[int, ...] = ()
    strengths: tuple[float, ...] = ()
    checkpoints: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One LoRA with one set of render settings; `job` has them in its story."""

    name: str
    checkpoint: str
    lora: Path
    lora_digest: str
    job: Job

    def facts(self) -> dict[str, Any]:
        """What explored.json says of it."""
        settings = self.job.story.render
        return {
            "name": self.name,
            "checkpoint": self.checkpoint,
            "lora": self.lora_digest,
            "settings": settings.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Candidate:
    """One picture to choose: a panel of the story with a seed, in a variant."""

    variant: Variant
    panel: int
    seed: int
    prompt: Prompt
    render: PanelJob

    @property
    def path(self) -> Path:
        """Its picture; not there where it showed nothing."""
        return self.render.path


def seeds_for(seed: int, count: int) -> list[int]:
    """The panel's own seed, then others; the first of a larger count are those of a smaller one."""
    return [(seed + SEED_STEP * step) % (MAX_SEED + 1) for step in range(count)]


def panels_of(job: Job, grid: Grid) -> list[int]:
    """The numbers of the panels to explore; raises InputError for one that the story does not have."""
    count = len(job.story.panels)
    for number in grid.panels:
        if not 1 <= number <= count:
            raise InputError(f"--panels {number}: the story has panels 1 to {count}")
    return sorted(set(grid.panels)) or list(range(1, count + 1))


def variants_of(job: Job, grid: Grid, loras: dict[str, Path]) -> list[Variant]:
    """Every combination of checkpoint, strength and steps; raises InputError where that makes too many candidates."""
    own = job.story.render
    variants = []
    for checkpoint, lora in loras.items():
        sha256 = file_digest(lora)
        for strength in dict.fromkeys(grid.strengths or (own.lora_strength,)):
            for steps in dict.fromkeys(grid.steps or (own.steps,)):
                settings = own.model_copy(update={"lora_strength": strength, "steps": steps})
                story = job.story.model_copy(update={"render": settings})
                name = f"{checkpoint}-strength-{strength:g}-steps-{steps}"
                variants.append(Variant(name, checkpoint, lora, sha256, replace(job, story=story)))
    count = len(panels_of(job, grid)) * grid.seeds * len(variants)
    if count > MOST:
        raise InputError(f"{count} candidates are too many (at most {MOST}); ask for fewer seeds, panels or settings")
    return variants


def candidates_of(variant: Variant, panels: Sequence[int], seeds: int, compute: Compute) -> list[Candidate]:
    """One variant's candidates, panel by panel, as they are rendered by an arithmetic."""
    story = variant.job.story
    return [
        _candidate(variant, number, seed, compute)
        for number in panels
        for seed in seeds_for(story.panels[number - 1].seed, seeds)
    ]


def _candidate(variant: Variant, number: int, seed: int, compute: Compute) -> Candidate:
    job = variant.job
    panel = job.story.panels[number - 1]
    prompt = panel_prompt(job.story, panel)
    inputs = panel_inputs(job, prompt, seed, compute, variant.lora_digest)
    record = job.run.explore.stage(f"{variant.name}.{number:02d}-{seed}", RENDER_FORMAT)
    path = job.run.candidate(variant.name, number, seed)
    return Candidate(variant, number, seed, prompt, PanelJob(number, panel.scene, prompt, seed, path, record, inputs))
