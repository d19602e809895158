"""Where an entry comes from, as people write it: a folder, a zip file, or a repository on a hub, and its fetching."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kolors_submit.base_names import PICTUREBOOK
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest, free_bytes, keep_only, read_json, write_error, write_json
from kolors_submit.hold import LOCK
from kolors_submit.hub import HUBS, list_files, open_hub
from kolors_submit.hub.repository import Listed, Repository, name_problems
from kolors_submit.report import Reporter
from kolors_submit.text import tame

PUBLIC = (*HUBS, PICTUREBOOK)
"""What stands before the colon of a source of training pictures that anybody can get; any other is a folder."""

SPARE = 100_000_000
"""Bytes of the disk that a fetch leaves free."""

BAR = 10_000_000
"""Smaller files get no progress bar of their own."""

SOURCE = "source.json"
"""In a result folder, whose results it holds."""

MAX_NAME = 200
"""Bytes of a folder's name that is made of other words; file systems take 255, and a digest may follow."""

_HUB = re.compile(rf"({'|'.join(HUBS)}):([^@]+)(?:@(.+))?")

Sound = Callable[[Path, Listed], bool]
"""Whether a file on this disk is the one that is meant."""


@dataclass(frozen=True)
class HubSource:
    """`modelscope:owner/Name@revision`, taken apart."""

    hub: str
    name: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.hub}:{self.name}"

    def open(self) -> tuple[Repository, list[Listed]]:
        """The repository and its files; raises InputError where there is none that we may see, else OutsideError."""
        repository = open_hub(self.hub, self.name, self.revision)
        return repository, list_files(repository, self.revision)


def parse(source: str) -> HubSource | Path:
    """What a source means; `owner/Name` is ModelScope's where there is no such path.

    Raises InputError for a hub's id that cannot be one, or a path where nothing is or that cannot be looked at.
    """
    match = _HUB.fullmatch(source)
    if match is None:
        path = Path(source)
        hubs = " or ".join(f"{hub}:owner/Name" for hub in HUBS)
        try:
            there = path.exists()
        except OSError as error:
            problem = f"{source} cannot be looked at ({error.strerror})"
            raise InputError(f"{problem}; name an entry's folder, its zip file, {hubs}") from error
        if there:
            return path
        if name_problems(source):
            raise InputError(f"{source} does not exist; name an entry's folder, its zip file, {hubs}")
        return HubSource(HUBS[0], source, None)
    problems = name_problems(match.group(2))
    if problems:
        raise InputError("\n".join(problems))
    return HubSource(*match.groups())


def is_public(pictures: str) -> bool:
    """Whether anybody can get a source's training pictures; else they lie in a folder of somebody's own."""
    return pictures.startswith(tuple(f"{kind}:" for kind in PUBLIC))


def folder_name(words: str) -> str:
    """A folder's name made of any words, at most MAX_NAME bytes of it; without a letter or a digit, `entry`."""
    name = re.sub(r"[^\w.-]+", "-", words).strip("-.")
    return name.encode()[:MAX_NAME].decode("utf-8", "ignore") or "entry"


def refuse_overlap(source: HubSource | Path, out: Path) -> None:
    """Raises InputError where results would replace somebody's work.

    That is where they would lie in the entry, or the entry where they are written; and where the folder holds a
    training, or what no earlier call put there.
    """
    if any((out / "stages" / f"{stage}.json").exists() for stage in ("data", "train")):
        raise InputError(
            f"{out} is the run folder of a story, whose LoRA this would replace; choose another folder with --out"
        )
    for folder in (out / "bundle", out / "entry"):
        if not (out / LOCK).exists() and folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} holds files that this would replace; choose another folder with --out")
    if not isinstance(source, Path):
        return
    entry, folder = source.resolve(), out.resolve()
    if folder.is_relative_to(entry):
        raise InputError(
            f"the results would go to {out}, which lies inside the entry and would spoil it; choose a folder "
            "outside it with --out"
        )
    if entry.is_relative_to(folder):
        raise InputError(
            f"the results would go to {out}, where the entry itself lies; choose another folder with --out"
        )


def claim(source: HubSource | Path, out: Path, result: Path) -> None:
    """Note whose results a folder will hold; raises InputError where the `result` of another source lies there.

    A path is noted as it is seen from the folder, so that both may be moved together.
    """
    if isinstance(source, Path):
        own = tame(os.path.relpath(source.resolve(), out.resolve()))
    else:
        own = f"{source}@{source.revision}" if source.revision else str(source)
    known = read_json(out / SOURCE)
    if isinstance(known, dict) and known.get("source") != own and result.exists():
        raise InputError(f"{out} holds the results of another entry, named in {SOURCE}; name another folder with --out")
    write_json(out / SOURCE, {"source": own})


def download(repository: Repository, listed: Listed, folder: Path, report: Reporter) -> Path:
    """Fetch one file; raises OutsideError where the hub or the disk fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return repository.download(listed, folder, report.quiet or listed.size < BAR)
    except OSError as error:
        raise write_error(folder / listed.path, error) from error


def is_as_listed(path: Path, listed: Listed) -> bool:
    """Whether a file is what the hub lists; where a hub tells no digest, its size is all that can be compared."""
    if not path.is_file() or path.stat().st_size != listed.size:
        return False
    known = listed.sha256 is not None or listed.git_sha1 is not None
    return not known or listed.difference(path, listed.size, file_digest(path)) is None


def fetch(
    repository: Repository,
    wanted: Sequence[Listed],
    folder: Path,
    report: Reporter,
    sound: Sound = is_as_listed,
    beside: Sequence[str] = (),
) -> None:
    """Fetch a repository's files into a folder that in the end holds them, those `beside` them, and no others.

    Goes on where a fetch was cut. Raises OutsideError where the hub fails, the disk is too small, or a file that
    arrived is not `sound`, which is deleted again.
    """
    missing = [one for one in wanted if not sound(folder / one.path, one)]
    size = sum(one.size for one in missing)
    if missing and free_bytes(folder) < size + SPARE:
        raise OutsideError(f"{folder}: {size / 1e6:.0f} MB to fetch and too little room; free some or use --out")
    what = (
        f"{len(missing)} of {len(wanted)} files, {size / 1e6:.1f} MB," if missing else f"all {len(wanted)} files here"
    )
    report.stage("fetch", f"{what} from {repository.hub}:{repository.name}")
    for one in missing:
        path = download(repository, one, folder, report)
        if not sound(path, one):
            path.unlink(missing_ok=True)
            raise OutsideError(f"{one.path} of {repository.name} is not the file that is listed; it changed, run again")
    keep_only(folder, [folder / name for name in (*(one.path for one in wanted), *beside)])
