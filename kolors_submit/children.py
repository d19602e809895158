"""Python processes that work for this one: a signal is this one's to deal with, and they end when it does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait

from kolors_submit.interrupt import SIGNALS


@contextlib.contextmanager
def without_signals() -> Iterator[None]:
    """Processes started within the block never hear Ctrl-C or SIGTERM, which a terminal or a cloud sends to all.

    What is blocked here stays blocked there. This thread's own signals come at the block's end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Have this process end where its parent does, however that was ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
