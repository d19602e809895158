"""A whole story on the tiny base, small enough to run many times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from kolors_submit.files import file_digest
from kolors_submit.run import Run


def write_pictures(folder: Path, count: int = 4) -> Path:
    """A folder of captioned pictures that no filter drops."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        blocks = random.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((80, 72), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"红发女孩在湖边 {number}", "utf-8")
    return folder


def story_values(pictures: Path) -> dict:
    """A story of eight panels that trains four steps and renders two."""
    return {
        "schema": 1,
        "title": "雨天",
        "style": {"suffix": "水彩画风格"},
        "characters": {"小雨": "一位红发女孩"},
        "dataset": {"source": str(pictures), "size": 64, "filters": {"near_duplicates": False}},
        "train": {"rank": 4, "alpha": 4, "epochs": 1, "steps_per_epoch": 4, "save_every": 2, "seed": 3},
        "render": {"width": 64, "height": 64, "steps": 2},
        "panels": [{"scene": f"scene {n}", "prompt": f"{{小雨}}走路 {n}，全身像", "seed": n} for n in range(1, 9)],
        "gate": {"threshold": 0.0},
    }


def write_story(path: Path, values: dict) -> Path:
    """Write a story file."""
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")
    return path


def command(story: Path, base: Path, runs: Path) -> list[str]:
    """The whole submission as a user calls it."""
    program = [sys.executable, "-m", "kolors_submit", "submission", str(story)]
    return [*program, "--base", str(base), "--runs", str(runs), "--device", "cpu", "--json"]


def submit(story: Path, base: Path, runs: Path) -> dict:
    """Run a submission in a process of its own; returns its JSON answer and fails loudly."""
    result = subprocess.run(command(story, base, runs), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def digests(run: Run) -> dict[str, str]:
    """SHA-256 of every result of a run; caches, logs and durations are none."""
    parts = ("data", "train", "render", "before", "score", "bundle")
    skipped = ("checkpoints", "logs", "samples")
    files = [path for part in parts for path in sorted((run.folder / part).rglob("*")) if path.is_file()]
    kept = [path for path in files if not any(part in skipped for part in path.relative_to(run.folder).parts)]
    return {str(path.relative_to(run.folder)): file_digest(path) for path in kept}
