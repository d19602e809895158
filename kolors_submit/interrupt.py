"""Ctrl-C and SIGTERM (a spot machine's last word) end a command in an orderly way, with exit status 3."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from kolors_submit.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the two signals raise Interrupted in the main thread, once; files being written are dropped.

    A second signal while the first is being dealt with does what the system does by default.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        name = signal.Signals(number).name
        raise Interrupted(f"stopped by {name}; what was done is kept, and the same command goes on from there")

    with _restored():
        if _is_main():
            for number in SIGNALS:
                signal.signal(number, stop)
        yield


class Hold:
    """Signals that wait."""

    def __init__(self) -> None:
        self.held: int | None = None
        """The first signal that came."""

    @property
    def requested(self) -> bool:
        """Whether somebody asked for an end."""
        return self.held is not None

    def install(self) -> None:
        """Take both signals, for the first time or back from a library."""
        if _is_main():
            for number in SIGNALS:
                signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """What a signal does: it is kept; after it, a Ctrl-C waits no more."""
        self.held = self.held or number
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def held() -> Iterator[Hold]:
    """Within the block a signal waits, and at its end goes to the handler outside, if Interrupted does not leave it.

    An exception out of a signal's handler can break in between two lines of threading, where a lock is taken and not
    yet in a `with`: the thread that waits for that lock never ends. So the main thread is held while it works with
    others. Whoever holds looks at `requested`. Within another hold, and in other threads, nothing is held.
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
