"""Ctrl-C and SIGTERM (a spot machine's last word) end a command in an orderly way, with exit status 3."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from kolors_submit.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)

AGAIN_SECONDS = 0.02
"""After which it is seen whether an import has ended."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the two signals raise Interrupted in the main thread, once; files being written are dropped.

    What comes while a module is imported waits for the import's end: an exception is lost there where C code calls
    Python. A second signal while the first is being dealt with does what the system does by default.
    """
    first, waiting, over = 0, False, False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first, waiting, over
        first = first or number
        if _imports(frame):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if not waiting:
                waiting = True
                _thread.start_new_thread(again, ())
            return
        over = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        name = signal.Signals(first).name
        raise Interrupted(f"stopped by {name}; what was done is kept, and the same command goes on from there")

    def again() -> None:
        nonlocal waiting
        time.sleep(AGAIN_SECONDS)
        waiting = False
        if not over:
            os.kill(os.getpid(), signal.SIGTERM)

    with _restored():
        if _is_main():
            for number in SIGNALS:
                signal.signal(number, stop)
        try:
            yield
        finally:
            over = True


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported below this frame."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class Hold:
    """Signals that wait."""

    def __init__(self) -> None:
        self.held: int | None = None
        """The first signal that came."""
        self.taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        """What is ignored outside stays so."""

    @property
    def requested(self) -> bool:
        """Whether somebody asked for an end."""
        return self.held is not None

    def install(self) -> None:
        """Take the signals, for the first time or back from a library."""
        if _is_main():
            for number in SIGNALS:
                signal.signal(number, self.note if number in self.taken else signal.SIG_IGN)

    def note(self, number: int, frame: FrameType | None) -> None:
        """What a signal does: it is kept; after it, a Ctrl-C waits no more."""
        self.held = self.held or number
        if signal.SIGINT in self.taken:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def held() -> Iterator[Hold]:
    """Within the block a signal waits, and at its end goes to the handler outside, if Interrupted does not leave it.

    An exception out of a signal's handler can break in between two lines of threading, where a lock is taken and not
    yet in a `with`: the thread that waits for that lock never ends. So the main thread is held while it works with
    others. Whoever holds looks at `requested`. Within another hold, and in other threads, nothing is held. What is
    ignored outside stays so.
    """
    hold = Hold()
    if isinstance(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), Hold):
        yield hold
        return
    try:
        with _restored():
            hold.install()
            yield hold
    finally:
        if hold.held is not None and not isinstance(sys.exception(), Interrupted):
            signal.raise_signal(hold.held)


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """The two signals' handlers after the block are those of before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if _is_main():
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_main() -> bool:
    """Whether this thread may have handlers at all."""
    return threading.current_thread() is threading.main_thread()
