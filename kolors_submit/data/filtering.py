"""The recipe run by Data-Juicer in a process of its own, and every picture accounted for afterwards.

Data-Juicer's exit status says little: one bad picture or a missing model can empty a dataset with status 0. So its
answer is believed only when input = kept + dropped + failed holds for every operator.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kolors_submit import cards
from kolors_submit.data.recipe import INPUT, PREDICTOR, Operator, operators, recipe_yaml
from kolors_submit.errors import OutsideError
from kolors_submit.files import canonical_json, read_json, write_text
from kolors_submit.interrupt import held
from kolors_submit.story import Filters

LOG = "data-juicer.log"
TAIL_LINES = 15
STARTUP_SECONDS, SECONDS_PER_PICTURE = 600, 10
"""Far beyond what it takes (about 5 s and 0.1 s): only a process that hangs is ended."""

POLL_SECONDS = 0.05
"""Between two looks at whether the process has ended."""

MAX_TEMP_PATH = 70
"""Linux bounds a socket's path at 107 bytes, and the sockets' own names below this folder take up to 34."""

_SWITCHES = (
    "UV_OFFLINE",
    "UV_NO_CACHE",
    "PIP_NO_INDEX",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_DATASETS_DISABLE_PROGRESS_BARS",
    "TQDM_DISABLE",
)
"""No network, no installing at run time, no telemetry, no progress bars in the log."""


@dataclass(frozen=True)
class Candidate:
    """A picture that Data-Juicer is asked about: its number in the source, and its file in the working folder.

    `sidecar` is the file that keeps its caption where a captioner writes one.
    """

    id: int
    name: str
    text: str
    file: Path
    sha256: str
    sidecar: Path | None = None


@dataclass(frozen=True)
class Step:
    """What one operator did: ids that entered, that it kept, that it dropped and that it could not read."""

    operator: str
    entered: tuple[int, ...]
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    failed: tuple[int, ...]
    values: dict[int, Any] = field(default_factory=dict)


def run_filters(
    filters: Filters,
    candidates: Sequence[Candidate],
    folder: Path,
    predictor: Path | None,
    device: str,
    ahead: Sequence[str] = (),
) -> list[Step]:
    """Run the story's filters over `candidates` in the working folder; one Step an operator.

    Nothing is started where there is no filter or no picture; `ahead` is `Job.ahead`. Raises OutsideError with the end
    of Data-Juicer's log where it crashes, hangs or loses a picture.
    """
    write_inputs(filters, candidates, folder, predictor)
    if not operators(filters) or not candidates:
        return []
    answer = start(folder, SECONDS_PER_PICTURE * len(candidates), device, ahead)
    steps = _steps(answer, candidates, filters)
    if steps is None:
        raise crash(folder, "gave an answer that does not account for every picture")
    return steps


def write_inputs(filters: Filters, candidates: Sequence[Candidate], folder: Path, predictor: Path | None) -> None:
    """recipe.yaml, pictures.jsonl and the predictor's link: all that `dj-process` needs in the working folder."""
    write_recipe(operators(filters), candidates, folder)
    link = folder / PREDICTOR
    link.unlink(missing_ok=True)
    if filters.aesthetics is not None and predictor is not None:
        link.symlink_to(predictor.resolve(), target_is_directory=True)


def write_recipe(process: Sequence[Operator], candidates: Sequence[Candidate], folder: Path) -> None:
    """recipe.yaml and pictures.jsonl in the working folder, below which the pictures are."""
    write_text(folder / "recipe.yaml", recipe_yaml(process))
    rows = [
        {
            "id": one.id,
            "name": one.name,
            "text": one.text,
            "images": [one.file.relative_to(folder).as_posix()],
            "sha256": one.sha256,
        }
        for one in candidates
    ]
    write_text(folder / INPUT, "".join(canonical_json(row) + "\n" for row in rows))


