"""Stock DiffSynth, diffusers and this engine on one GPU, full-size Kolors with random weights: `python bench/gpu.py`.

Part `peers` is one process: a story's eight panels of 1024x1024 from prompts to PNG files, 50 DDIM steps, guidance 4,
models loaded and everything warm; medians of several runs. `roomy` and `vram8` are the same panels from disk, in a
process of their own each, with all of the card's memory and within what a card sold as 8 GB has; there the driver and
the kernel count the memory. Each part takes less than 8 minutes. All figures go to bench/results/gpu.json;
`python bench/gpu.py --table` prints the README's table from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from full_size import write_base
from gpu_peers import NEGATIVE, PANELS, PROMPTS, diffsynth, diffusers
from measure import FORWARD_TFLOP, free, matmul_peak, peak_gb, plan_for, seconds, watched

from kolors_submit.device import read_machine
from kolors_submit.engine import base as bases
from kolors_submit.engine.conditioning import encode, encode_with
from kolors_submit.engine.draw import Models, draw, load_models
from kolors_submit.engine.gpu_kernels import fast_attention
from kolors_submit.engine.memory import arithmetic, keep_compiled, keep_within
from kolors_submit.engine.method import method_of
from kolors_submit.engine.plan import RenderPlan
from kolors_submit.engine.sampler import Task
from kolors_submit.story import Render
from kolors_submit.weights import Base, open_base

RESULTS = Path(__file__).parent / "results" / "gpu.json"
GOALS = {"exact": 9.2, "fast": 2.8}
SETTINGS = {"exact": Render(), "fast": Render(quality="fast")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one part, in this process; without it each part in its own")
    parser.add_argument("--base", type=Path, default=Path(tempfile.gettempdir()) / "kolors-random")
    parser.add_argument("--compiled", type=Path, default=Path(tempfile.gettempdir()) / "kolors-compiled")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the table of the figures that are there")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.out.read_text())))
        return
    keep_compiled(options.compiled)
    if options.part:
        base = open_base(options.base, "kolors-random")
        keep(options.out, options.part, PARTS[options.part](base))
        return
    say("write_base_s", seconds(lambda: write_base(options.base)))
    torch.cuda.empty_cache()
    for part in PARTS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)


def keep(path: Path, part: str, found: dict[str, Any]) -> None:
    """Put a part's figures beside those of the others."""
    known = json.loads(path.read_text()) if path.exists() else {}
    name, version = torch.cuda.get_device_name(), torch.__version__
    known |= {part: {"gpu": name, "torch": version, "command": " ".join(["python", *sys.argv]), **found}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def say(name: str, value: object) -> Any:
    print(f"[{time.process_time():6.0f}] {name}: {value}", flush=True)
    return value


def peers(base: Base) -> dict[str, Any]:
    """The three engines, one after the other in this process."""
    found: dict[str, Any] = {"matmul_peak_tflops": say("matmul peak", matmul_peak())}
    for name, part in (("diffsynth", diffsynth), ("diffusers", diffusers), ("ours", ours)):
        free()
        found[name] = say(name, part(base))
        print(json.dumps(found), flush=True)
    stock = found["diffsynth"]["eight_panels_s"]
    for quality in SETTINGS:
        mine = found["ours"][quality]
        mine["times_faster_than_diffsynth"] = round(stock / mine["eight_panels_s"], 2)
        mine["goal_s"] = GOALS[quality]
        mine["reached"] = mine["eight_panels_s"] <= GOALS[quality]
    exact = found["ours"]["exact"]
    floor = PANELS * 2 * 50 * FORWARD_TFLOP / found["matmul_peak_tflops"]
    exact |= {"floor_s": round(floor, 2), "share_of_matmul_peak": round(floor / exact["eight_panels_s"], 3)}
    return found


def ours(base: Base) -> dict[str, Any]:
    """This engine with its models loaded: text encoder, sampling, decoding, PNG files."""
    plan = plan_for(base, read_machine("cuda"), SETTINGS["exact"], PANELS)
    say("plan", plan)
    text, prompter = bases.load_text_encoder(base, "cuda", torch.float16), bases.load_prompter(base)
    models = load_models(base, None, SETTINGS["exact"], plan)
    found: dict[str, Any] = {"plan": str(plan)}
    with tempfile.TemporaryDirectory() as folder:
        for quality, settings in SETTINGS.items():
            stages: list[dict[str, float]] = []

            def run(settings: Render = settings, stages: list[dict[str, float]] = stages) -> None:
                begun = time.perf_counter()
                encoded = encode_with(text, text.encoder.layers, prompter, [NEGATIVE, *PROMPTS], "cuda")
                stages.append({"text": time.perf_counter() - begun})
                render(models, encoded, settings, plan, Path(folder))

            first = seconds(run)
            times = [seconds(run) for _ in range(3)]
            found[quality] = {
                "eight_panels_s": statistics.median(times),
                "panel_s": round(statistics.median(times) / PANELS, 3),
                "runs_s": times,
                "first_run_with_compilation_s": first,
                "text_s": round(statistics.median(stage["text"] for stage in stages), 3),
                "method": method_of(settings).record(),
                "peak_gb": peak_gb(),
            }
            print(quality, json.dumps(found[quality]), flush=True)
    found["where_a_step_goes_ms"] = profile(models, plan)
    return found


def render(models: Models, encoded: list[Any], settings: Render, plan: RenderPlan, folder: Path) -> None:
    tasks = [Task(positive, encoded[0], seed) for seed, positive in enumerate(encoded[1:])]

    def deliver(index: int, picture: Any, _: float) -> None:
        assert picture is not None
        picture.save(folder / f"{index}.png", "PNG", compress_level=6)

    draw(lambda: models, tasks, settings, plan, deliver)


@torch.inference_mode()
def profile(models: Models, plan: RenderPlan) -> dict[str, Any]:
    """Milliseconds of one guided forward, by the kind of kernel, and of one picture's decoding."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    n = plan.compute.batch
    half = {"device": "cuda", "dtype": torch.float16}
    text, pooled = torch.randn(n, 256, 4096, **half), torch.randn(n, 4096, **half)  # type: ignore[arg-type]
    sizes = torch.tensor([1024.0, 1024, 0, 0, 1024, 1024], device="cuda").repeat(n, 1)
    latents, t = torch.randn(n, 4, 128, 128, **half), torch.tensor([500.0], device="cuda")  # type: ignore[arg-type]
    one = torch.randn(1, 4, 128, 128, device="cuda")
    with arithmetic(), fast_attention():
        for _ in range(2):
            models.unet(latents, t, text, sizes, pooled)
            models.decoder(one)
        with profiler(activities=[ProfilerActivity.CUDA]) as found:
            models.unet(latents, t, text, sizes, pooled)
            torch.cuda.synchronize()
        decoding = statistics.median(seconds(lambda: models.decoder(one)) for _ in range(5))
        step = statistics.median(seconds(lambda: models.unet(latents, t, text, sizes, pooled)) for _ in range(10))
    kinds: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        kinds[kind_of(event.key.lower())] += event.device_time_total / 1e3
    return {
        "forward": round(1e3 * step, 1),
        "decoding_a_picture": round(1e3 * decoding, 1),
        "kernels": {kind: round(value, 1) for kind, value in sorted(kinds.items(), key=lambda item: -item[1])},
    }


OURS = ("triton", "forward_", "_add")
"""How the names of compiled kernels begin, torch's and those of engine.norm and engine.residual."""


def kind_of(kernel: str) -> str:
    words = {"attention": ("fmha", "sdpa", "flash"), "convolution": ("fprop", "conv"), "product": ("nvjet", "gemm")}
    for kind, parts in words.items():
        if any(part in kernel for part in parts):
            return kind
    return "compiled passes" if kernel.startswith(OURS) else "other"


def from_disk(base: Base, vram: float | None) -> dict[str, Any]:
    """The panels from disk to PNG files: the second of two runs, whose compilation the first has cached."""
    machine, settings = read_machine("cuda", vram), SETTINGS["exact"]
    keep_within(machine)
    plan = plan_for(base, machine, settings, PANELS)
    say("plan", plan)

    def whole() -> None:
        encoded = encode(base, [NEGATIVE, *PROMPTS], "cuda", torch.float16, plan.stream_text_encoder)
        models = load_models(base, None, settings, plan)
        with tempfile.TemporaryDirectory() as folder:
            render(models, encoded, settings, plan, Path(folder))

    with watched() as peaks:
        first = seconds(whole)
        free()
        took = seconds(whole)
    return say("from disk", {"plan": str(plan), "eight_panels_s": took, "first_run_s": first, **peaks})


PARTS: dict[str, Callable[[Base], dict[str, Any]]] = {
    "peers": peers,
    "vram8": lambda base: from_disk(base, 8),
    "roomy": lambda base: from_disk(base, None),
}


def table(found: dict[str, Any]) -> str:
    """The README's table; of the peers the better times, where they were measured on an undisturbed machine too."""
    here, alone, engine = found["peers"], found.get("peers_undisturbed", {}), found["peers"]["ours"]

    def best(peer: str) -> tuple[float, float]:
        runs = [measured[peer] for measured in (here, alone) if peer in measured]
        return min((run["eight_panels_s"], run["peak_gb"]) for run in runs)

    rows = [
        ("DiffSynth 1.1.9", *best("diffsynth")),
        ("diffusers 0.39, all eight at once", *best("diffusers")),
        ("kolors_submit", engine["exact"]["eight_panels_s"], engine["exact"]["peak_gb"]),
        ("kolors_submit, `quality: fast`", engine["fast"]["eight_panels_s"], engine["fast"]["peak_gb"]),
    ]
    first = rows[0][1]
    lines = [f"| Eight panels, {here['gpu']} | Seconds | Times as fast | GPU memory |", "|---|---|---|---|"]
    lines += [f"| {name} | {took:.1f} | {first / took:.1f} | {memory:.0f} GB |" for name, took, memory in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
