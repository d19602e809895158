"""One process holds a run folder at a time; a second is told who, and a killed one lets go."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kolors_submit.errors import OutsideError
from kolors_submit.files import PARTIAL, read_json, write_error

LOCK = ".lock"
PAUSES = (0.02, 0.1)
"""Seconds between the tries to take it."""


class InUse(OutsideError):
    """Another process holds the run folder."""


@contextlib.contextmanager
def hold(folder: Path, verb: str) -> Iterator[None]:
    """Hold a run folder for one process; raises InUse that names the holder where it is taken.

    Files that a killed run left half-written are deleted on the way in.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise write_error(path, error) from error
    with file:
        try:
            _take(file)
        except BlockingIOError as error:
            taken = f"{folder} is in use by {holder(folder)}; wait for it, or use another run folder with --name"
            raise InUse(taken) from error
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "verb": verb, "since": int(time.time())}, file)
        file.flush()
        _clear(folder)
        yield


def _clear(folder: Path) -> None:
    """Delete half-written files, but for those of run folders further down, which have a lock of their own."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for name in files:
            if name.startswith(".") and name.endswith(PARTIAL):
                Path(place, name).unlink(missing_ok=True)


def _take(file: IO[str]) -> None:
    """Take the lock, tried more than once: `is_held` has it for a moment."""
    for pause in (*PAUSES, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if pause is None:
                raise
            time.sleep(pause)


def holder(folder: Path) -> str:
    """Who holds (or last held) a run folder, in words."""
    who = read_json(folder / LOCK)
    if not isinstance(who, dict):
        return "another process"
    since = time.strftime("%H:%M:%S", time.localtime(who.get("since", 0)))
    return f"`{who.get('verb')}`, process {who.get('pid')} on {who.get('host')}, since {since}"


def is_held(folder: Path) -> bool:
    """Whether a process holds the run folder now."""
    try:
        with (folder / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
