"""A finished run made by hand, so that the bundle's tests need neither training nor rendering."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kolors_submit.bundle.contents import rendered
from kolors_submit.export.comfyui import lora_name
from kolors_submit.files import canonical_json, file_digest, write_bytes, write_json, write_text
from kolors_submit.picture import png_bytes
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.sheet import story_sheet
from kolors_submit.story import Story, panel_prompt
from kolors_submit.weights import OFFICIAL_PREDICTOR, Base

MODULES = ("down_blocks.1.attentions.0", "mid_block.attentions.0", "up_blocks.1.attentions.2")
BLOCKS = {"down_blocks.1.attentions.0": 7, "mid_block.attentions.0": 21, "up_blocks.1.attentions.2": 41}
LOSSES = [0.3 - 0.01 * step + 0.02 * (-1) ** step for step in range(8)]
DIGEST = "ab" * 32
BEFORE = (1, 5)
"""Panels that were also rendered without the LoRA."""


def story(**changes: Any) -> Story:
    """A story of eight panels with words that need escaping."""
    values: dict[str, Any] = {
        "schema": 1,
        "title": "雨天的猫 <b>&",
        "team": "示例队 | *星*",
        "style": {"suffix": "水彩画风格", "negative": "模糊"},
        "characters": {"小红": "一位红发女孩"},
        "dataset": {"source": "picturebook:watercolor", "captions": "{prompt}, watercolor style", "size": 64},
        "train": {"rank": 4, "alpha": 8.0, "epochs": 2, "steps_per_epoch": 4},
        "render": {"width": 64, "height": 64, "steps": 3, "lora_strength": 0.75},
        "panels": [{"scene": f"Scene {n}", "prompt": f"{{小红}}走路 {n}", "seed": 100 + n} for n in range(1, 9)],
        "submission": {
            "repository": "team/Rainy-Cat",
            "display_name": "示例队-可图Kolors训练-雨天的猫",
            "tags": ["story"],
        },
    }
    return Story.model_validate(values | changes)


def make_run(folder: Path, base: str = "kolors", chosen: Story | None = None, mean: float = 6.5) -> Job:
    """Write every file that the stages before the bundle write; the job that packs them."""
    chosen = chosen or story()
    run = Run(folder / "rainy" / base)
    on = {"name": base, "digest": DIGEST}
    job = Job(chosen, Base(base, folder, {}), run, "cpu", quiet())
    on["digest"] = job.base.digest
    _data(run)
    _train(run, chosen, on)
    _render(run, chosen, on)
    scores = [mean + 0.1 * (number - 4.5) for number in range(1, 9)]
    official = {"name": OFFICIAL_PREDICTOR if base == "kolors" else f"{base}'s own predictor", "digest": DIGEST}
    write_json(run.scores, score_values(scores, official, chosen.gate.threshold))
    return job


def score_values(scores: list[float], predictor: dict[str, str], threshold: float) -> dict[str, Any]:
    """scores.json's value."""
    scores = [round(score, 6) for score in scores]
    mean = round(sum(scores) / len(scores), 6)
    panels = [{"number": n, "file": f"{n:02d}.png", "score": score} for n, score in enumerate(scores, 1)]
    figures = {"threshold": threshold, "mean": mean, "minimum": min(scores), "passed": mean >= threshold}
    return {
        "format": 3,
        "predictor": predictor,
        "panels": panels,
        "coherence": coherence_values(len(scores)),
        **figures,
    }


def coherence_values(count: int) -> dict[str, Any]:
    """The part of scores.json about how well panels belong together."""

    def table(diagonal: float, other: float) -> list[list[float]]:
        return [[diagonal if row == column else other for column in range(count)] for row in range(count)]

    return {
        "features": {"name": "dinov2-base", "digest": DIGEST},
        "mean": 0.8,
        "similarity": table(1.0, 0.6),
        "style": table(1.0, 0.8),
        "palette": table(0.0, 12.5),
        "apart": [1.0] * count,
        "outlier": None,
        "threshold": None,
        "passed": None,
    }


def _data(run: Run) -> None:
    pictures = [
        {"file": f"images/{n:04d}.png", "name": f"{n}.png", "caption": f"猫 {n}", "sha256": DIGEST} for n in (1, 2)
    ]
    write_json(run.data / "data.json", {"format": 1, "pictures": pictures})
    steps = [{"step": "source", "left": 5}, {"step": "readable", "left": 4}, {"step": "image_deduplicator", "left": 2}]
    write_json(run.data / "report.json", {"format": 1, "steps": steps})


