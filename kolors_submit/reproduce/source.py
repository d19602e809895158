"""A bundle on this disk: the path that was named, or a hub's repository, fetched and checked against its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kolors_submit.bundle import layout, manifest
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.hub import Listed
from kolors_submit.hub import source as hubs
from kolors_submit.hub.source import HubSource, folder_name
from kolors_submit.report import Reporter


class UnsoundBundle(InputError):
    """What a repository holds is no bundle, or none whose files may be fetched."""


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
    return folder_name("-".join(parts))


def fetch(source: HubSource, folder: Path, report: Reporter) -> None:
    """Fetch the files that the entry's manifest names, each checked against it; goes on where a fetch was cut.

    Raises UnsoundBundle for a repository that holds no sound bundle, InputError where there is none that we may see or
    a newer program wrote it, OutsideError where the hub fails or has other files than its manifest says.
    """
    repository, listed = source.open()
    there = {one.path: one for one in listed}
    if layout.MANIFEST not in there or there[layout.MANIFEST].size > layout.size_limit(layout.MANIFEST):
        raise UnsoundBundle(f"{source} has no {layout.MANIFEST}, so it is not a bundle of this program")
    (folder / layout.MANIFEST).unlink(missing_ok=True)
    hubs.download(repository, there[layout.MANIFEST], folder, report)
    files = _files(folder / layout.MANIFEST)
    _refuse_unsound(files, there, source)

    def is_sound(path: Path, one: Listed) -> bool:
        entry = files[one.path]
        return path.is_file() and path.stat().st_size == entry.size and file_digest(path) == entry.sha256

    hubs.fetch(repository, [there[name] for name in files], folder, report, is_sound, [layout.MANIFEST])


def _files(path: Path) -> Mapping[str, manifest.Entry]:
    try:
        return manifest.read(path).files
    except manifest.NewerFormat:
        raise
    except InputError as error:
        raise UnsoundBundle(str(error)) from error


def _refuse_unsound(files: Mapping[str, manifest.Entry], there: Mapping[str, Listed], source: HubSource) -> None:
    """Raises UnsoundBundle where the manifest names what no bundle holds, too much of it, or what the hub lacks."""
    problems = [f"{name} {layout.place_problem(name)}" for name in files if layout.place_problem(name)]
    problems += layout.listing_problems([(name, entry.size) for name, entry in files.items()])
    problems += [f"{name} is not on the hub" for name in files if name not in there]
    problems += [
        f"{name} has {there[name].size:,} bytes on the hub, {entry.size:,} in the manifest"
        for name, entry in files.items()
        if name in there and there[name].size != entry.size
    ]
    if problems:
        lines = "\n".join(f"  {line}" for line in problems[:50])
        raise UnsoundBundle(f"{source} is not a sound bundle:\n{lines}")
