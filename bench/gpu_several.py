"""Several GPUs of one machine: `python bench/gpu_several.py --devices 1 2 4`.

Kolors' full-size networks with random weights. Rendering is a story's eight panels of 1024x1024 from embeddings to
pictures, 50 DDIM steps, models loaded and everything warm; training is Lightning's DDP on batches of four in all,
1024x1024, rank 16, the time of steps 21 to 60. Scoring is 64 pictures of 1024x1024 by a predictor of the official
one's size, from files to scores, its reading included. The efficiency is what one device takes over what n take, times
n. Figures go to bench/results/gpu_several.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from full_size import UNET, VAE, write_predictor
from gpu_train import SIZES, Clock, examples, job, network, plans
from measure import free, seconds
from PIL import Image

from kolors_submit.device import Machine, read_machine
from kolors_submit.engine import architecture, lora
from kolors_submit.engine.accelerate import Accelerated, accelerate_decoder
from kolors_submit.engine.conditioning import Conditioning
from kolors_submit.engine.draw import Models, draw
from kolors_submit.engine.memory import keep_compiled
from kolors_submit.engine.plan import RenderPlan, TrainPlan
from kolors_submit.engine.planning import render_plans
from kolors_submit.engine.sampler import Task
from kolors_submit.metrics import spread
from kolors_submit.metrics.predictor import score_pictures
from kolors_submit.run import Job
from kolors_submit.story import Render
from kolors_submit.train import loop
from kolors_submit.train.checkpoint import Checkpoints
from kolors_submit.train.module import LoraTraining
from kolors_submit.train.network import make_network
from kolors_submit.train.ranks import Rank, together

RESULTS = Path(__file__).parent / "results" / "gpu_several.json"
PANELS, BATCH, PICTURES = 8, 4, 64
FIRST, LAST = 20, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--compiled", type=Path, default=Path(tempfile.gettempdir()) / "kolors-compiled")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    keep_compiled(options.compiled)
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.parts:
        measured = PARTS[name]()
        found[name] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "devices": {}}
        for count in options.devices:
            found[name]["devices"][str(count)] = took = measured(count)
            print(name, count, took, flush=True)
            found["efficiency"] = efficiency(found)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=2) + "\n")
        free()


def efficiency(found: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Of each measured count that is not the first, which the others are held to."""
    table: dict[str, dict[int, float]] = {}
    for name in PARTS:
        if name in found:
            (first, took), *others = ((int(count), took) for count, took in found[name]["devices"].items())
            table[name] = {count: round(took * first / (other * count), 3) for count, other in others}
    return table


class Renderer:
    """Models on so many devices, loaded when first asked for."""

    def __init__(self) -> None:
        self.models: dict[int, Models] = {}

    def panels(self, count: int) -> float:
        """Seconds for eight panels on so many devices."""
        machine = replace(read_machine("cuda"), devices=count)
        plan = render_plans(machine, Render(), PANELS, SIZES)[0]
        for index in range(count):
            if index not in self.models:
                with torch.cuda.device(index):
                    self.models[index] = loaded(plan)
        noise = torch.Generator().manual_seed(0)
        text = [Conditioning(*(torch.randn(shape, generator=noise).half() for shape in ((256, 4096), (4096,))))
                for _ in range(PANELS + 1)]  # fmt: skip
        tasks = [Task(positive, text[0], seed) for seed, positive in enumerate(text[1:])]

        def run(steps: int) -> None:
            draw(lambda: self.models[torch.cuda.current_device()], tasks, Render(steps=steps), plan,
                 lambda *_: None, devices=count)  # fmt: skip

        run(2)
        return seconds(lambda: run(50))


def loaded(plan: RenderPlan) -> Models:
    decoder = network(lambda: architecture.build_vae_decoder(VAE), torch.float32)
    return Models(Accelerated(network(lambda: architecture.build_unet(UNET)), plan), accelerate_decoder(decoder, plan))


def train(count: int) -> float:
    """Milliseconds of a step on so many devices."""
    plan = plans(BATCH, replace(read_machine("cuda"), devices=count))[0]
    settings = {"rank": 16, "alpha": 8, "epochs": 1, "steps_per_epoch": LAST, "batch_size": BATCH}
    with tempfile.TemporaryDirectory() as folder:
        task = job(settings | {"deterministic": False}, Path(folder))
        with together(task, partial(one_process, plan=plan), count) as rank:
            one_process(task, rank, plan=plan)
    return round(1000 * (Clock.times[LAST] - Clock.times[FIRST]) / (LAST - FIRST), 1)


def one_process(task: Job, rank: Rank, *, plan: TrainPlan) -> None:
    """A device's part of the training."""
    loop.Keeper, loop.LOOK_EVERY, Clock.times = Clock, FIRST, {}  # type: ignore[misc]
    unet = network(lambda: architecture.build_unet(UNET), getattr(torch, plan.dtype))
    lora.inject(unet, 16, 8, task.story.train.targets, 0)
    made = make_network(unet, plan, task.story.train, "cuda", [(128, 128)])
    module = LoraTraining(made, examples(), task.story.train, fused=True)
    begun = time.perf_counter()
    loop.fit(task, module, plan, Checkpoints(task.run.train / "checkpoints", "0" * 64), None, rank)
    print(f"rank {rank.number} of {rank.count}: {time.perf_counter() - begun:.0f} s", flush=True)


class Scorer:
    """A predictor and pictures, in a folder of their own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="kolors-scoring-")  # there as long as this is
        folder = Path(self.folder.name)
        self.predictor = write_predictor(folder / "predictor")
        self.pictures = [folder / f"{number:02d}.png" for number in range(PICTURES)]
        draw = np.random.default_rng(0)
        for path in self.pictures:
            small = draw.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(small).resize((1024, 1024), Image.Resampling.BICUBIC).save(path)

    def scores(self, count: int) -> float:
        """Seconds for all pictures on so many devices, the median of three after a first."""
        with unittest.mock.patch.object(spread, "read_machine", return_value=Machine("cuda", devices=count)):
            times = [seconds(lambda: list(score_pictures(self.predictor, self.pictures, "cuda"))) for _ in range(4)]
        return statistics.median(times[1:])


PARTS: dict[str, Callable[[], Callable[[int], float]]] = {
    "train_step_ms": lambda: train,
    "eight_panels_s": lambda: Renderer().panels,
    "64_pictures_scored_s": lambda: Scorer().scores,
}

if __name__ == "__main__":
    main()
