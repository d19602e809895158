"""ComfyUI workflows, in the editor's form and in the server's: what their known Kolors nodes say of a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any

from kolors_submit.export import comfyui
from kolors_submit.export.graph import FRONT_END
from kolors_submit.importing.labels import sampler_of
from kolors_submit.importing.told import Noise, Told, words
from kolors_submit.story import Prompt, Render

MAX_NODES = 1000
MAX_SIDE = 16_384

_ANY = comfyui.Shot(Prompt("", ""), 0, Render(), "")
_WIDGETS = {
    **{node.type: [name for name, _ in node.widgets] for node in (*comfyui.own(_ANY), *comfyui.contest(_ANY, 1.0))},
    "MZ_ChatGLM3": ["text"],
    "MZ_ChatGLM3_V2": ["text"],
    "LoraLoader": ["lora_name", "strength_model", "strength_clip"],
}
"""Names of the `widgets_values` of each node whose values are read, in their order."""

_SAMPLERS = ("KolorsSampler", "KSampler")
_TEXTS = ("MZ_ChatGLM3", "MZ_ChatGLM3_V2", "MZ_ChatGLM3_Advance_V2")
_MUTED, _BYPASSED = 2, 4
_AFTER_SEED = ("fixed", "increment", "decrement", "randomize")


class Unreadable(Exception):
    """Why a workflow says nothing that can be used, in a few words."""


@dataclass(frozen=True)
class _Node:
    """A node of either form: its values by name, and the number of the node that each input comes from."""

    type: str
    values: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    applied: bool = True


Graph = Mapping[str, _Node]


def parse(text: str) -> dict[str, Any] | None:
    """A workflow's JSON, or None where the text is none; ComfyUI itself writes NaN, which is read as nothing."""
    try:
        value = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    is_editor = isinstance(value, dict) and isinstance(value.get("nodes"), list)
    is_server = isinstance(value, dict) and any(isinstance(v, dict) and "class_type" in v for v in value.values())
    return value if is_editor or is_server else None


def read(value: dict[str, Any], where: str) -> Told:
    """What a workflow says of the one picture that it draws; raises Unreadable, or InputError for hostile words."""
    graph = _editor_graph(value) if isinstance(value.get("nodes"), list) else _server_graph(value)
    samplers = [node for node in graph.values() if node.type in _SAMPLERS and node.applied]
    if len(samplers) != 1:
        raise Unreadable(f"it has {len(samplers)} known samplers, not one")
    sampler = samplers[0]
    values = _sampler_values(graph, sampler)
    remarks = list(values.pop("remarks", ()))
    prompt, negative, more = _texts(graph, sampler, where)
    lora = _lora(graph, sampler)
    remarks += [*more, *_unlike(graph, sampler), *lora.pop("remarks", ())]
    return Told(where, prompt=prompt, negative=negative, remarks=tuple(remarks), **values, **lora)


def _editor_graph(value: Mapping[str, Any]) -> Graph:
    nodes, links = value["nodes"], value.get("links")
    if len(nodes) > MAX_NODES or not all(isinstance(node, dict) for node in nodes):
        raise Unreadable(f"it is not a list of at most {MAX_NODES} nodes")
    rows = links if isinstance(links, list) else []
    sources = {str(row[0]): str(row[1]) for row in rows if isinstance(row, list) and len(row) >= 2}
    return {str(node.get("id")): _editor_node(node, sources) for node in nodes}


def _editor_node(node: Mapping[str, Any], sources: Mapping[str, str]) -> _Node:
    type, given, inputs = str(node.get("type")), node.get("widgets_values"), node.get("inputs")
    links = {}
    for slot in inputs if isinstance(inputs, list) else []:
        if isinstance(slot, dict) and str(slot.get("link")) in sources:
            links[str(slot.get("name"))] = sources[str(slot["link"])]
    applied = node.get("mode") not in (_MUTED, _BYPASSED)
    return _Node(type, _named(type, given), links, applied)


def _named(type: str, given: Any) -> Mapping[str, Any]:
    """The editor's values by name; a node that is not known keeps them by position."""
    if isinstance(given, dict):
        return given
    values = given if isinstance(given, list) else []
    names = _WIDGETS.get(type, [str(position) for position in range(len(values))])
    if FRONT_END in names:
        at = names.index(FRONT_END)
        # Editors of some versions leave out what becomes of the seed, which moves every later value.
        if len(values) <= at or values[at] not in _AFTER_SEED:
            names = [name for name in names if name != FRONT_END]
    return {name: value for name, value in zip(names, values, strict=False) if name != FRONT_END}


def _server_graph(value: Mapping[str, Any]) -> Graph:
    if len(value) > MAX_NODES:
        raise Unreadable(f"it has more than {MAX_NODES} nodes")
    graph = {}
    for number, node in value.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if isinstance(inputs, dict):
            links = {name: str(v[0]) for name, v in inputs.items() if isinstance(v, list) and len(v) == 2}
            values = {name: v for name, v in inputs.items() if name not in links}
            graph[str(number)] = _Node(str(node.get("class_type")), values, links)
    return graph


