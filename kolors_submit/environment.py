"""What a result was made with: packages, Python, processor, GPU and driver. No host name, no path, no date."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kolors_submit.files import file_digest
from kolors_submit.image import this_image

FORMAT = 1
LOCK = Path(__file__).parent.parent / "uv.lock"


def describe(device: str) -> dict[str, Any]:
    """The environment as environment.json keeps it; GPUs are named where `device` is one."""
    gpus = nvidia_gpus() if device.startswith("cuda") else []
    image = this_image()
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": device.split(":")[0],
        "gpus": [{"name": gpu["name"], "memory_mib": gpu["memory_mib"]} for gpu in gpus],
        "driver": gpus[0]["driver"] if gpus else None,
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


def nvidia_gpus() -> list[dict[str, Any]]:
    """Name, memory in MiB and driver of each NVIDIA GPU, as nvidia-smi says; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    return [
        {"name": name, "memory_mib": int(memory), "driver": driver}
        for name, memory, driver in (row for row in rows if len(row) == 3 and row[1].isdigit())
    ]