def _train(run: Run, chosen: Story, base: dict[str, str]) -> None:
    lora = lora_arrays(chosen.train.rank, context=2048 if base["name"] == "kolors" else 24)
    write_lora(run.train, lora, chosen.train.alpha)
    record = {
        "format": 1,
        "base": base,
        "settings": chosen.train.of_the_result(),
        "steps": chosen.train.steps,
        "loss_first": 0.3,
        "loss_last": 0.2,
        "modules": len(lora),
        "precision": "float32",
    }
    write_json(run.train / "train.json", record)
    lines = [f"{step},{loss:.7g},0.0001" for step, loss in enumerate(LOSSES, 1)]
    write_text(run.train / "metrics.csv", "\n".join(["step,loss,learning_rate", *lines]) + "\n")


def lora_arrays(rank: int, context: int) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """(Block by diffusers' name, module inside it) -> B and A of a seeded LoRA."""
    random = np.random.default_rng(0)
    arrays = {}
    for block in MODULES:
        for inside, width in (("attn1.to_q", 32), ("attn1.to_out", 32), ("attn2.to_k", context)):
            down, up = random.normal(size=(rank, width)), random.normal(size=(32, rank))
            name = f"transformer_blocks.0.{inside}"
            arrays[block, name] = (down.astype(np.float32), up.astype(np.float32))
    return arrays


def kohya_bytes(lora: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], alpha: float) -> bytes:
    """The LoRA under kohya's keys, by safetensors' own writer."""
    from safetensors.numpy import save

    kohya = {}
    for (block, inside), (down, up) in lora.items():
        name = "lora_unet_" + f"{block}.{inside}".replace("to_out", "to_out.0").replace(".", "_")
        kohya |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        kohya[f"{name}.alpha"] = np.array(alpha, np.float32)
    return save(kohya, metadata={"kolors_submit": canonical_json({"alpha": alpha})})


def write_lora(folder: Path, lora: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], alpha: float) -> None:
    """lora.safetensors in kohya's keys and lora.ckpt in DiffSynth's, by safetensors' and torch's own writers."""
    import torch

    diffsynth = {}
    for (block, inside), (down, up) in lora.items():
        ours = f"blocks.{BLOCKS[block]}.{inside}"
        diffsynth[f"{ours}.lora_A.default.weight"] = torch.from_numpy(down.copy())
        diffsynth[f"{ours}.lora_B.default.weight"] = torch.from_numpy(up.copy())
    write_bytes(folder / "lora.safetensors", kohya_bytes(lora, alpha))
    buffer = io.BytesIO()
    torch.save(diffsynth, buffer)
    write_bytes(folder / "lora.ckpt", buffer.getvalue())


LORA_DIGEST = hashlib.sha256(kohya_bytes(lora_arrays(4, 2048), 8.0)).hexdigest()
LORA = lora_name(LORA_DIGEST)
"""The name of the LoRA's files in a bundle of `story()` on Kolors."""


def panel_png(chosen: Story, number: int, lora: str | None = LORA_DIGEST, **settings: Any) -> bytes:
    """A panel with the texts that the render stage writes; `settings` are those it was rendered with instead."""
    panel = chosen.panels[number - 1]
    made = rendered(chosen).model_copy(update=settings)
    pixels = np.random.default_rng([number, len(settings)]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    size = (chosen.render.width, chosen.render.height)
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    return png_bytes(picture, panel_prompt(chosen, panel), panel.seed, made, lora)


def _render(run: Run, chosen: Story, base: dict[str, str]) -> None:
    for number in range(1, len(chosen.panels) + 1):
        write_bytes(run.panel(number), panel_png(chosen, number, file_digest(run.lora)))
    for number in BEFORE:
        write_bytes(run.before(number), panel_png(chosen, number, None, lora_strength=0.0))
    panels = [run.panel(number) for number in range(1, len(chosen.panels) + 1)]
    sheet = story_sheet(panels, [panel.scene for panel in chosen.panels], chosen.title, chosen.team)
    write_bytes(run.render / "story.jpg", sheet)
    lora = {"sha256": file_digest(run.lora), "strength": chosen.render.lora_strength, "modules": 9}
    compute = {"device_kind": "cpu", "dtype": "float32", "batch": 2, "threads": 2, "attention": "x", "compile": False}
    write_json(run.render / "render.json", {"format": 1, "base": base, "lora": lora, "compute": compute})
