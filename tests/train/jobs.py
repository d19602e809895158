"""Jobs for the train stage's tests: a story of plain pictures on the tiny base."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from kolors_submit.files import file_digest, read_json
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights import open_base

TRAIN = {
    "rank": 2,
    "alpha": 2,
    "epochs": 1,
    "steps_per_epoch": 6,
    "learning_rate": 1e-3,
    "save_every": 2,
    "log": ["csv"],
}
SIDE = 64


def write_pictures(data: Path, count: int = 3, side: int = SIDE, *, wide: int = 0) -> None:
    """A prepared dataset of gradients in different colours, each cut from a larger picture; the first `wide` are twice
    as wide as high.
    """
    import numpy as np
    from PIL import Image

    (data / "images").mkdir(parents=True)
    columns = "file_name,text,original_width,original_height,crop_left,crop_top,crop_right,crop_bottom,width,height"
    with (data / "metadata.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns.split(","))
        for number in range(1, count + 1):
            width = 2 * side if number <= wide else side
            ramp = np.linspace(0, 255, width)[None, :, None] * np.ones((side, 1, 3))
            ramp[:, :, number % 3] = 255 * number / count
            Image.fromarray(ramp.astype("uint8")).save(data / "images" / f"{number:04d}.png")
            size = [2 * width, side, width // 2, 0, width // 2 + width, side, width, side]
            rows.writerow([f"images/{number:04d}.png", f"a picture in colour {number}", *size])


def story(**train: Any) -> Story:
    """A story of eight panels with these training settings."""
    panels = [{"scene": f"{n}", "prompt": f"picture {n}", "seed": n} for n in range(8)]
    values = {
        "schema": 1,
        "title": "tiny",
        "dataset": {"source": "pictures"},
        "train": TRAIN | train,
        "render": {"width": SIDE, "height": SIDE, "steps": 2},
        "panels": panels,
    }
    return Story.model_validate(values)


def make_job(folder: Path, base: Path, **train: Any) -> Job:
    """A job in `folder` with prepared pictures and these training settings."""
    run = Run(folder)
    if not run.data.exists():
        write_pictures(run.data)
    return Job(story(**train), open_base(base, "tiny"), run, "cpu", quiet())


def results(run: Run) -> dict[str, str]:
    """SHA-256 of each file that the stage counts as its output; nothing before it is done."""
    done = read_json(run.stage("train").path) or {"outputs": ()}
    return {name: file_digest(run.folder / name) for name in done["outputs"]}
