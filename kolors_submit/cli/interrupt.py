"""Ctrl-C and SIGTERM (a spot machine's last word) end a command in an orderly way, with exit status 3."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from kolors_submit.errors import Interrupted


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the two signals raise Interrupted in the main thread, once; files being written are dropped.

    A second signal while the first is being dealt with does what the system does by default.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        name = signal.Signals(number).name
        raise Interrupted(f"stopped by {name}; what was done is kept, and the same command goes on from there")

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
