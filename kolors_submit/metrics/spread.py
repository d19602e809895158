"""Pictures measured on all GPUs that work together; cards of one kind give a picture one value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TypeVar

from kolors_submit.device import read_machine
from kolors_submit.engine.memory import full_float32
from kolors_submit.interrupt import held

Item = TypeVar("Item")
Value = TypeVar("Value")

READERS = 4
"""Pictures that are read at once for one GPU, which waits for them otherwise; a CPU's cores are busy without."""


def devices_of(device: str, items: int) -> list[str]:
    """torch's names of the devices that `cpu` or `cuda` stands for, no more than there are items."""
    if device != "cuda":
        return [device]
    return [f"cuda:{index}" for index in range(max(1, min(items, read_machine(device).devices)))]


def spread(measure: Callable[[str, Item], Value], devices: Sequence[str], items: Sequence[Item]) -> Iterator[Value]:
    """`measure(device, item)` of every item in their order, each as soon as it is there; the devices take turns.

    A GPU computes in float32 throughout.
    """
    if devices == ["cpu"]:
        yield from (measure("cpu", item) for item in items)
        return
    with full_float32(), ThreadPoolExecutor(READERS * len(devices)) as pool:
        try:
            with held():
                measured = pool.map(measure, cycle(devices), items)
            for _ in items:
                with held():
                    value = next(measured)
                yield value
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
