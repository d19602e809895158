"""Training speed on one GPU: DiffSynth 1.1.9's own step and ours through Lightning's Trainer.

`python bench/gpu_train.py` builds Kolors' full-size networks with random weights, 1024x1024, rank 16 on the four
projections. Ours is `train.loop.fit` as the verb calls it, with its loggers and checkpoints: the time of steps 51 to
250 over their number, all that happens between them counted. Figures go to bench/results/gpu_train.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from full_size import TEXT_ENCODER, UNET, VAE, random_weights
from measure import FORWARD_TFLOP, free, matmul_peak, peak_gb, watched

from kolors_submit.device import Machine, read_machine
from kolors_submit.engine import architecture, lora
from kolors_submit.engine.conditioning import Conditioning, add_time_id
from kolors_submit.engine.memory import keep_compiled, keep_within, stepping_down
from kolors_submit.engine.plan import Sizes, TrainPlan, fitting
from kolors_submit.engine.planning import train_plans
from kolors_submit.report import Reporter
from kolors_submit.run import Job, Run
from kolors_submit.story import Story, Train
from kolors_submit.train import loop
from kolors_submit.train.cache import Example
from kolors_submit.train.checkpoint import Checkpoints
from kolors_submit.train.module import LoraTraining
from kolors_submit.train.network import make_network
from kolors_submit.weights import open_base

RESULTS = Path(__file__).parent / "results" / "gpu_train.json"
PICTUREBOOK = Path(__file__).parents[1] / "kolors_submit" / "picturebook" / "base"
GOALS_MS = {4: 30.0, 1: 45.0}
"""Of a sample-step, by batch size."""
PICTURES = 30
FIRST, LAST = 50, 250
"""Steps between which the time is taken; both are looks at the loss, which wait for the device."""
SIZES = Sizes(2_579_000_000, 6_240_000_000, 128 * 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one part, in this process; without it each part in its own")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--compiled", type=Path, default=Path(tempfile.gettempdir()) / "kolors-compiled")
    options = parser.parse_args()
    keep_compiled(options.compiled)
    if options.part is None:
        for part in PARTS:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)
        return
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    known |= {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, options.part: PARTS[options.part]()}
    print(options.part, json.dumps(known[options.part]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(known, indent=2) + "\n")


def network(build: Any, dtype: torch.dtype = torch.float16, device: str = "cuda") -> Any:
    """A network with random weights."""
    with architecture.on_meta():
        made = build()
    made.load_state_dict(random_weights(made, device), assign=True)
    return made.to(dtype).eval().requires_grad_(False)


def stock() -> dict[str, Any]:
    """DiffSynth's LightningModelForT2ILoRA: text encoder and VAE at every step, 16-mixed, checkpointing, batch 1."""
    from diffsynth import SDXLImagePipeline
    from diffsynth.trainers.text_to_image import LightningModelForT2ILoRA

    from kolors_submit.engine import base as bases
    from kolors_submit.engine.schedule import ddim

    module = LightningModelForT2ILoRA(use_gradient_checkpointing=True)
    module.pipe = SDXLImagePipeline(device="cuda", torch_dtype=torch.float16)
    module.pipe.text_encoder_kolors = network(lambda: architecture.build_text_encoder(TEXT_ENCODER))
    module.pipe.vae_encoder = network(lambda: architecture.build_vae_encoder(VAE))
    module.pipe.unet = network(lambda: architecture.build_unet(UNET))
    module.pipe.prompter = bases.load_prompter(open_base(PICTUREBOOK))
    module.pipe.prompter.fetch_models(module.pipe.text_encoder_kolors)
    module.pipe.scheduler = ddim()
    module.pipe.scheduler.set_timesteps(1100)
    module.freeze_parameters()
    module.add_lora_to_model(module.pipe.denoising_model(), lora_rank=16, lora_alpha=4)
    module.cuda().log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer, scaler = module.configure_optimizers(), torch.amp.GradScaler()
    batch = {"text": ["二次元"], "image": torch.rand(1, 3, 1024, 1024, device="cuda") * 2 - 1}

    def step() -> float:
        begun = time.perf_counter()
        with torch.autocast("cuda", torch.float16):
            loss = module.training_step(batch, 0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    times = [step() for _ in range(8)][3:]
    return {"step_ms": round(1000 * statistics.median(times), 1), "peak_gb": peak_gb()}


def job(settings: dict[str, Any], folder: Path) -> Job:
    panels = [{"scene": f"{n}", "prompt": f"{n}", "seed": n} for n in range(8)]
    values = {"schema": 1, "title": "bench", "dataset": {"source": "none"}, "train": settings, "panels": panels}
    return Job(Story.model_validate(values), open_base(PICTUREBOOK), Run(folder), "cuda", Reporter(quiet=True))


def examples() -> list[Example]:
    """Random latents and embeddings of thirty pictures."""
    draw = torch.Generator().manual_seed(0)
    sizes = add_time_id(1024, 1024, 0, 0, 1024, 1024)
    made = []
    for _ in range(PICTURES):
        text = Conditioning(*(torch.randn(shape, generator=draw).half() for shape in ((256, 4096), (4096,))))
        latents = tuple(torch.randn(4, 128, 128, generator=draw) for _ in range(2))
        made.append(Example(latents, (sizes, sizes), text))
    return made


class Clock(loop.Keeper):
    """The keeper that the verb uses, and when it was done with each step."""

    times: dict[int, float] = {}  # noqa: RUF012

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: int, batch_idx: int) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        Clock.times[batch + 1] = time.perf_counter()


