"""A whole submission at Kolors' full size on one GPU, through the verb: `python bench/gpu_submission.py`.

A base with random weights (bench/full_size.py) lies on a local disk, with an aesthetics predictor of the official one's
size. The story has thirty pictures of 1024x1024, 1000 training samples in batches of 4, eight panels of 50 steps. It is
made three times, each in a process and a run folder of its own: with nothing compiled before (`cold`), with what the
first has left (`warm`), and as on a card sold as 8 GB (`vram8`). The process counts seconds, the driver the device's
memory, the kernel the process's. Random weights draw noise, so the gate is 0. Figures go to
bench/results/gpu_submission.json.

`--without-data-juicer` leaves the filters out, for a machine that lacks it; they take most of what `data` takes in
bench/results/stages.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pynvml
import torch
import yaml
from full_size import write_predictor
from measure import card, watched

from kolors_submit.weights import open_base

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gpu_submission.json"
GOALS_S = {"warm": 75, "cold": 180}
GOAL_DEVICE_GB, GOAL_HOST_GB, GOAL_TIMES = 7.5, 12, 2.5
"""Of `vram8`: on the device, in the process, and of the seconds without the cap."""

NO_FILTERS = dict.fromkeys(("shape", "aspect_ratio", "aesthetics")) | {
    "exact_duplicates": False,
    "near_duplicates": False,
}
STORY: dict[str, Any] = {
    "schema": 1,
    "title": "bench",
    "language": "zh",
    "dataset": {"source": "picturebook:watercolor", "size": 1024},
    "train": {"rank": 16, "alpha": 8, "epochs": 1, "steps_per_epoch": 250, "batch_size": 4, "deterministic": False},
    "panels": [{"scene": f"{n}", "prompt": f"一位红发女孩在湖边画画，第{n}幅", "seed": n} for n in range(8)],
    "gate": {"threshold": 0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "kolors-submission")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--without-data-juicer", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    base = options.folder / "kolors-random"
    subprocess.run([sys.executable, HERE / "full_size.py", base], check=True)  # this process keeps off the card
    write_predictor(base / "predictor")
    open_base(base)  # its digests are recorded on first use
    story = write_story(options.folder, options.without_data_juicer)
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    known |= {"gpu": pynvml.nvmlDeviceGetName(card()), "torch": torch.__version__}
    known |= {"command": " ".join(["python", *sys.argv]), "data_juicer": not options.without_data_juicer}
    for part in options.parts:
        forget(options.folder / "runs", part)
        known[part] = submission(part, story, base, PARTS[part])
        print(part, json.dumps(known[part]), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(known | verdict(known), indent=2) + "\n")


def forget(runs: Path, part: str) -> None:
    """What an earlier execution of this program left of a part; before `cold` all that was compiled, too."""
    shutil.rmtree(runs if part == "cold" else runs / f"bench-{part}", ignore_errors=True)


def write_story(folder: Path, without_data_juicer: bool) -> Path:
    values = STORY | {"dataset": STORY["dataset"] | ({"filters": NO_FILTERS} if without_data_juicer else {})}
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")
    return path


def submission(name: str, story: Path, base: Path, more: tuple[str, ...]) -> dict[str, Any]:
    """One call of the verb: its seconds, those of each stage, and the most memory that it took."""
    places = ["--base", str(base), "--runs", str(story.parent / "runs"), "--name", name, "--device", "cuda"]
    command = [sys.executable, "-m", "kolors_submit", "submission", str(story), *places, *more, "--json"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, watched(process.pid) as peaks:
        said, _ = process.communicate()
    answer = json.loads(said or "{}")
    if process.returncode or not answer.get("ok"):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said}")
    run = Path(answer["run"])
    plans = {
        "train": json.loads((run / "train/train.json").read_text())["plan"],
        "render": json.loads((run / "render/render.json").read_text())["plan"],
    }
    took = round(time.monotonic() - begun, 1)
    return {"seconds": took, "stages": answer["metrics"]["seconds"], "plans": plans, **peaks}


def verdict(found: dict[str, Any]) -> dict[str, Any]:
    """Which goals the figures that are there reach."""
    reached: dict[str, bool] = {part: found[part]["seconds"] <= goal for part, goal in GOALS_S.items() if part in found}
    if "vram8" in found and "cold" in found:
        lean = found["vram8"]
        reached["vram8_device"] = lean["device_gb"] <= GOAL_DEVICE_GB
        reached["vram8_host"] = lean["host_anonymous_gb"] <= GOAL_HOST_GB
        reached["vram8_time"] = lean["seconds"] <= GOAL_TIMES * found["cold"]["seconds"]
    return {"goals_reached": reached}


ONE_BY_ONE = ("--set", "train.batch_size=1", "--set", "train.accumulation=4")
"""Four samples a step as in the other calls, but one after the other, as a small card needs it."""
PARTS: dict[str, tuple[str, ...]] = {"cold": (), "warm": (), "vram8": ("--vram", "8", *ONE_BY_ONE)}
"""Options of each call."""

if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
