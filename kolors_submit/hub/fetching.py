"""Files of a repository into a folder of this disk, each checked when it has arrived."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kolors_submit.errors import OutsideError
from kolors_submit.files import free_bytes, write_error
from kolors_submit.hub.repository import Listed, Repository
from kolors_submit.report import Reporter

SPARE = 100_000_000
"""Disk space in bytes that a fetch leaves free."""
BAR = 10_000_000
"""Files of fewer bytes get no progress bar of their own."""


def download(repository: Repository, listed: Listed, folder: Path, quiet: bool) -> Path:
    """Fetch one file into a folder; goes on where an earlier fetch was cut. What has arrived is the caller's to check.

    Raises OutsideError where the hub or the disk fails, InputError where the token or the name is wrong.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return repository.download(listed, folder, quiet)
    except OSError as error:
        raise write_error(folder / listed.path, error) from error


def fetch(
    repository: Repository,
    wanted: Sequence[Listed],
    folder: Path,
    report: Reporter,
    is_here: Callable[[Listed], bool],
) -> None:
    """Fetch those of the wanted files that are not in the folder as they should be, by the caller's own measure.

    Raises OutsideError where the disk has too little room, the hub fails, or a file is not what was promised.
    """
    missing = [one for one in wanted if not is_here(one)]
    size = sum(one.size for one in missing)
    if free_bytes(folder) < size + SPARE:
        raise OutsideError(f"{folder}: {size / 1e6:.0f} MB to fetch and too little room; free some or use --out")
    what = f"{len(missing)} of {len(wanted)} files, {size / 1e6:.1f} MB," if missing else f"has all {len(wanted)} files"
    report.stage("fetch", f"{what} from {repository.hub}:{repository.name}")
    for one in missing:
        path = download(repository, one, folder, report.quiet or one.size < BAR)
        if not is_here(one):
            path.unlink(missing_ok=True)
            raise OutsideError(f"{one.path} of {repository.name} did not arrive as it should be; run again")
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the clients' locks and bookkeeping
