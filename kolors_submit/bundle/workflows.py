"""comfyui/: each panel as ComfyUI workflows, and the rule that a stranger's are of the known nodes and this story."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kolors_submit.bundle import layout
from kolors_submit.bundle.contents import rendered
from kolors_submit.export import comfyui, graph
from kolors_submit.files import write_json
from kolors_submit.report import Reporter
from kolors_submit.story import Story, panel_prompt

CONTEST = "_contest"
"""What the name of a workflow for the contest's nodes ends with: 03_contest.json beside 03.json."""

MAX_NODES = 100


def shot_of(story: Story, number: int, lora_name: str) -> comfyui.Shot:
    """Panel `number`, counted from 1, as a workflow sees it."""
    panel = story.panels[number - 1]
    return comfyui.Shot(panel_prompt(story, panel), panel.seed, rendered(story), lora_name)


def write(folder: Path, story: Story, lora_name: str, report: Reporter) -> list[Path]:
    """Write both workflows of each panel; what ComfyUI's nodes would read otherwise is left out, and said."""
    paths, left_out = [], {}
    for number in range(1, len(story.panels) + 1):
        shot = shot_of(story, number, lora_name)
        reasons = comfyui.refusals(shot)
        if not reasons:
            paths.append(write_json(folder / f"{number:02d}.json", graph.workflow(comfyui.own(shot))))
        left_out[f"{number:02d}.json"] = reasons
        reasons = comfyui.contest_refusals(shot, story.train.alpha)
        if not reasons:
            nodes = comfyui.contest(shot, story.train.alpha)
            paths.append(write_json(folder / f"{number:02d}{CONTEST}.json", graph.workflow(nodes)))
        left_out[f"{number:02d}{CONTEST}.json"] = reasons
    for reason in dict.fromkeys(reason for reasons in left_out.values() for reason in reasons):
        names = [name for name, reasons in left_out.items() if reason in reasons]
        report.note(f"no {layout.COMFYUI}/ {', '.join(names)}: {reason}")
    return paths


def problems(value: Any, story: Story, number: int, loras: Collection[str]) -> Iterator[str]:
    """What a workflow of panel `number` has that ours has not: other nodes, LoRA files, prompts or seeds.

    Where nodes stand, and settings that a newer program may write otherwise, are left alone.
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
