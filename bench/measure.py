"""What the programs that measure share: the engine's plan, seconds and memory of a GPU, and what it can do at most."""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kolors_submit.device import Machine
from kolors_submit.engine.plan import RenderPlan, fitting
from kolors_submit.engine.planning import render_plans
from kolors_submit.panels import sizes_of
from kolors_submit.story import Render
from kolors_submit.weights import Base

FORWARD_TFLOP = 6.963
"""Of the UNet for one image of 1024x1024 with 256 tokens, counted by torch's FlopCounterMode."""


def plan_for(base: Base, machine: Machine, settings: Render, panels: int) -> RenderPlan:
    """The engine's own first plan for rendering so many panels."""
    return fitting(render_plans(machine, settings, panels, sizes_of(base, settings)), machine)[0]


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes, until the device is done with it."""
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return round(time.perf_counter() - begun, 5)


def free() -> None:
    """Give back what nothing refers to any more, and begin to count the peak anew."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float:
    """The most memory that tensors took since `free`, in GB."""
    return round(torch.cuda.max_memory_allocated() / 1e9, 2)


def matmul_peak() -> float:
    """TFLOP/s of a product of two random 8192x8192 matrices in float16."""
    one = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
    two = torch.randn_like(one)
    times = [seconds(lambda: [one @ two for _ in range(20)]) for _ in range(6)]
    return round(20 * 2 * 8192**3 / statistics.median(times[1:]) / 1e12, 1)


@contextlib.contextmanager
def watched(process: int | str = "self") -> Iterator[dict[str, float]]:
    """Filled with the most memory in use within the block, in GB: on the device, by all, and in a process."""
    import pynvml

    handle = card()
    peaks = {"device_gb": 0.0, "host_anonymous_gb": 0.0}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            # The second version leaves out what the driver keeps for itself.
            used = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used / 1e9
            held = _anonymous(process)
            peaks["device_gb"] = max(peaks["device_gb"], round(used, 2))
            peaks["host_anonymous_gb"] = max(peaks["host_anonymous_gb"], round(held, 2))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()
    if process == "self":
        peaks["torch_gb"] = round(torch.cuda.max_memory_reserved() / 1e9, 2)


def card() -> Any:
    """The driver's handle of the first card that this process may use; takes no memory on it."""
    import pynvml

    pynvml.nvmlInit()
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    if first.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(first))
    return pynvml.nvmlDeviceGetHandleByUUID(first)


def _anonymous(process: int | str) -> float:
    """GB that a process holds beside the files it has mapped; none once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e9 if "RssAnon:" in status else 0.0
