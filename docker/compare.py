"""Compare two builds by their listings, which docker/listing.sh makes.

    python3 docker/compare.py ONE.sha256 OTHER.sha256

Prints each build's package set and files as one digest, the SHA-256 of the sorted names and of the listing. Times and
owners are in no listing. Exit status 0 where both are the same, 1 with what differs where they are not.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

SHOWN = 20
"""Differing files that are named; the rest is counted."""
PACKAGE = re.compile(r"/site-packages/([^/]+)-([^-/]+)\.dist-info/METADATA$")


def read(listing: Path) -> dict[str, str]:
    """Path -> SHA-256 of a listing."""
    lines = listing.read_text("utf-8", "surrogateescape").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def packages(files: Iterable[str]) -> list[str]:
    """`name==version` of every package in a listing."""
    return sorted(f"{match[1]}=={match[2]}" for match in map(PACKAGE.search, files) if match)


def digest(lines: Iterable[str]) -> str:
    """SHA-256 of some lines."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")).hexdigest()


def main(one: Path, other: Path) -> int:
    """Compare and say; returns the exit status."""
    files = [read(one), read(other)]
    sets = [packages(each) for each in files]
    for name, parts in (
        ("packages", [digest(each) for each in sets]),
        ("files", [digest(f"{value}  {path}" for path, value in sorted(each.items())) for each in files]),
    ):
        print(f"{name:<9}{parts[0]}  {parts[1]}  {'same' if parts[0] == parts[1] else 'DIFFERENT'}")
    for package in sorted(set(sets[0]) ^ set(sets[1])):
        print(f"  {package} only in {one if package in sets[0] else other}")
    differing = sorted(path for path in files[0].keys() | files[1].keys() if files[0].get(path) != files[1].get(path))
    for path in differing[:SHOWN]:
        print(f"  {path}")
    if len(differing) > SHOWN:
        print(f"  and {len(differing) - SHOWN} files more")
    return 1 if differing or not all(files) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
