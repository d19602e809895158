"""The container image that this process runs in, as its build recorded it (Dockerfile, docker/listing.sh)."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from kolors_submit.files import file_digest

ROOT = Path(__file__).parent.parent
DIGEST_VARIABLE = "KOLORS_SUBMIT_IMAGE_DIGEST"
"""Set by whoever starts the container from an image pulled by digest: no image can hold its own."""


@dataclass(frozen=True)
class Image:
    """An image: SHA-256 of the listings of its packages and its source, and the registry's digest where it is given.

    Two builds from one commit on one base have the same listings; the registry's digest names one build.
    """

    packages_sha256: str
    source_sha256: str
    digest: str | None

    def record(self) -> dict[str, str | None]:
        """What environment.json keeps. The registry's name is not part of it: it may be private."""
        return asdict(self)


def this_image(root: Path = ROOT) -> Image | None:
    """The image that holds this program; None outside one."""
    packages, source = root / "image" / "packages.sha256", root / "image" / "source.sha256"
    if not (packages.is_file() and source.is_file()):
        return None
    digest = re.search(r"\bsha256:[0-9a-f]{64}$", os.environ.get(DIGEST_VARIABLE, ""))
    return Image(file_digest(packages), file_digest(source), digest[0] if digest else None)


def changed_source(root: Path = ROOT) -> list[str]:
    """Files of the source and lock that are not as the image was built: a checkout mounted over it, or an edit."""
    lines = (root / "image" / "source.sha256").read_text("utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    return [
        name for name, digest in listed.items() if not (root / name).is_file() or file_digest(root / name) != digest
    ]
