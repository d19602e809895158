"""What publishing and fetching need of a model repository, and how one may be called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_NAME = 96
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Listed:
    """A file as a hub lists it: path, bytes, SHA-256 or else git's own SHA-1 where the hub tells one.

    `revision` is what it was listed at, as exactly as the hub says it, and so what it is downloaded from.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    revision: str | None = None

    def difference(self, path: Path, size: int, sha256: str) -> str | None:
        """How the hub's file differs from the local one at `path`, or None where it is the same."""
        if self.size != size:
            return f"has {self.size} bytes on the hub, {size} here"
        if self.sha256 is not None:
            return None if self.sha256 == sha256 else "has another SHA-256 on the hub"
        if self.git_sha1 is not None:
            return None if self.git_sha1 == git_sha1(path) else "has other content on the hub"
        return "has no digest on the hub, so it cannot be compared"


class Repository(Protocol):
    """A model repository on one hub. Every call raises InputError or OutsideError with one sentence."""

    @property
    def hub(self) -> str:
        """`modelscope` or `huggingface`."""

    @property
    def name(self) -> str:
        """Its id, `owner/Name`."""

    @property
    def page(self) -> str:
        """Address of the page that people open."""

    def account(self) -> str:
        """Who the token belongs to."""

    def files(self) -> list[Listed] | None:
        """Every file at the revision, or None where there is no such repository or revision (or it is hidden)."""

    def create(self, private: bool, display_name: str | None, license: str) -> None:
        """Create the repository with its visibility; one that exists is left as it is."""

    def send(self, folder: Path, names: Sequence[str], message: str, quiet: bool) -> None:
        """Commit these files of a folder, with the client's progress bars unless `quiet`."""

    def delete(self, names: Sequence[str], message: str) -> None:
        """Commit the removal of these files."""

    def tag(self, name: str) -> None:
        """Give the newest commit a tag; one of that name that exists is left as it is."""

    def download(self, listed: Listed, folder: Path, quiet: bool) -> Path:
        """Fetch one file into a folder; goes on where an earlier fetch was cut."""


def git_sha1(path: Path) -> str:
    """The name that git gives a file's content: SHA-1 of `blob SIZE NUL` and the bytes."""
    sha = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def name_problems(name: str) -> list[str]:
    """What is wrong with a repository's id, in a sentence each; empty for `owner/Name` in plain ASCII."""
    parts = name.split("/")
    if len(parts) != 2:
        return [f"{name[:200]!r} is not owner/Name, with one slash"]
    problems = []
    for word, part in zip(("owner", "name"), parts, strict=True):
        if not part:
            problems.append(f"the {word} is empty")
        elif not part.isascii():
            problems.append(
                f"the {word} {part[:100]!r} is not ASCII; ids are, and the Chinese name goes into --display-name"
            )
        elif not _PART.fullmatch(part):
            problems.append(f"the {word} {part[:100]!r} may hold only letters, digits, dots, dashes and underscores")
        elif len(part) > MAX_NAME:
            problems.append(f"the {word} has {len(part)} characters; at most {MAX_NAME} are allowed")
        elif ".." in part or "--" in part or part.endswith((".", "-", ".git")):
            problems.append(f"the {word} {part!r} has '..' or '--' in it, or ends with a dot, a dash or .git")
    if not problems and parts[1].lower() == "test":
        problems.append("ModelScope hides a model called test; choose another name")
    return problems