def train(plan: TrainPlan, steps: int, **settings: Any) -> dict[str, Any]:
    """Train so many steps by a plan: milliseconds of a sample-step, seconds to the first, memory, the LoRA's digest."""
    values = {"rank": 16, "alpha": 8, "epochs": 1, "steps_per_epoch": steps} | settings
    loop.Keeper, Clock.times = Clock, {}  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        task = job(values, Path(folder))
        free()
        where = "cpu" if plan.eight_bit else "cuda"  # as the verb loads it
        unet = network(lambda: architecture.build_unet(UNET), getattr(torch, plan.dtype), where)
        lora.inject(unet, 16, 8, task.story.train.targets, 0)
        made = make_network(unet, plan, task.story.train, "cuda", [(128, 128)])
        module = LoraTraining(made, examples(), task.story.train, fused=True)
        begun = time.perf_counter()
        losses = loop.fit(task, module, plan, Checkpoints(Path(folder) / "checkpoints", "0" * 64))
    batch = task.story.train.batch_size
    first = FIRST if steps > FIRST else steps // 2
    each = (Clock.times[steps] - Clock.times[first]) / (steps - first) / batch
    weights = b"".join(value.detach().cpu().numpy().tobytes() for value in module.lora_parameters().values())
    return {
        "plan": str(plan),
        "batch": batch,
        "steps": steps,
        "sample_step_ms": round(1000 * each, 2),
        "first_step_s": round(Clock.times[1] - begun, 1),
        "peak_gb": peak_gb(),
        "loss": [round(sum(part) / len(part), 4) for part in (losses[: steps // 4], losses[-steps // 4 :])],
        "lora_sha256": hashlib.sha256(weights).hexdigest()[:16],
    }


def plans(batch: int, machine: Machine | None = None, **settings: Any) -> tuple[TrainPlan, ...]:
    machine = machine or read_machine("cuda", most=1)
    wish = Train(rank=16, batch_size=batch, epochs=1, steps_per_epoch=LAST, **settings)
    return fitting(train_plans(machine, wish, SIZES), machine)


def ours() -> dict[str, Any]:
    """Batch 4 and batch 1 with all of the card, not deterministic."""
    peak = matmul_peak()
    found: dict[str, Any] = {"matmul_peak_tflops": peak}
    for batch, goal in GOALS_MS.items():
        figures = train(plans(batch)[0], LAST, batch_size=batch, deterministic=False)
        floor_ms = 1000 * 2 * FORWARD_TFLOP / peak  # the way back is one more forward: the base has no gradients
        figures |= {"goal_ms": goal, "reached": figures["sample_step_ms"] <= goal}
        figures["share_of_matmul_peak"] = round(floor_ms / figures["sample_step_ms"], 3)
        found[f"batch_{batch}"] = figures
        print(json.dumps(figures), flush=True)
    return found


def deterministic() -> dict[str, Any]:
    """The same twice with `deterministic: true`: identical bytes, and what they cost."""
    found: dict[str, Any] = {}
    for batch in GOALS_MS:
        first, second = (train(plans(batch)[0], 150, batch_size=batch, deterministic=True) for _ in range(2))
        found[f"batch_{batch}"] = second | {"twice_the_same": first["lora_sha256"] == second["lora_sha256"]}
        print(json.dumps(found), flush=True)
    return found


def vram8() -> dict[str, Any]:
    """Within what a card sold as 8 GB leaves, batch 1."""
    machine = read_machine("cuda", 8)
    keep_within(machine)
    tried = plans(1, machine)
    with watched() as peaks:
        figures = stepping_down(tried, lambda plan: train(plan, 100, batch_size=1, deterministic=False), print)
    return figures | peaks


PARTS = {"ours": ours, "deterministic": deterministic, "vram8": vram8, "stock": stock}

if __name__ == "__main__":
    main()
