"""What this machine has and lacks: each finding is ok, warn or fail, and says what to do. Nothing here raises."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kolors_submit import base_names
from kolors_submit.container import changed_source, this_image
from kolors_submit.device import main_memory, read_cuda, why_no_cuda
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import expanded, free_bytes
from kolors_submit.hold import LOCK, holder, is_held
from kolors_submit.hub import known as hubs
from kolors_submit.locked_packages import differences
from kolors_submit.weights import KNOWN, PICTUREBOOK
from kolors_submit.weights.download import gigabytes
from kolors_submit.weights.find import SMALLEST_GPU
from kolors_submit.weights.known import FOR_KOLORS, weights_folder

State = Literal["ok", "warn", "fail"]

MEMORY_NEEDED = 4_000_000_000
"""Main memory in bytes that a submission on the picture book is held to."""
DISK_NEEDED = 2_000_000_000
"""Disk space in bytes for one story's run folder on Kolors: pictures, caches, checkpoints, panels."""
HUB_TIMEOUT = 3.0
"""Seconds to wait for a hub."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    state: State
    subject: str
    text: str
    exit_status: int = OutsideError.exit_status
    """What a failure ends with."""


def examine(story: Path | None, runs: Path, offline: bool = False, base: str = "auto") -> list[Finding]:
    """Every finding, in the order in which a person would mend them; an examination that fails is itself a finding.

    `base` is the one that the story is to be made on; `auto` is Kolors where this machine's GPU can carry it.
    """
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("image", _image),
        ("memory", _memory),
        ("gpu", _gpu),
        ("disk", lambda: _disk(runs)),
        ("weights", _weights),
        *([] if offline else [("hub", _hubs)]),
        ("token", _tokens),
        ("story", lambda: _story(story, base)),
        ("runs", lambda: _runs(runs)),
    ]
    findings: list[Finding] = []
    for subject, part in parts:
        try:
            findings += part()
        except Exception as error:  # whatever is broken here is what the person came to hear about
            findings.append(Finding("fail", subject, f"cannot be examined: {type(error).__name__}: {error}"))
    return findings


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        yield Finding("ok", "python", version)
    else:
        yield Finding("fail", "python", f"{version}; 3.11 or 3.12 is needed: run `make setup` with one of them")


def _packages() -> Iterator[Finding]:
    wrong = differences()
    if wrong is None:
        yield Finding("warn", "packages", "no uv.lock next to the package, so there is nothing to compare with")
    elif wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        yield Finding("fail", "packages", f"{'; '.join(wrong[:3])}{more}: run `make setup`")
    else:
        yield Finding("ok", "packages", "as uv.lock says")


def _image() -> Iterator[Finding]:
    """Which container image this is, and whether it still is what was built."""
    image = this_image()
    if image is None:
        return
    changed = changed_source()
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        yield Finding("warn", "image", f"{changed[0]}{more} not as built (a checkout mounted over it?): `make image`")
    else:
        built = f"packages {image.packages_sha256[:12]}, source and uv.lock {image.source_sha256[:12]}"
        yield Finding("ok", "image", f"{built}, as built")


def _memory() -> Iterator[Finding]:
    memory, cores = main_memory(), len(os.sched_getaffinity(0))
    text = f"{gigabytes(memory)}, {cores} processor cores"
    if memory < MEMORY_NEEDED:
        yield Finding("fail", "memory", f"{text}; {gigabytes(MEMORY_NEEDED)} are needed even on the picture book")
    else:
        yield Finding("ok", "memory", text)


def _gpu() -> Iterator[Finding]:
    cuda = read_cuda()
    if cuda is None or not cuda.usable:
        yield Finding("warn", "gpu", f"{why_no_cuda(cuda)}; the picture book works, a contest entry needs a GPU")
        return
    for gpu in cuda.gpus:
        yield Finding("ok", "gpu", f"{gpu.name}, {gigabytes(gpu.memory)}")
    yield Finding("ok", "driver", f"{cuda.driver}, CUDA {cuda.cuda // 1000}.{cuda.cuda % 1000 // 10}")
    if cuda.memory < SMALLEST_GPU:
        yield Finding("warn", "gpu", f"Kolors needs {gigabytes(SMALLEST_GPU)} of GPU memory; use the picture book here")


def _disk(runs: Path) -> Iterator[Finding]:
    missing = sum(KNOWN[name].size for name in FOR_KOLORS if not KNOWN[name].is_here())
    places: tuple[tuple[Path, str, int, State], ...] = (
        (runs, "run folders", DISK_NEEDED, "fail"),
        (weights_folder(), "Kolors' weights", missing, "warn"),
    )
    for folder, purpose, needed, lacking in places:
        free = free_bytes(folder.absolute())
        text = f"{gigabytes(free)} free for {purpose} ({folder})"
        if free < needed:
            yield Finding(lacking, "disk", f"{text}; {gigabytes(needed)} are needed: make room")
        else:
            yield Finding("ok", "disk", text)


def _weights() -> Iterator[Finding]:
    if (PICTUREBOOK / "model_index.json").is_file():
        yield Finding("ok", "weights", "picture book: here")
    else:
        yield Finding("fail", "weights", f"picture book: not in {PICTUREBOOK}; install the package again")
    for weights in KNOWN.values():
        if weights.is_here():
            yield Finding("ok", "weights", f"{weights.name}: in {weights.folder}")
        elif weights.name in FOR_KOLORS:
            advice = f"`kolors-submit weights fetch {weights.name}` gets it ({gigabytes(weights.size)})"
            yield Finding("warn", "weights", f"{weights.name}: not here; {advice}")


def _tokens() -> Iterator[Finding]:
    """Whether a token is there; no part of one is read into a finding."""
    for hub in hubs.KNOWN.values():
        if hubs.find_token(hub.name) is not None:
            yield Finding("ok", "token", f"{hub.name}: found")
        else:
            advice = f"only publishing needs it: set {hub.token_variable} or run `{hub.login}`"
            yield Finding("warn", "token", f"{hub.name}: none; {advice}")


def _hubs() -> Iterator[Finding]:
    import requests

    for hub in hubs.KNOWN.values():
        address = os.environ.get(hub.endpoint_variable) or hub.address
        try:
            requests.head(address, timeout=HUB_TIMEOUT, allow_redirects=False)
            yield Finding("ok", "hub", f"{hub.name} answers")
        except requests.RequestException as error:
            needed = "needed for weights, data sets and publishing only"
            yield Finding("warn", "hub", f"{hub.name}: no answer from {address} ({type(error).__name__}); {needed}")


def _story(path: Path | None, wanted: str) -> Iterator[Finding]:
    """The story's own problems, and what it needs on its base; on Kolors too, where that is for another machine."""
    if path is None:
        return
    from kolors_submit.data.needs import find_needs
    from kolors_submit.story import load_story, oversized, refuse_unfilled, replaced_source, resolve
    from kolors_submit.weights import PICTUREBOOK, side_of

    try:
        base = _base_name(wanted)
        story = load_story(path)
        resolved = resolve(story, base)
        refuse_unfilled(story, path)
    except InputError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more: `kolors-submit story check {path}`)" if others else ""
        yield Finding("fail", "story", first + more, InputError.exit_status)
        return
    yield Finding(
        "ok", "story", f"{story.title}: {len(story.panels)} panels of {resolved.render.width}x{resolved.render.height}"
    )
    if base == base_names.PICTUREBOOK and base not in story.bases:
        yield Finding(
            "warn", "story", "has no settings for the picture book (bases.picturebook), and Kolors needs a GPU"
        )
    if replaced := replaced_source(story, resolved, base):
        yield Finding("warn", "story", replaced)
    if base == base_names.PICTUREBOOK:
        for too_large in oversized(resolved, base, side_of(PICTUREBOOK)):
            yield Finding("warn", "story", too_large)
    for need in find_needs(resolved.dataset, path):
        yield Finding(need.state, "story", need.text, need.exit_status)
    on_kolors = resolve(story, base_names.KOLORS).dataset
    if base != base_names.KOLORS and on_kolors != resolved.dataset:
        for need in find_needs(on_kolors, path):
            yield Finding("ok" if need.state == "ok" else "warn", "story", f"on Kolors: {need.text}")


