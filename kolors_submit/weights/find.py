"""The base and the predictor that a command means, and why."""

from __future__ import annotations

from pathlib import Path

from kolors_submit import base_names
from kolors_submit.base_names import KOLORS
from kolors_submit.device import Cuda, read_cuda, why_no_cuda
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import expanded
from kolors_submit.report import Reporter
from kolors_submit.weights.base import PICTUREBOOK, Base, open_base
from kolors_submit.weights.download import Ask, fetch, gigabytes
from kolors_submit.weights.known import CLIP, DINO, FOR_KOLORS, KNOWN, OFFICIAL_PREDICTOR

SMALLEST_GPU = 7_500_000_000
"""Memory in bytes of the smallest card that Kolors is offered on: what a card sold as 8 GB leaves to programs."""


def find_base(name: str, report: Reporter, device: str = "auto", ask: Ask | None = None, yes: bool = False) -> Base:
    """The base for `auto`, `kolors`, `picturebook` or a folder; says which one `auto` took and why.

    `kolors` is fetched where it is not here. `auto` takes it where a GPU can carry it and the weights are here (or
    `ask`, or `yes`, agrees to the download), else the picture book. Raises InputError for a folder that is no base,
    OutsideError where a download fails or is declined.
    """
    if name == KOLORS:
        cuda = read_cuda()
        if device == "auto" and (cuda is None or not cuda.usable):
            report.note(f"{why_no_cuda(cuda)}: Kolors will run on the CPU, and slowly")
        return _kolors(report, None if yes else ask)
    if name == base_names.PICTUREBOOK:
        return _picturebook()
    if name != "auto":
        return _folder(name)
    cuda = None if device == "cpu" else read_cuda()
    reason = "--device cpu" if device == "cpu" else _why_not_kolors(cuda)
    if reason is None and not _is_here():
        offered = yes or ask is not None
        if not (offered and _accepted(report, None if yes else ask)):
            reason = "Kolors' weights are not here; `kolors-submit weights fetch` gets them"
    if reason is None:
        report.say(f"base    kolors: a GPU with {gigabytes(cuda.memory if cuda else 0)} and the weights are here")
        return _kolors(report, None)
    report.say(f"base    picturebook, a demonstration: {reason}")
    return _picturebook()


def find_predictor(base: Base | None = None) -> tuple[str, Path]:
    """Name and folder of the predictor to score with: the base's own one, else the contest's.

    Raises OutsideError where the contest's is needed and not here.
    """
    if base is not None and base.predictor is not None:
        return f"{base.name}'s own predictor", base.predictor
    official = KNOWN[OFFICIAL_PREDICTOR]
    if not official.is_here():
        raise OutsideError(
            f"the contest's aesthetics predictor is not in {official.folder}; run `kolors-submit weights fetch "
            f"{OFFICIAL_PREDICTOR}` ({gigabytes(official.size)}), or name another with --predictor DIR"
        )
    return OFFICIAL_PREDICTOR, official.folder


def find_weights(name: str) -> Path:
    """The folder of known weights, or of one's own by its path.

    Raises OutsideError where known weights are not here, InputError where there is no such folder.
    """
    known = KNOWN.get(name)
    if known is None:
        folder = expanded(name)
        if not folder.is_dir():
            raise InputError(f"{name}: neither known weights nor a folder; known are {', '.join(KNOWN)}")
        return folder
    if not known.is_here():
        raise OutsideError(
            f"{name} is not here; `kolors-submit weights fetch {name}` gets it ({gigabytes(known.size)})"
        )
    return known.folder


def find_tower(base: Base) -> tuple[str, Path]:
    """Name and folder of the image tower that pictures are compared by: DINOv2 where it is here, else the predictor's.

    On a base with a predictor of its own always that one's. Raises OutsideError as `find_predictor`.
    """
    if base.predictor is None and KNOWN[DINO].is_here():
        return DINO, KNOWN[DINO].folder
    return find_predictor(base)


def find_clip(language: str) -> tuple[str, Path] | None:
    """Name and folder of the CLIP model that reads prompts of a language (zh, en); None where it is not here."""
    weights = KNOWN[CLIP[language]]
    return (weights.name, weights.folder) if weights.is_here() else None


def _why_not_kolors(cuda: Cuda | None) -> str | None:
    """Why this machine cannot carry Kolors; None where it can."""
    if cuda is None or not cuda.usable:
        return why_no_cuda(cuda)
    if cuda.memory < SMALLEST_GPU:
        return f"the GPU has {gigabytes(cuda.memory)}, Kolors needs {gigabytes(SMALLEST_GPU)}"
    return None


def _is_here() -> bool:
    return all(KNOWN[name].is_here() for name in FOR_KOLORS)


def _accepted(report: Reporter, ask: Ask | None) -> bool:
    """Fetch all that Kolors needs; False where the person (or the network) says no, so that `auto` goes on without."""
    try:
        _fetch(report, ask)
    except (InputError, OutsideError) as error:
        report.note(str(error))
        return False
    return True


def _kolors(report: Reporter, ask: Ask | None) -> Base:
    """Kolors, fetched where needed together with the predictor that scores what is made on it."""
    _fetch(report, ask)
    return open_base(KNOWN[KOLORS].folder, KOLORS)


def _fetch(report: Reporter, ask: Ask | None) -> None:
    for name in FOR_KOLORS:
        fetch(KNOWN[name], report, ask=ask)


def _picturebook() -> Base:
    if not (PICTUREBOOK / "model_index.json").is_file():
        raise OutsideError(f"{PICTUREBOOK} is not part of this installation; install the package again")
    return open_base(PICTUREBOOK, base_names.PICTUREBOOK)


def _folder(name: str) -> Base:
    folder = expanded(name)
    if not folder.is_dir():
        raise InputError(f"--base {name}: no such folder; choose auto, kolors, picturebook or a base's folder")
    return open_base(folder)
