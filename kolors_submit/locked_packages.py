"""Whether the installed packages are those of uv.lock."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolors_submit.environment import LOCK, packages

PROJECT = "kolors-submit"


def differences(lock: Path = LOCK, installed: dict[str, str] | None = None) -> list[str] | None:
    """Packages that are missing or of another version than the lock says, in words; None where there is no lock.

    What the project needs here (markers hold for this Python and machine) must be installed; development tools may be
    absent. Packages that the lock does not know are no concern of it.
    """
    if not lock.is_file():
        return None
    locked = tomllib.loads(lock.read_text("utf-8"))["package"]
    versions = packages() if installed is None else installed
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in locked:
        by_name.setdefault(package["name"], []).append(package)
    needed = _needed(by_name)
    found = []
    for name, entries in sorted(by_name.items()):
        wanted = {needed[name]} if name in needed else {entry.get("version", "") for entry in entries}
        have = versions.get(name)
        if have is None and name in needed:
            found.append(f"{name} {needed[name]} is not installed")
        elif have is not None and name != PROJECT and not any(_equal(have, version) for version in wanted):
            found.append(f"{name} is {have}, locked is {' or '.join(sorted(wanted))}")
    return found


def _equal(installed: str, locked: str) -> bool:
    """Whether two versions are one; a wheel may add a local part (2.10.0+cu128)."""
    return installed.partition("+")[0] == locked.partition("+")[0]


def _needed(by_name: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Name and locked version of all that the project needs on this Python and machine."""
    needed: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = list(_dependencies(by_name[PROJECT][0], ""))
    while waiting:
        name, version, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = next(p for p in by_name[name] if version is None or p["version"] == version)
        needed[name] = package["version"]
        waiting += _dependencies(package, extra)
    return needed


def _dependencies(package: dict[str, Any], extra: str) -> Iterator[tuple[str, str | None, str]]:
    """(name, version where several are locked, extra) of each dependency whose marker holds here."""
    from packaging.markers import Marker

    entries = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
    for entry in entries:
        if "marker" not in entry or Marker(entry["marker"]).evaluate():
            for each in ("", *entry.get("extra", [])):
                yield entry["name"], entry.get("version"), each