def _base_name(wanted: str) -> str:
    """What the base that is wanted is called in a story; raises InputError where there is none of that name."""
    if wanted == "auto":
        cuda = read_cuda()
        carried = cuda is not None and cuda.usable and cuda.memory >= SMALLEST_GPU
        return base_names.KOLORS if carried else base_names.PICTUREBOOK
    if wanted not in base_names.NAMED and not expanded(wanted).is_dir():
        raise InputError(f"--base {wanted}: no such folder; choose auto, kolors, picturebook or a base's folder")
    return wanted if wanted in base_names.NAMED else expanded(wanted).resolve().name


def _runs(runs: Path) -> Iterator[Finding]:
    """Run folders, who holds one, and whether new ones can be made."""
    folder = runs.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        yield Finding("fail", "runs", f"{folder} is a file; choose another folder with --runs, or move that file")
        return
    if not os.access(folder, os.W_OK):
        yield Finding(
            "fail", "runs", f"{folder} cannot be written; choose another folder with --runs, or fix its ownership"
        )
    found = sorted(path.parent for path in runs.glob(f"*/*/{LOCK}"))
    if not found:
        yield Finding("ok", "runs", f"none in {runs} yet")
    for run in found:
        with contextlib.suppress(OSError):
            state = f"held by {holder(run)}" if is_held(run) else "free"
            yield Finding("ok", "runs", f"{run}: {state}")
