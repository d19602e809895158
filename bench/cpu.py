"""Seconds of a picture-book panel on the CPU: `python bench/cpu.py`.

One panel as the shipped stories set it (256x256, 30 steps, guidance 4), alone and as one of eight, by the plan that the
engine makes for this machine; without a LoRA, models loaded, prompts encoded, no files written. Least, median and
greatest of all runs are written to bench/results/cpu.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median

import torch
from measure import plan_for
from PIL import Image

from kolors_submit.device import read_machine
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.draw import Models, draw, load_models
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.engine.sampler import Task
from kolors_submit.story import Render
from kolors_submit.weights import PICTUREBOOK, open_base

SETTINGS = Render(width=256, height=256, steps=30, guidance_scale=4.0)
PROMPT = "一位红色长发、身穿蓝色连衣裙的女孩在湖边画画，中午，全身像"
TOGETHER = 8
GOAL = 2.5  # seconds of a lone panel on two cores


def main() -> None:
    options = _options()
    base = open_base(PICTUREBOOK)
    plan = plan_for(base, read_machine("cpu"), SETTINGS, TOGETHER)
    negative, positive = encode(base, ["", PROMPT], "cpu", plan.compute.torch_dtype)
    tasks = [Task(positive, negative, seed) for seed in range(TOGETHER)]
    models = load_models(base, None, SETTINGS, plan)
    alone = [_seconds(models, tasks[:1], plan) for _ in range(options.runs)]
    together = [_seconds(models, tasks, plan) / TOGETHER for _ in range(options.runs)]
    figures = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "panel_alone_s": _spread(alone),
        "panel_of_eight_s": _spread(together),
        "goal_alone_s": GOAL,
        "runs_within_the_goal": sum(run <= GOAL for run in alone) / len(alone),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cpu.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def _seconds(models: Models, tasks: list[Task], plan: RenderPlan) -> float:
    """From the first step to the last picture."""
    made: list[Image.Image | None] = []
    begun = time.perf_counter()
    draw(lambda: models, tasks, SETTINGS, plan, lambda _, picture, __: made.append(picture))
    took = time.perf_counter() - begun
    assert len(made) == len(tasks) and None not in made
    return took


def _spread(runs: list[float]) -> dict[str, float]:
    return {"least": round(min(runs), 2), "median": round(median(runs), 2), "greatest": round(max(runs), 2)}


def _processor() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
