"""What `quality: fast` and weights in 8 bits cost on the picture book: `python bench/fast.py --lora watercolor=LORA`.

The same held-out prompts and seeds are drawn by the story's own 50 DDIM steps, by `fast`, and on a GPU by the 50 steps
with the linear layers in 8 bits, in which small cards hold them; all through the engine. A classifier that has seen
drawn pictures alone reads them, the base's own predictor scores them. With a LoRA, a style classifier says how often
they have its style. All of it is written to bench/results/fast.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import torch
from measure import plan_for
from readings import READ, known, scores

from kolors_submit.device import read_machine
from kolors_submit.engine import base as bases
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.draw import draw, load_models
from kolors_submit.engine.lora_files import read as read_lora
from kolors_submit.engine.method import method_of
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.engine.sampler import Task
from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample_held_out
from kolors_submit.picturebook.pretrain import classifier
from kolors_submit.picturebook.pretrain.reader import attribute_reader, style_reader
from kolors_submit.picturebook.samples import STYLE_WORDS
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.styles import STYLES
from kolors_submit.story import Render
from kolors_submit.weights import PICTUREBOOK, Base, open_base

HERE = Path(__file__).parent
MAY_LOSE = {"attributes": 0.02, "score": 0.1}
STYLE_KEPT = 0.95
WAYS = ("exact", "fast", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lora", metavar="STYLE=FILE", help="a LoRA of one of the styles that the classifier knows")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = open_base(PICTUREBOOK, "picturebook")
    scenes = held_out(options.count)
    figures: dict[str, object] = {"device": where.type, "prompts": options.count}
    style, _, lora = (options.lora or "").partition("=")
    for name, file in (("base", None), (style, lora)) if options.lora else (("base", None),):
        prompts = in_words(scenes, None if file is None else name)
        figures[name] = compare(base, scenes, prompts, name, Path(file) if file else None, where)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "fast.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def held_out(count: int) -> list[Scene]:
    """Scenes of one person whose combinations no training has seen."""
    rng = Random(7)
    return [scene for scene in (sample_held_out(rng) for _ in range(4 * count)) if len(scene.people) == 1][:count]


def in_words(scenes: Sequence[Scene], style: str | None) -> list[str]:
    """A caption for each, in Chinese and English by turns, with the style's words."""
    rng = Random(8)
    words = [caption(scene, rng, ("zh", "en")[i % 2], complete=True) for i, scene in enumerate(scenes)]
    if style is None:
        return words
    return [text.rstrip("。.") + ("，", ", ")[i % 2] + STYLE_WORDS[style][i % 2] for i, text in enumerate(words)]


def compare(
    base: Base, scenes: Sequence[Scene], prompts: Sequence[str], style: str, lora: Path | None, where: torch.device
) -> dict[str, Any]:
    """Each way's figures, and what they are beside the exact one's."""
    table: dict[str, Any] = {}
    made: dict[str, torch.Tensor] = {}
    for way in WAYS if where.type == "cuda" else ("exact", "fast"):
        settings = Render(width=256, height=256, quality="fast" if way == "fast" else "exact")
        begun = time.monotonic()
        plan = plan_of(base, len(prompts), settings, where, "int8" if way == "int8" else None)
        made[way] = pictures(base, prompts, settings, plan, lora)
        took = time.monotonic() - begun
        table[way] = {"method": method_of(settings).record(), "plan": str(plan), "seconds": round(took, 1)}
        table[way] |= read(base, scenes, made[way], style, where)
        if way != "exact":
            table[way] |= beside(table["exact"], table[way])
            table[way]["mean_pixel_difference"] = float((made["exact"].float() - made[way].float()).abs().mean())
        print(style, way, table[way], flush=True)
    return table | {"may_lose": MAY_LOSE}


def beside(exact: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What a way loses, and whether that is as little as it may be."""
    loses = {key: exact[key] - found[key] for key in MAY_LOSE}
    holds = all(loses[key] <= most for key, most in MAY_LOSE.items()) and found.get("style", 1.0) >= STYLE_KEPT
    return {"loses": {key: round(lost, 4) for key, lost in loses.items()}, "holds": holds}


def plan_of(
    base: Base, count: int, settings: Render, where: torch.device, eight_bit: Literal["int8"] | None
) -> RenderPlan:
    """The engine's own plan for this machine, with its linear layers held so."""
    plan = plan_for(base, read_machine(where.type), settings, count)
    return replace(plan, compute=replace(plan.compute, eight_bit=eight_bit))


def pictures(base: Base, prompts: Sequence[str], settings: Render, plan: RenderPlan, lora: Path | None) -> torch.Tensor:
    """(count, h, w, 3) uint8, drawn by a plan."""
    where = plan.compute.device_kind
    negative, *positives = encode(base, ["", *prompts], where, plan.compute.torch_dtype)
    tasks = [Task(positive, negative, seed) for seed, positive in enumerate(positives)]
    weights = read_lora(lora, bases.config(base, "unet")) if lora else None
    made = torch.zeros((len(tasks), settings.height, settings.width, 3), dtype=torch.uint8)

    def deliver(index: int, picture: object, _: float) -> None:
        assert picture is not None
        made[index] = torch.from_numpy(np.array(picture))

    devices = read_machine(where).devices
    draw(lambda: load_models(base, weights, settings, plan), tasks, settings, plan, deliver, devices=devices)
    return made


def read(base: Base, scenes: Sequence[Scene], made: torch.Tensor, style: str, where: torch.device) -> dict[str, float]:
    """The share of attributes read rightly, the mean score, and with a LoRA the share of pictures in its style."""
    attributes = classifier.load(HERE / "data" / "reader-attributes.safetensors", attribute_reader(), where)
    accuracy = classifier.accuracy(attributes, made, known(scenes, where), where)
    five = {name: round(accuracy[head], 4) for name, head in READ.items()}
    assert base.predictor is not None
    score = float(scores(base.predictor, made.permute(0, 3, 1, 2).float() / 255, where).mean())
    result = {"attributes": sum(five.values()) / 5, "score": score, **five}
    if style in STYLES:
        styles = classifier.load(HERE / "data" / "reader-style.safetensors", style_reader(len(STYLES)), where)
        seen = classifier.read(styles, made, where)["style"]
        result["style"] = float((seen == STYLES.index(style)).float().mean())
    return {name: round(value, 4) for name, value in result.items()}


if __name__ == "__main__":
    main()
