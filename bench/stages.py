"""Seconds and peak memory of each stage: `python bench/stages.py stories/watercolor.yaml`.

Each stage runs as its own verb in a process of its own, in a new run folder, as a user would call them one by one; then
the whole submission again, which finds nothing to do, and once more after one panel's prompt was changed. Memory is the
greatest sum of the process and its children (proportional set size, every second). All of it is written to
bench/results/stages.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

HERE = Path(__file__).parent
STAGES = ("data", "train", "render", "score", "bundle")
EVERY = 1.0


def main() -> None:
    options = _options()
    figures: dict[str, object] = {"story": options.story.name, "cores": psutil.cpu_count(), "base": options.base}
    with tempfile.TemporaryDirectory() as folder:
        story = Path(folder) / options.story.name
        story.write_bytes(options.story.read_bytes())
        rest = ["--base", options.base, "--runs", f"{folder}/runs", "--device", options.device]
        for stage in STAGES:
            figures[stage] = measure([stage, str(story), *rest])
        figures["second submission"] = measure(["submission", str(story), *rest])
        change_one_prompt(story)
        figures["one prompt changed"] = measure(["submission", str(story), *rest])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "stages.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def measure(arguments: list[str]) -> dict[str, float]:
    """Wall-clock seconds and peak memory in GB of one call, printed as it ends; raises where the call fails."""
    started, peak = time.monotonic(), 0
    command = [sys.executable, "-m", "kolors_submit", *arguments, "--quiet"]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(EVERY)
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
    figures = {"seconds": round(time.monotonic() - started, 1), "peak_gb": round(peak / 1e9, 2)}
    print(f"{arguments[0]:12} {figures['seconds']:7.1f} s {figures['peak_gb']:6.2f} GB", flush=True)
    return figures


def memory(pid: int) -> int:
    """Bytes that a process and its children hold now; one that has just ended holds nothing."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def change_one_prompt(story: Path) -> None:
    """Say one thing more about the fourth panel."""
    values = yaml.safe_load(story.read_text("utf-8"))
    values["panels"][3]["prompt"] += "，远处有山"
    story.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("story", type=Path)
    parser.add_argument("--base", default="picturebook")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
