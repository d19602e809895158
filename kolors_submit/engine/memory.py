"""How arithmetic is done (device, dtype, batch shape, threads) and memory between models.

Bytes depend on all of `Compute`, so it is recorded beside every picture and is part of what a picture depends on.
Nothing here imports torch before it is needed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

THREADS = 1
"""CPU threads of one forward: the same on all machines, or their bytes would differ. Cores share out whole batches."""

TRAINING_THREADS = 2
"""CPU threads of training, whose steps cannot be shared out."""

MAX_WORKERS = 8
"""Batches computed at once on a CPU; beyond this, Python's own lock is what they wait for."""

GPU_BATCH = 8
"""Images in one UNet forward on a GPU (four panels with their guidance halves)."""


@dataclass(frozen=True)
class Compute:
    """All that a picture's bytes depend on beside its inputs and the kind of machine.

    `batch` is the number of images in one forward of the UNet, guidance halves included; fewer are padded to it.
    """

    device_kind: str
    dtype: str
    batch: int
    threads: int | None
    attention: str = "sdpa"
    compile: bool = False
    eight_bit: Literal["fp8", "int8"] | None = None
    """How the UNet's products are held in 8 bits, if they are."""

    @property
    def panels(self) -> int:
        """Panels computed at once."""
        return self.batch // 2

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype that the networks compute in."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    def record(self) -> dict[str, Any]:
        """As JSON values; what is off by default and came later is left out, so that older records still hold."""
        values = asdict(self)
        if self.eight_bit is None:
            del values["eight_bit"]
        return values


def compute_for(device: str) -> Compute:
    """The arithmetic used on a device, `cpu` or `cuda`."""
    if device == "cpu":
        return Compute("cpu", "float32", batch=2, threads=THREADS)
    return Compute("cuda", "float16", batch=GPU_BATCH, threads=None)


@contextlib.contextmanager
def arithmetic(device: str, threads: int = THREADS) -> Iterator[None]:
    """Compute the recorded way within the block: so many CPU threads, cuDNN's deterministic kernels, no autotuning."""
    import torch

    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic
    if device == "cpu":
        torch.set_num_threads(threads)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.benchmark, cudnn.deterministic = before[1:]


def compute_all(device: str, work: Callable[[Item, Callable[[], None]], None], items: Sequence[Item]) -> None:
    """Call `work(item, go_on)` for every item, on a CPU one item a core; the number of cores changes no byte.

    The first error, or an interruption, stops the rest where they next call `go_on`, and is raised.
    """
    import torch

    stop = threading.Event()

    def go_on() -> None:
        if stop.is_set():
            raise CancelledError

    cores = min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    # Each thread has its own number of OpenMP threads, so it is set in each.
    pool = ThreadPoolExecutor(cores if device == "cpu" else 1, initializer=torch.set_num_threads, initargs=(THREADS,))
    with arithmetic(device):
        try:
            futures = [pool.submit(work, item, go_on) for item in items]
            for future in as_completed(futures):
                future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def release(device: str) -> None:
    """Give back the GPU memory of models that nothing refers to any more; on a CPU that happens by itself."""
    if device == "cpu":
        return
    import torch

    gc.collect()
    torch.cuda.empty_cache()
