"""Workflows against a description of the nodes, which says their inputs, outputs and limits as ComfyUI does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolors_submit.export import comfyui, graph
from kolors_submit.picture import png_bytes
from kolors_submit.story import Prompt, Render
from tests.export.nodes import NODES, SEED_CONTROL

LORA = comfyui.lora_name("0123456789abcdef" * 4)


def shot(positive: str = "一个女孩，水彩画", negative: str = "低质量", seed: int = 7, **settings: Any) -> comfyui.Shot:
    return comfyui.Shot(Prompt(positive, negative), seed, Render(**settings), LORA)


def both(of: comfyui.Shot, alpha: float = 4.0) -> list[list[graph.Node]]:
    return [comfyui.own(of), comfyui.contest(of, alpha)]


def test_every_node_is_as_described() -> None:
    for nodes in both(shot()):
        value = json.loads(json.dumps(graph.workflow(nodes)))
        links = {link[0]: link for link in value["links"]}
        by_number = {node["id"]: node for node in value["nodes"]}
        assert value["last_node_id"] == max(by_number) and value["last_link_id"] == max(links)
        for node in value["nodes"]:
            described = NODES[node["type"]]
            assert [(one["name"], one["type"]) for one in node["inputs"]] == described["inputs"], node["type"]
            assert [(one["name"], one["type"]) for one in node["outputs"]] == described["outputs"], node["type"]
            assert len(node["widgets_values"]) == len(described["widgets"]), node["type"]
            for said, (name, allowed) in zip(node["widgets_values"], described["widgets"], strict=True):
                assert allowed(said), (node["type"], name, said)
            for slot, end in enumerate(node["inputs"]):
                assert links[end["link"]][3:] == [node["id"], slot, end["type"]]
            for slot, end in enumerate(node["outputs"]):
                assert all(links[number][1:3] == [node["id"], slot] for number in end["links"])
        for _, start, output, end, slot, type in value["links"]:
            assert by_number[start]["outputs"][output]["type"] == by_number[end]["inputs"][slot]["type"] == type


def test_the_servers_form_has_every_required_input() -> None:
    for nodes in both(shot()):
        value = graph.prompt(nodes)
        assert [node["class_type"] for node in value.values()] == [n.type for n in nodes if n.type != "Note"]
        for node in value.values():
            described = NODES[node["class_type"]]
            names = [name for name, _ in described["widgets"] if name != SEED_CONTROL]
            assert set(node["inputs"]) == {*names, *(name for name, _ in described["inputs"])}
            for name, type in described["inputs"]:
                start, output = node["inputs"][name]
                assert NODES[value[start]["class_type"]]["outputs"][output][1] == type
        assert any(node["class_type"] == "PreviewImage" for node in value.values())


def test_the_seed_stays_and_nothing_shifts() -> None:
    """The editor puts `what becomes of the seed` behind it; without it steps would be read as that."""
    own, contest = (graph.workflow(nodes)["nodes"] for nodes in both(shot(seed=11)))
    assert next(node for node in contest if node["type"] == "KolorsSampler")["widgets_values"] == [
        1024,
        1024,
        11,
        "fixed",
        50,
        4.0,
        "EulerDiscreteScheduler",
        1.0,
    ]
    assert next(node for node in own if node["type"] == "KSampler")["widgets_values"] == [
        11,
        "fixed",
        50,
        4.0,
        "ddim",
        "normal",
        1.0,
    ]


def test_strength_is_each_loaders_own_number() -> None:
    of = shot(lora_strength=0.7)
    assert comfyui.own(of)[1].widgets == [("lora_name", f"{LORA}.safetensors"), ("strength_model", 0.7)]
    assert comfyui.contest(of, 4.0)[1].widgets == [("lora_path", f"models/loras/{LORA}.ckpt"), ("lora_alpha", 2.8)]


@pytest.mark.parametrize("sampler", Render.model_fields["sampler"].annotation.__args__)
def test_every_sampler_has_a_counterpart(sampler: str) -> None:
    for nodes in both(shot(sampler=sampler)):
        for node in nodes:
            for (name, said), (_, allowed) in zip(node.widgets, NODES[node.type]["widgets"], strict=True):
                assert allowed(said), (name, said)


@pytest.mark.parametrize(
    ("of", "own", "contest"),
    [
        (shot(), None, None),
        (shot(positive="a{b}"), "at random", "at random"),
        (shot(negative="a{b}"), "at random", "at random"),
        (shot(positive="a|b"), None, "a batch"),
        (shot(positive="see http://a"), "comments", None),
        (shot(seed=comfyui.MAX_SEED), None, None),
        (shot(seed=comfyui.MAX_SEED + 1), "browser rounds", "browser rounds"),
        (shot(lora_strength=1.1), None, "takes 0 to 4"),
        (shot(lora_strength=-0.5), None, "takes 0 to 4"),
        (shot(steps=201), None, "200 steps"),
        (shot(guidance_scale=21), None, "guidance scale"),
        (shot(width=1056), None, "multiples of 64"),
    ],
)
def test_what_the_nodes_would_read_otherwise_is_refused(of: comfyui.Shot, own: str | None, contest: str | None) -> None:
    for reasons, expected in ((comfyui.refusals(of), own), (comfyui.contest_refusals(of, 4.0), contest)):
        assert len(reasons) == (expected is not None), reasons
        assert expected is None or expected in reasons[0]


def chunks(data: bytes) -> list[bytes]:
    """The kinds of a PNG's chunks, text chunks with their keys."""
    found, place = [], 8
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        found.append(kind + b" " + body.split(b"\0")[0] if kind in (b"tEXt", b"iTXt") else kind)
        place += 12 + length
    return found


def test_a_panel_opens_in_comfyui(tmp_path: Path) -> None:
    picture = Image.effect_noise((64, 64), 50).convert("RGB")
    settings, prompt = Render(width=64, height=64), Prompt("一个女孩", "低质量")
    data = png_bytes(picture, prompt, 7, settings, "ab" * 32)
    assert data == png_bytes(picture, prompt, 7, settings, "ab" * 32)
    assert {b"tEXt prompt", b"tEXt workflow"} <= set(chunks(data)), "ComfyUI reads tEXt only"
    (tmp_path / "a.png").write_bytes(data)
    with Image.open(tmp_path / "a.png") as opened:
        of = comfyui.Shot(prompt, 7, settings, comfyui.lora_name("ab" * 32))
        assert json.loads(opened.info["workflow"]) == json.loads(json.dumps(graph.workflow(comfyui.own(of))))
        assert json.loads(opened.info["prompt"]) == json.loads(json.dumps(graph.prompt(comfyui.own(of))))
        assert opened.convert("RGB").tobytes() == picture.tobytes()
    plain = png_bytes(picture, Prompt("a{b|c}", ""), 7, settings, "ab" * 32)
    assert not {b"tEXt prompt", b"tEXt workflow"} & set(chunks(plain))
