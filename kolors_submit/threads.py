"""Work shared out to threads: it ends where a signal comes, and its results are in the items' order."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar

from kolors_submit.interrupt import held

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_THREADS = 8
"""Each may hold a decoded picture, up to a quarter of a gigabyte."""


def in_threads(
    work: Callable[[Item], Result],
    items: Collection[Item],
    advance: Callable[[], object] = lambda: None,
    threads: int = MAX_THREADS,
) -> list[Result]:
    """`work` of every item in their order, on a thread for each core, at most so many; `advance` is called after each.

    It pays where the work leaves the interpreter's lock, as Pillow's and torch's does. The first error is raised.
    """
    results: list[Result] = []
    with held() as hold, ThreadPoolExecutor(min(threads, len(os.sched_getaffinity(0)))) as pool:
        try:
            for result in pool.map(work, items):
                if hold.requested:
                    raise CancelledError
                results.append(result)
                advance()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return results
