"""What a result was made with: packages, Python, processor, GPU and driver. No host name, no path, no date."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from pathlib import Path
from typing import Any

from kolors_submit.container import this_image
from kolors_submit.device import read_cuda
from kolors_submit.files import file_digest

FORMAT = 1
LOCK = Path(__file__).parent.parent / "uv.lock"


def describe(device: str) -> dict[str, Any]:
    """The environment as environment.json keeps it; the visible GPUs are named where `device` is one."""
    cuda = read_cuda() if device == "cuda" else None
    gpus = cuda.gpus if cuda else ()
    image = this_image()
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": device,
        "gpus": [{"name": gpu.name, "memory_mib": gpu.memory // 2**20} for gpu in gpus],
        "driver": cuda.driver if cuda and gpus else None,
        "lock_sha256": lock_digest(),
        "image": image.record() if image else None,
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """Every installed distribution and its version, by normalised name (PEP 503)."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found[re.sub(r"[-_.]+", "-", name).lower()] = distribution.version
    return dict(sorted(found.items()))


def lock_digest() -> str | None:
    """SHA-256 of the uv.lock that this checkout was set up from; None for an installed wheel."""
    return file_digest(LOCK) if LOCK.is_file() else None


def processor() -> str:
    """The processor's name: arithmetic may differ in the last bit between two."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown"
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else platform.machine()
