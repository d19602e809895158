"""comfyui/: each panel as ComfyUI workflows, and the rule that a stranger's are of the known nodes and this story."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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


def nodes_of(story: Story, number: int, *, contest: bool = False) -> list[graph.Node]:
    """The nodes of panel `number`, counted from 1, that a stranger's workflow of it may have; of some LoRA."""
    shot = shot_of(story, number, "lora")
    return comfyui.contest(shot, story.train.alpha) if contest else comfyui.own(shot)


def problems(value: Any, nodes: Sequence[graph.Node], loras: Collection[str]) -> Iterator[str]:
    """What a workflow, as the editor opens it, has that these nodes have not: other nodes, widgets or LoRA files.

    Where nodes stand, how they are linked, and what a newer program may write besides, are left alone.
    """
    listed = value.get("nodes") if isinstance(value, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_NODES or not all(isinstance(node, dict) for node in listed):
        yield "is not a workflow"
        return
    left = list(nodes)
    for node in listed:
        ours, values = _taken(left, node.get("type")), node.get("widgets_values", [])
        if ours is None or not isinstance(values, list):
            yield _stranger(node.get("type"))
        elif ours.type != graph.NOTE:
            pairs = zip(ours.widgets, values, strict=False)
            yield from _different(((name, wanted, said) for (name, wanted), said in pairs), loras)


def prompt_problems(value: Any, nodes: Sequence[graph.Node], loras: Collection[str]) -> Iterator[str]:
    """The same of a graph as the server runs it, whose inputs have names, so that one more is seen too."""
    listed = list(value.values()) if isinstance(value, dict) else None
    if listed is None or len(listed) > MAX_NODES or not all(isinstance(node, dict) for node in listed):
        yield "is not a graph"
        return
    left = [node for node in nodes if node.type != graph.NOTE]
    for node in listed:
        ours, inputs = _taken(left, node.get("class_type")), node.get("inputs", {})
        if ours is None or not isinstance(inputs, dict):
            yield _stranger(node.get("class_type"))
            continue
        yield from _different(((name, wanted, inputs[name]) for name, wanted in ours.widgets if name in inputs), loras)
        for name in inputs.keys() - dict(ours.widgets).keys() - ours.inputs.keys():
            yield f"has the input {name[:80]!r} in {ours.type}, which is not one of ours"


def _taken(left: list[graph.Node], type: Any) -> graph.Node | None:
    """The first node of a type that is left, taken out; None where there is none."""
    found = next((node for node in left if node.type == type), None)
    if found is not None:
        left.remove(found)
    return found


def _stranger(type: Any) -> str:
    return f"has the node {str(type)[:80]!r}, which is not one of ours"


def _different(widgets: Iterable[tuple[str, Any, Any]], loras: Collection[str]) -> Iterator[str]:
    """The widgets, as name, our value and the one there is, that are not ours; LoRA files go by their own names."""
    for name, wanted, said in widgets:
        if name in ("lora_name", "lora_path"):
            if Path(str(said)).name not in loras:
                yield f"names the LoRA {str(said)[:80]!r}, which is not in this bundle"
        elif name != graph.FRONT_END and said != wanted:
            yield f"has a different {name} from the panel's own"
