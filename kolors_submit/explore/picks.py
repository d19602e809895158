"""Which candidate each panel gets: from picks.json, which the page saves, or the best ones; and into the story file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kolors_submit.errors import InputError
from kolors_submit.explore.plan import LAST
from kolors_submit.files import file_digest, read_json
from kolors_submit.run import Job
from kolors_submit.story import panel_prompt
from kolors_submit.story.model import Seed
from kolors_submit.story.rewrite import write_seeds

MAX_BYTES = 100_000


class Picks(BaseModel):
    """picks.json: which variant of which exploration was chosen from, and the seed of each panel chosen for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    story: Annotated[str, Field(max_length=255)]
    base: Annotated[str, Field(max_length=255)]
    variant: Annotated[str, Field(max_length=255)]
    seeds: dict[Annotated[int, Field(ge=1)], Seed] = Field(max_length=1000)


def read_picks(path: Path) -> Picks:
    """Read a picks.json; raises InputError where it is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES:,} bytes; name the picks.json that the page saved")
        return Picks.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); name the picks.json that the page saved"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join((*map(str, first["loc"]), first["msg"]))
        raise InputError(f"{path} is not a picks.json: {where}; save it from the page again") from error


def pick_best(job: Job, explored: dict[str, Any]) -> Picks:
    """The candidate with the best overall figure of each panel, as the story itself would render it.

    Raises InputError where only other settings or checkpoints were explored.
    """
    own = [variant["name"] for variant in explored["variants"] if not list(_differences(job, variant))]
    if not own:
        raise InputError(
            "nothing that was explored has the story's own strength, steps and last LoRA, so no seed can be picked for "
            "it; choose a variant on the page and set it in the story first"
        )
    seeds = {}
    for panel in explored["panels"]:
        candidates = [one for one in panel["candidates"] if one["variant"] == own[0]]
        if candidates:
            seeds[panel["number"]] = max(candidates, key=lambda one: one["overall"])["seed"]
    return Picks(story=explored["story"], base=explored["base"]["name"], variant=own[0], seeds=seeds)


def apply(job: Job, story: Path, digest: str, picks: Picks) -> dict[int, tuple[int, int]]:
    """Write the chosen seeds into the story file; returns panel -> (seed before, seed now) of those that changed.

    `digest` is the SHA-256 of the file that `job.story` was read from. Raises InputError, with nothing written, where
    the picks are of another story, or the story's next render would not give the pictures that were chosen.
    """
    explored = read_json(job.run.explore.folder / "explored.json")
    if not isinstance(explored, dict):
        first = f"run `kolors-submit explore {job.typed or story}` first"
        raise InputError(f"nothing was explored in {job.run.folder}; {first}")
    problems = list(_problems(job, story, explored, picks))
    if problems:
        raise InputError("the picks are not applied:\n" + "\n".join(f"  {problem}" for problem in problems))
    before = {number: job.story.panels[number - 1].seed for number in picks.seeds}
    changed = {number: (before[number], seed) for number, seed in picks.seeds.items() if seed != before[number]}
    if changed:
        write_seeds(story, {number: seed for number, (_, seed) in changed.items()}, digest)
    return changed


def _problems(job: Job, story: Path, explored: dict[str, Any], picks: Picks) -> Iterator[str]:
    """Why the picks do not belong to this story as it is now, in a sentence each."""
    made_for, here = (picks.story, picks.base), (explored["story"], explored["base"]["name"])
    if made_for != here or explored["story"] != story.name:
        yield f"they are for {picks.story} on {picks.base}; what was explored here is {here[0]} on {here[1]}"
        return
    variant = next((one for one in explored["variants"] if one["name"] == picks.variant), None)
    if variant is None:
        yield f"they are of the variant {picks.variant}, which was not explored; explore it again"
        return
    yield from _differences(job, variant)
    panels = {panel["number"]: panel for panel in explored["panels"]}
    for number, seed in sorted(picks.seeds.items()):
        panel = panels.get(number)
        if panel is None or not _is_candidate(panel, picks.variant, seed):
            yield f"panel {number}: seed {seed} was not explored; explore it again"
        elif number > len(job.story.panels):
            yield f"panel {number}: the story has {len(job.story.panels)} panels now"
        else:
            yield from _edits(job, panel, seed)


def _differences(job: Job, variant: dict[str, Any]) -> Iterator[str]:
    """What of a variant the story's next render would do otherwise."""
    settings = job.story.render.model_dump(mode="json")
    for key, value in variant["settings"].items():
        if settings.get(key) != value:
            yield f"they were chosen at render.{key} {value}, the story says {settings.get(key)}; set it there first"
    if variant["lora"] != (file_digest(job.run.lora) if job.run.lora.is_file() else None):
        which = "an older LoRA" if variant["checkpoint"] == LAST else f"the checkpoint of step {variant['checkpoint']}"
        yield f"they were chosen with {which}; train that many steps (epochs x steps_per_epoch), then explore again"


def _is_candidate(panel: dict[str, Any], variant: str, seed: int) -> bool:
    return any((one["variant"], one["seed"]) == (variant, seed) for one in panel["candidates"])


def _edits(job: Job, explored: dict[str, Any], picked: int) -> Iterator[str]:
    """What somebody changed in a panel of the story since it was explored."""
    panel = job.story.panels[explored["number"] - 1]
    prompt = panel_prompt(job.story, panel)
    if (prompt.positive, prompt.negative) != (explored["prompt"], explored["negative"]):
        yield f"panel {explored['number']}: its prompt was edited since; explore it again"
    if panel.seed not in (explored["seed"], picked):
        yield f"panel {explored['number']}: its seed was set to {panel.seed} since; explore again, or set it yourself"
