"""Seconds of a picture-book panel on the CPU: `python bench/cpu.py`.

One panel as the shipped stories set it (256x256, 30 steps, guidance 4), alone and as one of eight, by the plan that the
engine makes for this machine; without a LoRA, models loaded, prompts encoded, no files written. Medians, written to
bench/results/cpu.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median

import torch

from kolors_submit.device import read_machine
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.draw import Models, draw, load_models
from kolors_submit.engine.plan import RenderPlan, Sizes, fitting
from kolors_submit.engine.planning import render_plans
from kolors_submit.engine.sampler import Task
from kolors_submit.story import Render
from kolors_submit.weights import PICTUREBOOK, Base, count_parameters, open_base

SETTINGS = Render(width=256, height=256, steps=30, guidance_scale=4.0)
PROMPT = "一位红色长发、身穿蓝色连衣裙的女孩在湖边画画，中午，全身像"
TOGETHER = 8
GOAL = 2.5  # seconds of a lone panel on two cores


def main() -> None:
    options = _options()
    base = open_base(PICTUREBOOK)
    alone = [seconds(base, 1) for _ in range(options.runs)]
    together = [seconds(base, TOGETHER) / TOGETHER for _ in range(options.runs)]
    figures = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "panel_alone_s": round(median(alone), 2),
        "panel_of_eight_s": round(median(together), 2),
        "alone_runs_s": [round(run, 2) for run in alone],
        "goal_alone_s": GOAL,
        "reached": median(alone) <= GOAL,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cpu.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def seconds(base: Base, count: int) -> float:
    """From the first step to the last picture of so many panels, the models loaded before."""
    plan = _plan(base, count)
    negative, positive = encode(base, ["", PROMPT], "cpu", plan.compute.torch_dtype)
    models = load_models(base, None, SETTINGS, plan)
    begun = 0.0

    def loaded() -> Models:
        nonlocal begun
        begun = time.perf_counter()
        return models

    draw(loaded, [Task(positive, negative, seed) for seed in range(count)], SETTINGS, plan, lambda *_: None)
    return time.perf_counter() - begun


def _plan(base: Base, count: int) -> RenderPlan:
    machine = read_machine("cpu")
    sizes = Sizes(count_parameters(base, "unet"), count_parameters(base, "text_encoder"), 32 * 32)
    return fitting(render_plans(machine, SETTINGS, count, sizes), machine)[0]


def processor() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
