"""A small story file and its run with a LoRA, ready to explore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kolors_submit.engine import lora_files
from kolors_submit.files import file_digest
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import load_story
from kolors_submit.weights import open_base
from tests.engine.parts import random_lora
from tests.tiny import UNET

STORY = """# 画家
schema: 1
title: 画家 <b>&</b>
style: {suffix: 水彩画, negative: 低质量}   # the style
dataset: {source: pictures}
render: {width: 64, height: 64, steps: 2}
panels:
  - {scene: one, prompt: 一个女孩, seed: 1}
  - {scene: "<script>alert(2)</script>", prompt: 一只猫, seed: 2}
  - scene: three   # a comment
    prompt: 湖边
    seed: 3        # another
  - {scene: four, prompt: 雨天, seed: 4}
  - {scene: five, prompt: 森林, seed: 5}
  - {scene: six, prompt: 小镇, seed: 6}
  - {scene: seven, prompt: 日落, seed: 7}
  - {scene: eight, prompt: 夜晚, seed: 8}
gate: {threshold: 0}
"""


def write_story(folder: Path, text: str = STORY) -> Path:
    """The story file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "painter.yaml"
    path.write_text(text, "utf-8")
    return path


def make_job(story: Path, base: Path, run: Path, **options: Any) -> Job:
    """The job of a story in a run folder that has a LoRA."""
    job = Job(load_story(story, "tiny", **options), open_base(base), Run(run), "cpu", quiet())
    if not job.run.lora.is_file():
        lora_files.write_safetensors(job.run.lora, lora_files.to_kohya(random_lora(UNET), UNET), {})
    return job


def results(run: Run) -> dict[str, str]:
    """SHA-256 of everything that `explore` makes but its records, which hold durations."""
    folder = run.explore.folder
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "stages" not in path.parts)
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}