def _value(graph: Graph, node: _Node, name: str) -> Any:
    """A node's value, also where it comes from a node that holds nothing else (a text, a number)."""
    source = graph.get(node.links.get(name, ""))
    if source is None:
        return node.values.get(name)
    plain = [value for value in source.values.values() if isinstance(value, str | int | float)]
    return plain[0] if plain and not source.links else None


def _sampler_values(graph: Graph, node: _Node) -> dict[str, Any]:
    said = {name: _value(graph, node, name) for name in _WIDGETS[node.type] if name != FRONT_END}
    latent = graph.get(node.links.get("latent_image", ""))
    size = said if node.type == "KolorsSampler" else (latent.values if latent else {})
    values: dict[str, Any] = {
        "seed": _whole(said.get("seed"), 2**64),
        "steps": _whole(said.get("steps"), 10_000),
        "guidance": _decimal(said.get("cfg")),
        "width": _whole(size.get("width"), MAX_SIDE),
        "height": _whole(size.get("height"), MAX_SIDE),
    }
    if node.type == "KolorsSampler":
        # It draws with a generator on the GPU, in the pipeline's float16.
        noise: Noise = "cuda-float16"
        return values | {"noise": noise} | sampler_of(str(said.get("scheduler")))
    pair = (str(said.get("sampler_name")), str(said.get("scheduler")))
    ours = next((name for name, theirs in comfyui.SAMPLERS.items() if theirs == pair), None)
    found: dict[str, Any] = {"sampler": ours} if ours else sampler_of(" with ".join(pair))
    return values | {"noise": "cpu-float32"} | found


def _texts(graph: Graph, sampler: _Node, where: str) -> tuple[str | None, str | None, list[str]]:
    """Prompt and negative prompt, and what the nodes would do to them that nobody can know afterwards."""
    if sampler.type == "KolorsSampler":
        encoder = _source(graph, sampler, "kolors_embeds", ("KolorsTextEncode",))
        found = [_value(graph, encoder, name) if encoder else None for name in ("prompt", "negative_prompt")]
    else:
        encoders = [_source(graph, sampler, name, _TEXTS) for name in ("positive", "negative")]
        found = [_value(graph, encoder, "text") if encoder else None for encoder in encoders]
    prompt, negative = (words(text, where) or (None if text is None else "") for text in found)
    both = f"{prompt or ''} {negative or ''}"
    remarks = []
    if "{" in both and "|" in both:
        remarks.append("the text encoder picked one of what stands in { | } at random")
    elif "|" in both and sampler.type == "KolorsSampler":
        remarks.append("the node KolorsTextEncode splits the prompt at | into several pictures")
    return prompt, negative, remarks


def _source(graph: Graph, node: _Node, name: str, types: tuple[str, ...]) -> _Node | None:
    source = graph.get(node.links.get(name, ""))
    return source if source is not None and source.type in types else None


def _lora(graph: Graph, sampler: _Node) -> dict[str, Any]:
    """The LoRA that is applied on the way from the model to the sampler, and its strength in that node's terms."""
    name = "kolors_model" if sampler.type == "KolorsSampler" else "model"
    node, seen, found = graph.get(sampler.links.get(name, "")), set[int](), []
    while node is not None and id(node) not in seen:
        seen.add(id(node))
        if node.applied and node.type in ("LoadKolorsLoRA", "LoraLoaderModelOnly", "LoraLoader"):
            found.append(node)
        node = graph.get(node.links.get(name, ""))
    if not found:
        return {"remarks": ("it applies no LoRA",)}
    if len(found) > 1:
        return {"remarks": (f"it applies {len(found)} LoRAs, and a bundle has one",)}
    contest = found[0].type == "LoadKolorsLoRA"
    file = PureWindowsPath(str(_value(graph, found[0], "lora_path" if contest else "lora_name"))).name
    strength = _decimal(_value(graph, found[0], "lora_alpha" if contest else "strength_model"))
    return {"lora": file, "node_alpha" if contest else "strength": strength}


def _unlike(graph: Graph, sampler: _Node) -> list[str]:
    """What the sampler did that is not rendered from noise and a seed alone."""
    found = []
    denoise = _decimal(_value(graph, sampler, "denoise_strength" if sampler.type == "KolorsSampler" else "denoise"))
    if sampler.links.get("latent") or (denoise is not None and denoise < 1):
        found.append("it starts from another picture, not from noise")
    latent = graph.get(sampler.links.get("latent_image", ""))
    count = _whole(latent.values.get("batch_size"), 2**31) if latent else None
    encoder = _source(graph, sampler, "kolors_embeds", ("KolorsTextEncode",))
    count = count or (_whole(encoder.values.get("num_images_per_prompt"), 2**31) if encoder else None)
    if count is not None and count > 1:
        found.append(f"it draws {count} pictures from one seed, of which only the first can be drawn alone")
    return found


def _whole(value: Any, limit: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit else None


def _decimal(value: Any) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1000
    return float(value) if sound else None
