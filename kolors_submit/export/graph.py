"""A ComfyUI graph in its two forms: the workflow that its editor opens, and the prompt that its server runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FRONT_END = ""
"""Name of a widget that only the editor has, such as the one that says what becomes of a seed; no server sees it."""

NOTE = "Note"
_WIDTH, _HEIGHT, _GAP = 320, 140, 60


@dataclass(frozen=True)
class Link:
    """Where an input comes from: a node's number, which of its outputs, and the type that both ends have."""

    node: int
    output: int
    type: str


@dataclass(frozen=True)
class Node:
    """One node: widgets by name in the order that `widgets_values` has, outputs as (name, type), column on screen."""

    type: str
    column: int
    widgets: Sequence[tuple[str, Any]] = ()
    inputs: Mapping[str, Link] = field(default_factory=dict)
    outputs: Sequence[tuple[str, str]] = ()


def prompt(nodes: Sequence[Node]) -> dict[str, Any]:
    """The API form: node number -> class and inputs by name. Nodes are numbered from 1."""
    values = {}
    for number, node in enumerate(nodes, start=1):
        if node.type != NOTE:
            inputs: dict[str, Any] = {name: value for name, value in node.widgets if name != FRONT_END}
            inputs |= {name: [str(link.node), link.output] for name, link in node.inputs.items()}
            values[str(number)] = {"class_type": node.type, "inputs": inputs}
    return values


def workflow(nodes: Sequence[Node]) -> dict[str, Any]:
    """The editor's form, version 0.4: nodes with places, links as [id, node, output, node, input, type]."""
    links: list[list[Any]] = []
    for number, node in enumerate(nodes, start=1):
        for slot, link in enumerate(node.inputs.values()):
            links.append([len(links) + 1, link.node, link.output, number, slot, link.type])
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": [_node(number, node, nodes[: number - 1], links) for number, node in enumerate(nodes, start=1)],
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _node(number: int, node: Node, before: Sequence[Node], links: Sequence[Sequence[Any]]) -> dict[str, Any]:
    row = sum(other.column == node.column for other in before)
    ends = {link[4]: link[0] for link in links if link[3] == number}
    inputs = [
        {"name": name, "type": link.type, "link": ends[slot]} for slot, (name, link) in enumerate(node.inputs.items())
    ]
    outputs = [
        {
            "name": name,
            "type": type,
            "slot_index": slot,
            "links": [link[0] for link in links if link[1:3] == [number, slot]],
        }
        for slot, (name, type) in enumerate(node.outputs)
    ]
    return {
        "id": number,
        "type": node.type,
        "pos": [node.column * (_WIDTH + _GAP), row * (_HEIGHT + 2 * _GAP)],
        "size": [_WIDTH, _HEIGHT],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "properties": {"Node name for S&R": node.type},
        "widgets_values": [value for _, value in node.widgets],
    }