def environment(folder: Path, device: str, temp: Path | None = None) -> dict[str, str]:
    """A closed environment: no network, no installing, no tokens, nothing written outside the working folder.

    `temp` is for what does not outlast the process; in the working folder too, unless its path is too long.
    """
    home = str(folder / "home")
    places = dict.fromkeys(("HOME", "HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "DATA_JUICER_CACHE_HOME"), home)
    names = ("PATH", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", cards.ORDER)
    kept = {name: os.environ[name] for name in names if name in os.environ}
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if device.startswith("cuda") else ""
    others = {
        # A container's user may have no name; libraries that ask for it (torch, for its cache) look here first.
        "USER": os.environ.get("USER") or str(os.getuid()),
        "TMPDIR": str(temp or folder / "temp"),
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": devices,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return kept | places | dict.fromkeys(_SWITCHES, "1") | others


def start(folder: Path, seconds: float, device: str, ahead: Sequence[str] = ()) -> Any:
    """Run juicer.py on the folder's recipe to its end and return its answer, a JSON value.

    The modules of `ahead` are imported meanwhile. Raises OutsideError where it does not end well, or not within
    `seconds` after its start-up.
    """
    folder = folder.resolve()
    (folder / "home").mkdir(exist_ok=True)
    program = Path(__file__).with_name("juicer.py")
    command = [sys.executable, "-I", str(program), str(os.getpid()), str(len(os.sched_getaffinity(0)))]
    (folder / "result.json").unlink(missing_ok=True)
    with (folder / LOG).open("wb") as log, _temp(folder) as temp:
        closed = environment(folder, device, temp)
        status = _run(command, cwd=folder, env=closed, log=log, seconds=STARTUP_SECONDS + seconds, ahead=ahead)
    if status is None:
        raise crash(folder, f"did not end within {int(STARTUP_SECONDS + seconds)} s")
    if status != 0:
        why = f"was ended by signal {-status} (out of memory?)" if status < 0 else f"ended with status {status}"
        raise crash(folder, why)
    return read_json(folder / "result.json")


def _run(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], log: BinaryIO, seconds: float, ahead: Sequence[str]
) -> int | None:
    """A process run to its end, all it says in `log`: its exit status, or None where it was killed after `seconds`.

    The modules of `ahead` are imported meanwhile. A signal to this process kills that one and its workers. It is held,
    since subprocess keeps a lock while it waits.
    """
    end = time.monotonic() + seconds
    with held() as hold:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            for module in ahead:
                if not hold.requested:
                    importlib.import_module(module)
            while process.poll() is None and not hold.requested and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
            return process.poll()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def _temp(folder: Path) -> Iterator[Path]:
    """A folder for temporary files with a path short enough for the sockets that Data-Juicer's processes meet at."""
    own = folder / "temp"
    own.mkdir(exist_ok=True)
    if len(os.fsencode(own)) <= MAX_TEMP_PATH:
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="kolors-submit-") as short:
        yield Path(short)


def crash(folder: Path, why: str) -> OutsideError:
    """Data-Juicer's failure, with the end of its log."""
    log = folder / LOG
    lines = log.read_text("utf-8", "replace").splitlines() if log.is_file() else []
    tail = "\n".join(f"    {line[:300]}" for line in lines[-TAIL_LINES:])
    return OutsideError(f"Data-Juicer {why}; run again, or see {log}, which ends:\n{tail}")


def _steps(result: Any, candidates: Sequence[Candidate], filters: Filters) -> list[Step] | None:
    """The operators' answers, or None where they do not account for every picture."""
    wanted = [name for operator in operators(filters) for name in operator]
    if not isinstance(result, list) or [entry.get("operator") for entry in result] != wanted:
        return None
    steps = []
    entering = [one.id for one in candidates]
    for entry in result:
        values = {int(key): value for key, value in entry["values"].items()}
        kept = set(entry["kept"])
        step = Step(
            operator=entry["operator"],
            entered=tuple(entering),
            kept=tuple(one for one in entering if one in kept),
            dropped=tuple(one for one in entering if one in values and one not in kept),
            failed=tuple(one for one in entering if one not in values),
            values=values,
        )
        accounted = len(step.kept) + len(step.dropped) + len(step.failed) == len(entering)
        if entry["entered"] != entering or not accounted or not kept <= values.keys() <= set(entering):
            return None
        steps.append(step)
        entering = list(step.kept)
    return steps
