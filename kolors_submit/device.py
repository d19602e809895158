"""Which device computes, found out without torch: NVIDIA's own management library answers in milliseconds."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from kolors_submit import cards
from kolors_submit.container import this_image
from kolors_submit.errors import InputError

Answer = TypeVar("Answer")

CUDA_NEEDED = 12000
"""The locked torch brings CUDA 12.8, which runs on every driver of the 12 series (minor version compatibility)."""

GIVE_GPU = "start it with a GPU (docker run --gpus all, or a GPU limit in Kubernetes)"

SOLD_AS = 15 / 16
"""What a card leaves to programs of the gigabytes that it is sold with: 7.5 of 8."""

LIKE_THE_FIRST = 3 / 4
"""The share of the first card's free memory from which another works with it."""


@dataclass(frozen=True)
class Gpu:
    """One graphics card or MIG instance: its memory and what of it is free, in bytes, and its compute capability."""

    name: str
    memory: int
    free: int = 0
    capability: tuple[int, int] = (0, 0)


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


@dataclass(frozen=True)
class Machine:
    """All that a plan depends on: the kind of device, memory in bytes, and whether there is a C compiler."""

    device: str = "cpu"
    capability: tuple[int, int] = (0, 0)
    """Of the first visible card, and of those that work with it."""
    device_memory: int = 0
    """Free on the fullest card that works, or what --vram allows."""
    devices: int = 1
    """How many cards work: the first, and those directly after it that are like it."""
    compiler: bool = False
    """torch.compile writes C for the processor's side of its kernels."""
    capped: bool = False
    """Whether `device_memory` is --vram's, to be kept to even if more is free."""
    main_memory: int = sys.maxsize
    """Free in main memory, as far as it is known."""
    left_alone: int = 0
    """Visible cards that do not work: another kind than the first, or too full."""


NO_COMPILER = "no C compiler here (cc, gcc or clang), so nothing is compiled: {} takes longer"
"""The note where `has_compiler` is false, about what is going to be done."""

LEFT_ALONE = "GPUs that are left alone, being of another kind than the first or having much less memory free: {}"
"""The note where there are such, with how many."""


@functools.cache
def has_compiler() -> bool:
    """Whether there is a C compiler, which Triton and torch.compile need."""
    return any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")))


def read_machine(device: str, vram: float | None = None, most: int | None = None) -> Machine:
    """This machine as plans see it, for `cpu` or `cuda`.

    `vram` is a card's size as sold, in GB, to stay within; at `most` so many cards are to work. What torch holds in
    this process counts as free: nothing is loaded yet where a plan is made.
    """
    compiler = has_compiler()
    cuda = read_cuda() if device == "cuda" else None
    if cuda is None or not cuda.gpus:
        return Machine(device, compiler=compiler)
    limit = sys.maxsize if vram is None else int(vram * SOLD_AS * 1e9)
    gpus = [replace(gpu, free=min(limit, gpu.free + _held_here(index))) for index, gpu in enumerate(cuda.gpus)]
    alike = _like_the_first(gpus)
    working = alike[:most]
    return Machine(
        device=device,
        capability=gpus[0].capability,
        device_memory=min(gpu.free for gpu in working),
        devices=len(working),
        compiler=compiler,
        capped=vram is not None,
        main_memory=free_main_memory(),
        left_alone=len(gpus) - len(alike),
    )


def _like_the_first(gpus: Sequence[Gpu]) -> list[Gpu]:
    """The first card and those directly after it of the same capability, with about as much memory free or more.

    One that is small, old or busy would hold the others back, and change what a plan for them computes.
    """
    first = gpus[0]
    enough = LIKE_THE_FIRST * first.free
    return list(takewhile(lambda gpu: gpu.capability == first.capability and gpu.free >= enough, gpus))


def _held_here(index: int) -> int:
    """Bytes of a card that torch holds in this process."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized() or index >= torch.cuda.device_count():
        return 0
    return int(torch.cuda.memory_reserved(index))


def read_cuda() -> Cuda | None:
    """What the driver says, or None where there is no driver. CUDA_VISIBLE_DEVICES is honoured.

    From here on CUDA numbers the cards of this process and its children as they are numbered here, unless
    CUDA_DEVICE_ORDER says otherwise: a plan for one card is not to be run on another.
    """
    os.environ.setdefault(cards.ORDER, cards.IN_BUS_ORDER)
    return _ask(_cuda)


def visible_cards() -> list[str]:
    """Each card or MIG instance that programs may use here, as a value of CUDA_VISIBLE_DEVICES that shows it alone."""
    return [card.name for card in _ask(cards.visible) or ()]


def _ask(question: Callable[[], Answer]) -> Answer | None:
    """What NVIDIA's management library answers, opened for the question; None where there is no driver, or it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pynvml
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return question()
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _cuda() -> Cuda:
    import pynvml

    gpus = tuple(map(_read_gpu, cards.shown_by_cuda()))
    return Cuda(pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion_v2(), gpus)


def _read_gpu(card: cards.Card) -> Gpu:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(card.handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(card.whole)
    return Gpu(pynvml.nvmlDeviceGetName(card.handle), memory.total, memory.free, (major, minor))


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
        return "no NVIDIA driver here" if this_image() is None else f"no NVIDIA driver in this container; {GIVE_GPU}"
    if not cuda.gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            return f"CUDA_VISIBLE_DEVICES={visible} names no GPU of this machine; `nvidia-smi -L` lists what there is"
        return "the driver shows no GPU; one in MIG mode needs an instance (`nvidia-smi -L` lists them)"
    major, minor = cuda.cuda // 1000, cuda.cuda % 1000 // 10
    return f"driver {cuda.driver} knows CUDA {major}.{minor} only and the locked torch needs 12"


def memory_in_use() -> int:
    """Bytes that this process holds on its GPU, by torch's count, or in main memory where it uses none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.memory_reserved())
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_main_memory() -> int:
    """Bytes that programs can still take of main memory, or of the container's limit (cgroup v2) where that is less."""
    free = 1024 * _figure(Path("/proc/meminfo"), "MemAvailable")
    group = Path("/sys/fs/cgroup")
    try:
        used = int((group / "memory.current").read_text()) - _figure(group / "memory.stat", "inactive_file")
    except OSError:
        return free
    return min(free, main_memory() - used)


def _figure(path: Path, name: str) -> int:
    """The number behind a name in one of the kernel's tables, 0 where it is not there."""
    found = re.search(rf"^{name}:?\s+(\d+)", path.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def main_memory() -> int:
    """This machine's memory in bytes, or the container's limit (cgroup v2) where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
