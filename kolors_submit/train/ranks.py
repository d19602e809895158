"""Several devices train together: one process each, of which this one is the first; Lightning's DDP joins them.

Each takes its share of every batch, and the mean of their gradients is that of the whole batch on one device.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from kolors_submit.children import end_with_parent
from kolors_submit.errors import Interrupted, OutsideError, SubmitError
from kolors_submit.interrupt import held
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from kolors_submit.story import Story
    from kolors_submit.weights import Base

    Line = Connection[Any, Any]

OUT_OF_MEMORY = 17
"""Exit status of a process whose device's memory was not enough."""
TOLD_BY_THE_FIRST = 18
"""Exit status of a process that ended with an error of ours, which the first process has as well."""
PATIENCE = timedelta(minutes=5)
"""How long a process waits for the others before it gives up."""
LAST_BREATH = 5
"""Seconds that a process may take to end after its connections are closed."""
GONE = "another training process is gone"

Word = TypeVar("Word")


@dataclass(frozen=True)
class Rank:
    """One of the processes that train together."""

    number: int = 0
    count: int = 1
    port: int = 0
    """On 127.0.0.1, where they meet."""
    lines: tuple[Line, ...] = ()
    """From the first to each other, or from another to the first; no device has to be waited for to say a word."""

    @property
    def is_first(self) -> bool:
        """Whether it is this one that saves, logs and shows."""
        return self.number == 0

    def meet(self) -> None:
        """Wait until all processes have come to this place.

        Raises RuntimeError where another is gone, OutsideError where one does not come.
        """
        absent = set(self.lines) if self.is_first else set()
        if not self.is_first:
            self.lines[0].send(None)
        while absent:
            came = wait(absent, PATIENCE.total_seconds())
            if not came:
                raise OutsideError("a training process does not get ready; run again to go on")
            for line in self.lines:
                if line in came:
                    _heard(line)
                    absent.remove(line)
        self.told(None)

    def told(self, word: Word) -> Word:
        """The first one's word, in every process. Raises RuntimeError where another is gone."""
        if not self.is_first:
            heard: Word = _heard(self.lines[0])
            return heard
        for line in self.lines:
            try:
                line.send(word)
            except OSError as error:
                raise RuntimeError(GONE) from error
        return word


def _heard(line: Line) -> Any:
    try:
        return line.recv()
    except (EOFError, OSError) as error:
        raise RuntimeError(GONE) from error


Share = Callable[[Job, Rank], None]
"""Trains one process's part; it is sent to the process, so it is a module's function or a partial of one."""


class Environment(LightningEnvironment):
    """Where a process finds the others: Lightning starts none, and a batch system's variables change nothing."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """They are there already."""
        return self.rank.count > 1

    @property
    def main_address(self) -> str:
        """All on this machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Of the first process."""
        return self.rank.port

    def local_rank(self) -> int:
        """The number of this process, and of its device."""
        return self.rank.number


def strategy(rank: Rank, device: str) -> DDPStrategy | str:
    """Lightning's name for one device, or DDP."""
    if rank.count == 1:
        return "auto"
    return DDPStrategy(
        process_group_backend="gloo" if device == "cpu" else "nccl",
        timeout=PATIENCE,
        # Every process has loaded the same weights and the same checkpoint: none need go from one to the others.
        init_sync=False,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )


@contextlib.contextmanager
def together(job: Job, share: Share, count: int) -> Iterator[Rank]:
    """Have `count` processes train within the block, the others by `share`; the value is this one's rank.

    Raises torch.OutOfMemoryError where another's memory was not enough, OutsideError where another ended.
    """
    if count == 1:
        yield Rank()
        return
    port, over = _free_port(), threading.Event()
    others: dict[SpawnProcess, Line] = {}
    watcher = threading.Thread(target=_watch, args=(others, over), daemon=True)
    try:
        with held() as hold:  # an exception within a start would leave a process that nobody ends
            for number in range(1, count):
                if hold.requested:
                    raise Interrupted("training was interrupted before it began; run the same command to go on")
                process, line = _begin(job, share, number, count, port)
                others[process] = line
            watcher.start()
        yield Rank(0, count, port, tuple(others.values()))
    except RuntimeError as error:  # what a line or a collective operation raises when another process is gone
        watcher.join(timeout=LAST_BREATH)
        ended = {process.exitcode for process in others} - {None, 0}
        if OUT_OF_MEMORY in ended:
            raise torch.OutOfMemoryError("on another device") from error
        if ended:
            raise OutsideError(f"a training process ended with status {ended.pop()}; run again to go on") from error
        raise
    finally:
        over.set()
        for process in others:
            process.kill()  # they hold nothing that is to be saved, and take no signals
        if watcher.is_alive():
            watcher.join()
        for process, line in others.items():
            process.join()
            line.close()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _begin(job: Job, share: Share, number: int, count: int, port: int) -> tuple[SpawnProcess, Line]:
    """Another process, started, and the line to it, which ends when the process does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    rank = Rank(number, count, port, (theirs,))
    given = (share, rank, job.story, job.base, job.run, job.device)
    process = context.Process(target=_train_as, args=given, daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _watch(others: Collection[SpawnProcess], over: threading.Event) -> None:
    """Until a process fails or the block is over: gloo raises where one is gone, NCCL would wait for it."""
    running = list(others)
    while running and not over.is_set():
        gone = wait([process.sentinel for process in running])
        for process in [process for process in running if process.sentinel in gone]:
            process.join()  # its pipe closes a moment before its status can be read
            running.remove(process)
            if process.exitcode and not over.is_set():
                group = torch.distributed.group.WORLD
                if group is not None and torch.distributed.get_backend(group) == "nccl":
                    group.abort()
                return


def _train_as(share: Share, rank: Rank, story: Story, base: Base, run: Run, device: str) -> None:
    """The whole of another process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all; the first process saves, and ends the others
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    if device == "cuda":
        torch.cuda.set_device(rank.number)
    try:
        share(Job(story, base, run, device, quiet()), rank)
    except torch.OutOfMemoryError:
        os._exit(OUT_OF_MEMORY)
    except (SubmitError, Interrupted):
        os._exit(TOLD_BY_THE_FIRST)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
