"""Download known weights: ModelScope first, Hugging Face else; resumed where it was cut, every file checked.

Where the hub's revision is not known beforehand, the first fetch pins it: what the listing said is recorded beside the
weights (revision and each file's SHA-256), and a later fetch that finds another file under a recorded name stops.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.errors import OutsideError
from kolors_submit.files import file_digest, free_bytes, write_error, write_json
from kolors_submit.hold import InUse, hold, holder
from kolors_submit.report import Reporter
from kolors_submit.weights.digests import entry_of, is_unchanged, read_record, record_path
from kolors_submit.weights.hubs import HUBS, Hub, Remote
from kolors_submit.weights.known import Weights

SPARE = 2**30
"""Disk space in bytes that a download leaves free."""

PAUSE = 1.0
"""Seconds between two looks whether another process is done."""

Ask = Callable[[str], bool]


def fetch(weights: Weights, report: Reporter, hub: str = "auto", ask: Ask | None = None) -> Path:
    """Download what is missing of `weights` and return its folder; nothing is sent anywhere when all is here.

    `hub` is auto, modelscope or huggingface. `ask` is shown what the download needs and may say no. Raises
    OutsideError where no hub answers, the disk is too small, the answer is no, or a file is not what was promised.
    """
    if weights.is_here():
        return weights.folder
    source, listing = _listing(weights, report, hub)
    _agree(weights, _missing(weights, _start(weights, source, listing), listing), source, report, ask)
    with _alone(weights, report):
        return _fetch(weights, source, listing, report)


def _fetch(weights: Weights, source: Hub, listing: Sequence[Remote], report: Reporter) -> Path:
    """Download what is missing, while no other process does; nothing where one has meanwhile."""
    if weights.is_here():
        return weights.folder
    record = _start(weights, source, listing)
    missing = _missing(weights, record, listing)
    start = time.monotonic()
    for number, remote in enumerate(missing, start=1):
        report.say(f"{weights.name}: {remote.path} ({number} of {len(missing)}, {gigabytes(remote.size)})")
        path = _download(source, remote, record["revision"], weights, quiet=report.quiet)
        record["files"][remote.path] = entry_of(path, _checked(path, remote))
        write_json(record_path(weights.folder), record)
    write_json(record_path(weights.folder), record | {"complete": True})
    shutil.rmtree(weights.folder / ".cache", ignore_errors=True)  # the clients' locks and bookkeeping
    report.say(f"{weights.name}: {len(listing)} files in {weights.folder}, {time.monotonic() - start:.0f} s")
    return weights.folder


def gigabytes(size: float) -> str:
    """A size for people, in GB or MB of 1000s."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _listing(weights: Weights, report: Reporter, wanted: str) -> tuple[Hub, list[Remote]]:
    """The hub to take the files from, and the wanted ones of its listing with the revision they belong to."""
    began_at = str(read_record(weights.folder).get("source", "")).partition(":")[0]
    names = [wanted] if wanted != "auto" else [began_at] if began_at in HUBS else list(HUBS)
    failures = []
    for name in names:
        hub = HUBS[name]
        try:
            listed = hub.list_files(getattr(weights, name), weights.revisions.get(name))
            remotes = {remote.path: _pinned(remote, weights) for remote in listed}
        except OutsideError as error:
            failures.append(str(error))
            if name != names[-1]:
                report.note(f"{error}; trying the next hub")
            continue
        chosen = weights.choose(list(remotes))
        if chosen:
            return hub, [remotes[path] for path in chosen]
        failures.append(f"{name}:{getattr(weights, name)} holds none of the files wanted")
    raise OutsideError(f"{weights.name} cannot be fetched: {'; '.join(failures)}. Run again when the hub answers")


def _pinned(remote: Remote, weights: Weights) -> Remote:
    """A listed file with the SHA-256 that it must have, where that was known beforehand; else what the hub says."""
    return dataclasses.replace(remote, sha256=weights.sha256.get(remote.path, remote.sha256))


@contextlib.contextmanager
def _alone(weights: Weights, report: Reporter) -> Iterator[None]:
    """Hold the download of these weights for one process; a second one waits for it, and says for whom."""
    folder = weights.folder.with_name(f".{weights.name}.fetch")
    with contextlib.ExitStack() as held:
        for tries in itertools.count():
            try:
                held.enter_context(hold(folder, "fetch"))
                break
            except InUse:
                if tries == 0:
                    report.note(f"{weights.name} is being fetched by {holder(folder)}; waiting for it")
                time.sleep(PAUSE)
        yield


def _missing(weights: Weights, record: dict[str, Any], listing: Sequence[Remote]) -> list[Remote]:
    """The files that are not here as they were recorded."""
    files = record["files"]
    return [remote for remote in listing if not is_unchanged(weights.folder / remote.path, files.get(remote.path))]


def _start(weights: Weights, hub: Hub, listing: Sequence[Remote]) -> dict[str, Any]:
    """The record to go on with; raises OutsideError where the repository is no longer what was begun with."""
    record = read_record(weights.folder)
    source = f"{hub.name}:{getattr(weights, hub.name)}"
    if record["files"] and record.get("source") == source:
        for remote in listing:
            known = record["files"].get(remote.path)
            if known and remote.sha256 and remote.sha256 != known["sha256"]:
                raise OutsideError(
                    f"{source} has changed since the download began: {remote.path} is another file now. "
                    f"Delete {weights.folder} and {record_path(weights.folder)} to begin anew"
                )
        return {**record, "complete": False}
    return {"format": 1, "source": source, "revision": listing[0].revision, "complete": False, "files": {}}


def _agree(weights: Weights, missing: Sequence[Remote], hub: Hub, report: Reporter, ask: Ask | None) -> None:
    """Say what the download needs, check the disk, and ask."""
    size = sum(remote.size for remote in missing)
    free = free_bytes(weights.folder)
    minutes = size * 8 / 100e6 / 60
    said = (
        f"{weights.name} ({weights.purpose}): {gigabytes(size)} from {hub.name}, about {minutes:.0f} min at "
        f"100 Mbit/s, into {weights.folder} ({gigabytes(free)} free)"
    )
    report.say(said)
    if free < size + SPARE:
        raise OutsideError(
            f"{weights.folder}: {gigabytes(size)} to fetch and {gigabytes(free)} free; make room, or set "
            "KOLORS_SUBMIT_WEIGHTS to a folder on a larger disk"
        )
    if missing and ask is not None and not ask(f"Download {gigabytes(size)}?"):
        raise OutsideError(f"{weights.name} was not downloaded; --base picturebook needs no download")


def _download(hub: Hub, remote: Remote, revision: str, weights: Weights, quiet: bool) -> Path:
    try:
        weights.folder.mkdir(parents=True, exist_ok=True)
        return hub.download(getattr(weights, hub.name), remote, revision, weights.folder, quiet)
    except OSError as error:
        raise write_error(weights.folder / remote.path, error) from error


def _checked(path: Path, remote: Remote) -> str:
    """The file's SHA-256; a file that is not what the listing promised is deleted, and OutsideError says so."""
    sha256 = file_digest(path)
    if path.stat().st_size != remote.size or (remote.sha256 and sha256 != remote.sha256):
        path.unlink()
        raise OutsideError(f"{path} did not arrive as the hub lists it and was deleted; run again")
    return sha256
