"""How long a program takes on an idle machine, measured on one that may be busy."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def idle_seconds(command: Sequence[str], folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Seconds on the clock less those that the program's main thread waited for a processor, and what it said.

    Linux counts that wait; it is read from the process when it has ended and is not yet collected.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        with subprocess.Popen(command, cwd=folder, stdout=out, stderr=err) as process:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            took = time.monotonic() - start
            waited = int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
        texts = [file.seek(0) or file.read() for file in (out, err)]
    return took - waited, subprocess.CompletedProcess(command, process.returncode, *texts)
