"""Where an entry comes from: a folder, a zip file, or a repository on a hub, fetched and checked file by file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kolors_submit import hub as hubs
from kolors_submit.bundle import layout, manifest
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest, free_bytes, write_error
from kolors_submit.report import Reporter

_HUB = re.compile(r"(modelscope|huggingface):([^@]+)(?:@(.+))?")
SPARE = 100 * layout.MEGABYTE
BAR = 10 * layout.MEGABYTE
"""Smaller files get no progress bar of their own."""


class UnsoundBundle(InputError):
    """What a repository holds is no bundle, or none whose files may be fetched."""


@dataclass(frozen=True)
class HubSource:
    """`modelscope:owner/Name@revision`, taken apart."""

    hub: str
    name: str
    revision: str | None


def parse(source: str) -> HubSource | Path:
    """What a source means; `owner/Name` is ModelScope's where there is no such path.

    Raises InputError for a hub's id that cannot be one, or a path where nothing is.
    """
    match = _HUB.fullmatch(source)
    if match is None:
        path = Path(source)
        if not path.exists() and not hubs.name_problems(source):
            return HubSource("modelscope", source, None)
        if not path.exists():
            raise InputError(
                f"{source} does not exist; name a bundle's folder, its zip file, modelscope:owner/Name or "
                "huggingface:owner/Name"
            )
        return path
    problems = hubs.name_problems(match.group(2))
    if problems:
        raise InputError("\n".join(problems))
    return HubSource(*match.groups())


def obtain(source: HubSource | Path, folder: Path, report: Reporter) -> Path:
    """The entry on this disk: the path that was named, or `folder`, into which a hub's repository is fetched.

    Raises as `fetch`.
    """
    if isinstance(source, HubSource):
        fetch(source, folder, report)
        return folder
    return source


def slug(source: HubSource | Path) -> str:
    """A folder's name for an entry."""
    if isinstance(source, HubSource):
        parts = [part for part in (source.hub, source.name, source.revision) if part]
    else:
        path = source.resolve()
        parts = [part for part in (path.parts[-3:] if path.is_dir() else (path.stem,)) if part not in ("bundle", "/")]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.")[:100] or "entry"


def fetch(source: HubSource, folder: Path, report: Reporter) -> None:
    """Fetch the files that the entry's manifest names, each checked against it; goes on where a fetch was cut.

    Raises UnsoundBundle for a repository that holds no sound bundle, InputError where there is none that we may see,
    OutsideError where the hub fails or has other files than its manifest says.
    """
    repository = hubs.open_hub(source.hub, source.name, source.revision)
    listed = hubs.list_files(repository, source.revision)
    there = {one.path: one for one in listed}
    if layout.MANIFEST not in there or there[layout.MANIFEST].size > layout.size_limit(layout.MANIFEST):
        raise UnsoundBundle(f"{source.hub}:{source.name} has no {layout.MANIFEST}; it is no bundle of this program")
    (folder / layout.MANIFEST).unlink(missing_ok=True)
    _download(repository, there[layout.MANIFEST], folder, report)
    files = _listed(folder / layout.MANIFEST)
    _refuse_unsound(files, there, source)
    missing = [name for name, entry in files.items() if not _is_here(folder / name, entry)]
    size = sum(files[name].size for name in missing)
    if free_bytes(folder) < size + SPARE:
        raise OutsideError(f"{folder}: {size / 1e6:.0f} MB to fetch and too little room; free some or use --out")
    what = f"{len(missing)} of {len(files)} files, {size / 1e6:.1f} MB," if missing else f"has all {len(files)} files"
    report.stage("fetch", f"{what} from {source.hub}:{source.name}")
    for name in missing:
        path = _download(repository, there[name], folder, report)
        if not _is_here(path, files[name]):
            path.unlink()
            raise OutsideError(f"{name} of {source.name} is not what its manifest says; it changed, or run again")
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for name in set(manifest.files_below(folder)) - {layout.MANIFEST, *files}:
        (folder / name).unlink()


def _listed(path: Path) -> Mapping[str, manifest.Entry]:
    try:
        return manifest.read(path).files
    except InputError as error:
        raise UnsoundBundle(str(error)) from error


def _refuse_unsound(files: Mapping[str, manifest.Entry], there: dict[str, hubs.Listed], source: HubSource) -> None:
    """Raises UnsoundBundle where the manifest names what no bundle holds, too much of it, or what the hub lacks."""
    problems = [f"{name} {layout.place_problem(name)}" for name in files if layout.place_problem(name)]
    problems += [f"{one} and {other} would be one file" for one, other in layout.collisions(files)]
    problems += [f"{name} is not on the hub" for name in files if name not in there]
    problems += [f"{name} is too large" for name, entry in files.items() if entry.size > layout.size_limit(name)]
    problems += [
        f"{name} has another size there" for name in files if name in there and there[name].size != files[name].size
    ]
    if sum(entry.size for entry in files.values()) > layout.MAX_BYTES:
        problems.append(f"all files together have more than {layout.MAX_BYTES:,} bytes")
    if problems:
        lines = "\n".join(f"  {line}" for line in problems[:50])
        raise UnsoundBundle(f"{source.hub}:{source.name} is no sound bundle:\n{lines}")


def _download(repository: hubs.Repository, listed: hubs.Listed, folder: Path, report: Reporter) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return repository.download(listed, folder, report.quiet or listed.size < BAR)
    except OSError as error:
        raise write_error(folder / listed.path, error) from error


def _is_here(path: Path, entry: manifest.Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and file_digest(path) == entry.sha256
