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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kolors_submit.device import Machine
from kolors_submit.errors import OutsideError
from kolors_submit.interrupt import held

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Tried = TypeVar("Tried")
Result = TypeVar("Result")

THREADS = 1
"""CPU threads of one forward: the same on all machines, or their bytes would differ. Cores share out whole batches, and
training's samples.
"""

MAX_WORKERS = 16
"""Batches computed at once on a CPU; twice as many were no faster on 32 cores."""

WORKSPACE = 1_500_000_000
"""Bytes that CUDA itself and its libraries take beside torch's own memory, measured on an H200; small cards need less.
"""


@dataclass(frozen=True)
class Compute:
    """All that a picture's bytes depend on beside its inputs and the kind of machine.

    `batch` is the number of images in one forward of the UNet, guidance halves included; fewer are padded to it. With 1
    the two halves of a panel are forwards of their own.
    """

    device_kind: str
    dtype: str
    batch: int
    threads: int | None
    attention: str = "sdpa"
    compile: bool = False
    eight_bit: Literal["int8"] | None = None
    """How the UNet's linear layers are held in 8 bits, if they are."""
    decoder: Literal["float16"] | None = None
    """What the VAE decodes in by `half_decoder`, but for a picture that it cannot hold; without it in float32, or in
    `dtype` where its config says it can.
    """

    @property
    def panels(self) -> int:
        """Panels computed at once."""
        return max(1, self.batch // 2)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype that the networks compute in."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    def record(self) -> dict[str, Any]:
        """As JSON values; what is off by default and came later is left out, so that a CPU's older records hold."""
        later = ("eight_bit", "decoder")
        return {name: value for name, value in asdict(self).items() if name not in later or value is not None}


def compute_for(device: str) -> Compute:
    """The arithmetic on a device, `cpu` or `cuda`, of one panel at a time, compiled nowhere."""
    if device == "cpu":
        return Compute("cpu", "float32", batch=1, threads=THREADS)
    return Compute("cuda", "float16", batch=2, threads=None, attention="cudnn")


@contextlib.contextmanager
def arithmetic() -> Iterator[None]:
    """Compute the recorded way within the block: with `THREADS`, cuDNN's deterministic kernels and no autotuning."""
    import torch

    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic
    torch.set_num_threads(THREADS)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.benchmark, cudnn.deterministic = before[1:]


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Within the block cuDNN keeps all of float32's digits, which it rounds to TF32's on an Ampere card or a newer one.

    torch has one such choice for all threads.
    """
    import torch

    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def compute_all(
    device: str,
    work: Callable[[Item, Callable[[], None]], None],
    items: Sequence[Item],
    devices: int = 1,
    threads: int = 1,
) -> None:
    """Call `work(item, go_on)` for every item, on a CPU one item a core, on GPUs one in each of a device's `threads`.

    None of these numbers changes a byte. On a GPU `cuda` means the thread's own one. The first error, or a signal,
    stops the rest where they next call `go_on`, and is raised.
    """
    import torch

    stop = threading.Event()
    places = list(range(devices)) if devices > 1 or device == "cpu" else [torch.cuda.current_device()]
    free = iter(places * threads)

    def go_on() -> None:
        if stop.is_set() or hold.requested:
            raise CancelledError

    def begin() -> None:
        torch.cuda.set_device(next(free))  # each thread has its own current device, and its own number of threads
        torch.set_num_threads(THREADS)

    pool = core_pool() if device == "cpu" else ThreadPoolExecutor(devices * threads, initializer=begin)
    with arithmetic(), held() as hold:
        try:
            futures = [pool.submit(work, item, go_on) for item in items]
            for future in as_completed(futures):
                future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def core_pool() -> ThreadPoolExecutor:
    """A thread for each core of the CPU, each of which computes with `THREADS` threads of its own."""
    import torch

    cores = min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    return ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(THREADS,))


def stepping_down(plans: Sequence[Tried], attempt: Callable[[Tried], Result], note: Callable[[str], None]) -> Result:
    """What `attempt` gives with the first of the plans that does not run out of the GPU's memory; each step is noted.

    Raises OutsideError where the last one does.
    """
    import torch

    for plan, leaner in zip(plans, [*plans[1:], None], strict=True):
        try:
            return attempt(plan)
        except torch.OutOfMemoryError:
            said = str(plan)
        # Outside the handler, whose error would keep the models alive.
        release("cuda")
        if leaner is not None:
            note(f"the GPU's memory was not enough for {said}; going on with {leaner}")
    raise OutsideError(
        f"the GPU's memory is not enough for {said}, the leanest way; end other programs that use it (nvidia-smi "
        "lists them), or lower the pictures' size"
    )


def on_gpu_or_cpu(device: str, what: str, attempt: Callable[[str], Result], note: Callable[[str], None]) -> Result:
    """What `attempt` gives on the device; where a GPU's memory is not enough for it, on the CPU, which is noted.

    The GPU's memory is given back afterwards.
    """
    ways = {what: device} if device == "cpu" else {f"{what} on the GPU": device, f"{what} on the CPU": "cpu"}
    result = stepping_down(list(ways), lambda way: attempt(ways[way]), note)
    release(device)
    return result


def keep_within(machine: Machine) -> None:
    """Hold torch to what --vram allows on every device; without it, to all there is."""
    import torch

    for index in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(index).total_memory
        allowed = max(0, machine.device_memory - WORKSPACE) / total if machine.capped else 1.0
        torch.cuda.set_per_process_memory_fraction(allowed, index)


def keep_compiled(folder: Path) -> None:
    """Let torch keep what it compiles in a folder for the next process; where the person has set another, there.

    Where the folder cannot be written to, it goes where torch puts it by itself.
    """
    for name, place in (("TORCHINDUCTOR_CACHE_DIR", folder / "inductor"), ("TRITON_CACHE_DIR", folder / "triton")):
        if name not in os.environ and _can_write(place):
            os.environ[name] = str(place)


def _can_write(folder: Path) -> bool:
    """Whether the folder, which is made where it is not there, takes new files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def release(device: str) -> None:
    """Give back the GPU memory of models that nothing refers to any more; on a CPU that happens by itself."""
    if device == "cpu":
        return
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
