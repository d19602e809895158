"""Which device computes, found out without torch: NVIDIA's own management library answers in milliseconds."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from kolors_submit.errors import InputError

CUDA_NEEDED = 12000
"""The locked torch brings CUDA 12.8, which runs on every driver of the 12 series (minor version compatibility)."""


@dataclass(frozen=True)
class Gpu:
    """One graphics card, with its memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Cuda:
    """What the NVIDIA driver says: its version, the CUDA version it knows (12080 is 12.8), the visible cards."""

    driver: str
    cuda: int
    gpus: tuple[Gpu, ...]

    @property
    def usable(self) -> bool:
        """Whether the locked torch can compute on one of the cards."""
        return bool(self.gpus) and self.cuda >= CUDA_NEEDED

    @property
    def memory(self) -> int:
        """Memory of the first visible card in bytes; 0 without one."""
        return self.gpus[0].memory if self.gpus else 0


def read_cuda() -> Cuda | None:
    """What the driver says, or None where there is no driver. CUDA_VISIBLE_DEVICES is honoured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynvml
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        visible = _visible(handles, [pynvml.nvmlDeviceGetUUID(handle) for handle in handles])
        gpus = tuple(Gpu(pynvml.nvmlDeviceGetName(h), pynvml.nvmlDeviceGetMemoryInfo(h).total) for h in visible)
        return Cuda(pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion_v2(), gpus)
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _visible(handles: list[object], identifiers: list[str]) -> list[object]:
    """The cards that CUDA_VISIBLE_DEVICES lets a program see, in its order; as CUDA does, up to the first unknown."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    chosen = []
    for entry in wanted.split(","):
        matches = [i for i, name in enumerate(identifiers) if entry.strip() in (str(i), name)]
        if not matches:
            break
        chosen.append(handles[matches[0]])
    return chosen


def find_device(name: str) -> str:
    """`cuda` or `cpu` for `auto`, `cpu` or `cuda`; raises InputError where CUDA is asked for and is not there."""
    if name == "cpu":
        return "cpu"
    cuda = read_cuda()
    if cuda is not None and cuda.usable:
        return "cuda"
    if name == "auto":
        return "cpu"
    raise InputError(f"--device cuda: {why_no_cuda(cuda)}; use --device cpu, or see `kolors-submit doctor`")


def why_no_cuda(cuda: Cuda | None) -> str:
    """Why there is no CUDA device to use, in words."""
    if cuda is None:
        return "no NVIDIA driver here"
    if not cuda.gpus:
        return "the driver shows no GPU (CUDA_VISIBLE_DEVICES?)"
    major, minor = cuda.cuda // 1000, cuda.cuda % 1000 // 10
    return f"driver {cuda.driver} knows CUDA {major}.{minor} only and the locked torch needs 12"


def main_memory() -> int:
    """This machine's memory in bytes, or the container's limit where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
