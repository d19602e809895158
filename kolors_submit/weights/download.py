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
from pathlib import Path, PurePosixPath
from typing import Any

from kolors_submit import hub as hubs
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest, free_bytes, write_error, write_json
from kolors_submit.hold import InUse, hold, holder
from kolors_submit.report import Reporter
from kolors_submit.weights.digests import FORMAT, entry_of, is_unchanged, read_record, record_path
from kolors_submit.weights.known import Weights

SPARE = 2**30
"""Disk space in bytes that a download leaves free."""

PAUSE = 1.0
"""Seconds between two looks whether another process is done."""

Ask = Callable[[str], bool]


def fetch(weights: Weights, report: Reporter, hub: str = "auto", ask: Ask | None = None) -> Path:
    """Download what is missing of `weights` and return its folder; nothing is sent anywhere when all is here.

    `hub` is auto, modelscope or huggingface. `ask` is shown what the download needs and may say no. Raises
    OutsideError where no hub answers, the disk is too small, the answer is no, or a file is not what was promised,
    InputError where the hub does not let this account have a file.
    """
    if weights.is_here():
        return weights.folder
    source, listing = _listing(weights, report, hub)
    _agree(weights, _missing(weights, _start(weights, source, listing), listing), source, report, ask)
    with _alone(weights, report):
        return _fetch(weights, source, listing, report)


def _fetch(weights: Weights, source: hubs.Repository, listing: Sequence[hubs.Listed], report: Reporter) -> Path:
    """Download what is missing, while no other process does; nothing where one has meanwhile."""
    if weights.is_here():
        return weights.folder
    record = _start(weights, source, listing)
    missing = _missing(weights, record, listing)
    start = time.monotonic()
    for number, remote in enumerate(missing, start=1):
        report.say(f"{weights.name}: {remote.path} ({number} of {len(missing)}, {gigabytes(remote.size)})")
        remote = dataclasses.replace(remote, revision=record["revision"])
        path = _download(source, remote, weights, report.quiet)
        record["files"][remote.path] = entry_of(path, _checked(path, remote))
        write_json(record_path(weights.folder), record)
    write_json(record_path(weights.folder), record | {"complete": True})
    shutil.rmtree(weights.folder / ".cache", ignore_errors=True)  # the clients' locks and bookkeeping
    report.say(f"{weights.name}: {len(listing)} files in {weights.folder}, {time.monotonic() - start:.0f} s")
    return weights.folder


def gigabytes(size: float) -> str:
    """A size for people, in GB or MB of 1000s."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _listing(weights: Weights, report: Reporter, wanted: str) -> tuple[hubs.Repository, list[hubs.Listed]]:
    """The repository to take the files from, and the wanted ones of its listing with the revision they belong to."""
    began_at = str(read_record(weights.folder).get("source", "")).partition(":")[0]
    names = [wanted] if wanted != "auto" else [began_at] if began_at in hubs.HUBS else list(hubs.HUBS)
    failures = []
    for name in names:
        revision = weights.revisions.get(name)
        repository = hubs.open_hub(name, getattr(weights, name), revision)
        try:
            listed = hubs.list_files(repository, revision)
            remotes = {_inside(one.path): _pinned(one, weights, revision) for one in listed}
        except (InputError, OutsideError) as error:
            failures.append(getattr(error, "reason", str(error)))
            if name != names[-1]:
                report.note(f"{failures[-1]}; trying the next hub")
            continue
        chosen = weights.choose(list(remotes))
        if chosen:
            return repository, [remotes[path] for path in chosen]
        failures.append(f"{name}:{getattr(weights, name)} holds none of the files wanted")
    raise OutsideError(f"{weights.name} cannot be fetched: {'; '.join(failures)}. Run again when a hub answers")


def _inside(path: str) -> str:
    """A listing's path, which is a stranger's: OutsideError unless it stays below the folder."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise OutsideError(f"the hub lists a file outside its repository ({path!r}); nothing was downloaded")
    return path


def _pinned(remote: hubs.Listed, weights: Weights, revision: str | None) -> hubs.Listed:
    """A listed file with the SHA-256 and revision that are known beforehand; else what the hub says."""
    sha256 = weights.sha256.get(remote.path, remote.sha256)
    return dataclasses.replace(remote, sha256=sha256, revision=revision or remote.revision)


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


def _missing(weights: Weights, record: dict[str, Any], listing: Sequence[hubs.Listed]) -> list[hubs.Listed]:
    """The files that are not here as they were recorded."""
    files = record["files"]
    return [remote for remote in listing if not is_unchanged(weights.folder / remote.path, files.get(remote.path))]


def _start(weights: Weights, repository: hubs.Repository, listing: Sequence[hubs.Listed]) -> dict[str, Any]:
    """The record to go on with; raises OutsideError where the repository is no longer what was begun with."""
    record = read_record(weights.folder)
    source = f"{repository.hub}:{repository.name}"
    if record["files"] and record.get("source") == source:
        for remote in listing:
            known = record["files"].get(remote.path)
            if known and remote.sha256 and remote.sha256 != known["sha256"]:
                raise OutsideError(
                    f"{source} has changed since the download began: {remote.path} is another file now. "
                    f"Delete {weights.folder} and {record_path(weights.folder)} to start over"
                )
        return {**record, "complete": False}
    return {"format": FORMAT, "source": source, "revision": listing[0].revision, "complete": False, "files": {}}


def _agree(
    weights: Weights, missing: Sequence[hubs.Listed], repository: hubs.Repository, report: Reporter, ask: Ask | None
) -> None:
    """Say what the download needs, check the disk, and ask."""
    size = sum(remote.size for remote in missing)
    free = free_bytes(weights.folder)
    minutes = size * 8 / 100e6 / 60
    said = (
        f"{weights.name} ({weights.purpose}): {gigabytes(size)} from {repository.hub}, about {minutes:.0f} min at "
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


def _download(repository: hubs.Repository, remote: hubs.Listed, weights: Weights, quiet: bool) -> Path:
    try:
        weights.folder.mkdir(parents=True, exist_ok=True)
        return repository.download(remote, weights.folder, quiet)
    except OSError as error:
        raise write_error(weights.folder / remote.path, error) from error


def _checked(path: Path, remote: hubs.Listed) -> str:
    """The file's SHA-256; a file that is not what the listing promised is deleted, and OutsideError says so."""
    sha256 = file_digest(path)
    if path.stat().st_size != remote.size or (remote.sha256 and sha256 != remote.sha256):
        path.unlink()
        raise OutsideError(f"{path} did not arrive as the hub lists it and was deleted; run again")
    return sha256
