"""Entries as people made them before this program: a LoRA in one format, pictures, and words in some form."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kolors_submit.engine import lora_files
from kolors_submit.export import comfyui, graph
from kolors_submit.importing import Request, import_entry
from kolors_submit.importing.entry import read_entry
from kolors_submit.importing.settle import Notes
from kolors_submit.importing.writing import Origin
from kolors_submit.render import render
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request as Again
from kolors_submit.reproduce import reproduce
from kolors_submit.run import Job, Run
from kolors_submit.story import Story, panel_prompt
from kolors_submit.weights import open_base
from tests.engine.parts import random_lora
from tests.tiny import UNET

RANK, ALPHA, STRENGTH = 4, 2.0, 0.75
NODE_ALPHA = ALPHA * STRENGTH
HEADINGS = ("图片编号", "场景描述", "正向提示词", "反向提示词", "随机种子")

STORY = Story.model_validate(
    {
        "schema": 1,
        "title": "雨天的猫",
        "dataset": {"source": "unknown"},
        "train": {"rank": RANK, "alpha": ALPHA},
        "render": {"width": 64, "height": 64, "steps": 2, "guidance_scale": 3.5, "lora_strength": STRENGTH},
        "panels": [
            {"scene": f"第{n}场雨", "prompt": f"水彩画，一只猫走路 {n}，全身", "negative": "模糊", "seed": 40 + n}
            for n in range(1, 9)
        ],
    }
)


def render_panels(folder: Path, base: Path) -> Path:
    """Render the story's eight panels with a random LoRA, by the stage that does it; returns the folder."""
    lora = random_lora(UNET, rank=RANK, alpha=ALPHA)
    run = Run(folder)
    lora_files.write_safetensors(run.lora, lora_files.to_kohya(lora, UNET), {"alpha": ALPHA})
    lora_files.write_safetensors(folder / "lora/diffusers.safetensors", lora_files.to_diffusers(lora, UNET), {})
    lora_files.write_ckpt(folder / "lora/diffsynth.ckpt", lora)
    render(Job(STORY, open_base(base), run, "cpu", quiet()))
    return folder


@dataclass(frozen=True)
class Old:
    """One old entry in the making, what it is made from, and its base."""

    folder: Path
    rendered: Path
    base: Path

    def lora(self, keys: str, name: str) -> Old:
        """Add the LoRA in one format."""
        source = {
            "kohya": self.rendered / "train/lora.safetensors",
            "diffusers": self.rendered / "lora/diffusers.safetensors",
            "diffsynth": self.rendered / "lora/diffsynth.ckpt",
        }[keys]
        return self.add(name, source.read_bytes())

    def pictures(self, names: Sequence[str] | str = "images/{}.png", texts: Sequence[str] = (), **saved: Any) -> Old:
        """Add the panels, with none of their texts but those named; `{}` is the panel's number."""
        for number in range(1, 9):
            with Image.open(self.panel(number)) as picture:
                info = PngInfo()
                for key in texts:
                    info.add_text(key, picture.info[key])
                buffer = io.BytesIO()
                name = names.format(number) if isinstance(names, str) else names[number - 1]
                suffix = Path(name).suffix.lower()
                options = {"pnginfo": info} if suffix == ".png" else {"quality": 95}
                picture.save(buffer, {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}[suffix], **options)
            self.add(name, buffer.getvalue())
        return self

    def panel(self, number: int) -> Path:
        """A panel as it was rendered."""
        return self.rendered / f"render/{number:02d}.png"

    def contest_workflows(self, name: str = "workflows/{}.json", **changes: Any) -> Old:
        """Add each panel's workflow for the contest's nodes, as the editor saves it."""
        for number in range(1, 9):
            nodes = comfyui.contest(shot(number), ALPHA)
            self.add(name.format(number), json.dumps(graph.workflow(nodes)))
        return self

    def add(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Old:
        """Add a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return self

    def imported(self, **options: Any) -> dict[str, Any]:
        """Import it; import.json's value and the bundle's folder."""
        chosen = {"base": str(self.base), "out": self.folder.parent / "out", "device": "cpu", **options}
        return import_entry(Request(str(chosen.pop("source", self.folder)), **chosen), quiet())

    def read(self, **options: Any) -> tuple[Origin, Story, Notes]:
        """Read it without writing a bundle."""
        return read_entry(self.folder, "read", Request("read", base=str(self.base), **options))

    def reproduced(self, bundle: Path) -> dict[str, Any]:
        """Reproduce a bundle on the tiny base."""
        return reproduce(Again(str(bundle), str(self.base), "cpu", out=self.folder.parent / "again"), quiet())


def shot(number: int) -> comfyui.Shot:
    """A panel as a workflow sees it."""
    panel = STORY.panels[number - 1]
    return comfyui.Shot(panel_prompt(STORY, panel), panel.seed, STORY.render, "猫")


def rows(headings: Sequence[str] = HEADINGS) -> list[list[str]]:
    """The prompt table with a heading."""
    lines = [[f"图片{n}", p.scene, p.prompt, p.negative, str(p.seed)] for n, p in enumerate(STORY.panels, 1)]
    return [list(headings), *lines]


def as_csv(table: Sequence[Sequence[str]], end: str = "\r\n", delimiter: str = ",") -> str:
    """A table as csv."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, delimiter=delimiter).writerows(table)
    return text.getvalue()


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], "|---" * len(table[0]) + "|", *lines[1:]]) + "\n"
