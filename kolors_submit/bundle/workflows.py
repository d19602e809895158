"""comfyui/: each panel as ComfyUI workflows, and the rule that a stranger's are of the known nodes and this story."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kolors_submit.bundle import layout
from kolors_submit.bundle.contents import rendered
from kolors_submit.export import comfyui, graph
from kolors_submit.files import pretty_json
from kolors_submit.report import Reporter
from kolors_submit.story import Story, panel_prompt

CONTEST = "_contest"
"""What the name of a workflow for the contest's nodes ends with: 03_contest.json beside 03.json."""

MAX_NODES = 100

SETTINGS = ("steps", "cfg", "strength_model", "lora_alpha")
"""Widgets that hold a setting of the story; a name stands for one of them in all nodes."""


def shot_of(story: Story, number: int, lora_name: str) -> comfyui.Shot:
    """Panel `number`, counted from 1, as a workflow sees it."""
    panel = story.panels[number - 1]
    return comfyui.Shot(panel_prompt(story, panel), panel.seed, rendered(story), lora_name)


def texts(story: Story, lora_name: str) -> dict[str, str]:
    """Both workflows of each panel, by their files' names; what ComfyUI's nodes would read otherwise is left out."""
    found = {}
    for number in range(1, len(story.panels) + 1):
        shot, alpha = shot_of(story, number, lora_name), story.train.alpha
        if not comfyui.refusals(shot):
            found[f"{layout.COMFYUI}/{number:02d}.json"] = pretty_json(graph.workflow(comfyui.own(shot)))
        if not comfyui.contest_refusals(shot, alpha):
            found[f"{layout.COMFYUI}/{number:02d}{CONTEST}.json"] = pretty_json(
                graph.workflow(comfyui.contest(shot, alpha))
            )
    return found


def say_left_out(story: Story, report: Reporter) -> None:
    """Tell which workflows there are not, and why."""
    left_out: dict[str, list[str]] = {}
    for number in range(1, len(story.panels) + 1):
        shot = shot_of(story, number, "")
        for reason in comfyui.refusals(shot):
            left_out.setdefault(reason, []).append(f"{number:02d}.json")
        for reason in comfyui.contest_refusals(shot, story.train.alpha):
            left_out.setdefault(reason, []).append(f"{number:02d}{CONTEST}.json")
    whole = all(CONTEST in name for names in left_out.values() for name in names)
    others = "; those for ComfyUI's own LoRA loader are there" if whole else ""
    for reason, names in left_out.items():
        listed = f"{names[0]} to {names[-1]}" if whole and len(names) == len(story.panels) else ", ".join(names)
        report.note(f"no {layout.COMFYUI}/ {listed}: {reason}{others}")


def problems(value: Any, story: Story, number: int, loras: Collection[str]) -> Iterator[str]:
    """What a workflow of panel `number` has that ours has not: other nodes, LoRA files, prompts, seeds or settings.

    Where nodes stand, and what a newer program may write otherwise, are left alone.
    """
    nodes = value.get("nodes") if isinstance(value, dict) else None
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES or not all(isinstance(node, dict) for node in nodes):
        yield "is not a workflow"
        return
    shot = shot_of(story, number, "lora")
    known = {node.type: node for node in (*comfyui.own(shot), *comfyui.contest(shot, story.train.alpha))}
    positive, negative = shot.prompt.positive, shot.prompt.negative
    meant: dict[str, list[Any]] = {"seed": [shot.seed], "text": [positive, negative]}
    meant |= {"prompt": [positive], "negative_prompt": [negative]}
    meant |= {name: [value] for node in known.values() for name, value in node.widgets if name in SETTINGS}
    for node in nodes:
        type, values = node.get("type"), node.get("widgets_values", [])
        if not isinstance(type, str) or type not in known or not isinstance(values, list):
            yield f"has the node {str(type)[:80]!r}, which is not one of ours"
            continue
        for (name, _), said in zip(known[type].widgets, values, strict=False):
            if type != graph.NOTE and name in meant and said not in meant[name]:
                yield f"has a different {name} from story.yaml"
            if name in ("lora_name", "lora_path") and Path(str(said)).name not in loras:
                yield f"names the LoRA {str(said)[:80]!r}, which is not in this bundle"
