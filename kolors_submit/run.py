"""The run folder: the only place that names its files, and what makes a run repeatable and safe to kill.

    runs/<story>[-<name>]/<base>/
      data/ cache/ train/ render/ score/ bundle/      what the stages write
      stages/<stage>.json                             what each result depends on, and its outputs' digests
      .lock                                           who holds the folder

A stage is done when its record has the fingerprint of today's inputs and every output still has the recorded digest.
Nothing a stage writes holds a date or a duration (those are in its record), so equal inputs give equal bytes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.errors import OutsideError

if TYPE_CHECKING:
    from kolors_submit.report import Reporter
    from kolors_submit.story import Story
    from kolors_submit.weights import Base

PARTIAL = ".partial"
"""Suffix of a file that is being written; whatever bears it was left by a killed run."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare blanks: one text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for files that people read: sorted keys, two blanks, a final newline."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` by rename when the block ends well, and is deleted when it does not.

    Raises OutsideError where the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise write_error(path, error) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_error(path: Path, error: OSError) -> OutsideError:
    """A sentence for a write that the system refused."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space and run again",
        errno.EDQUOT: "the disk quota is used up; free some space and run again",
        errno.EACCES: "no permission to write there; choose another folder with --runs or mend its owner",
        errno.EPERM: "no permission to write there; choose another folder with --runs or mend its owner",
        errno.EROFS: "the file system is read-only; choose another folder with --runs",
    }.get(error.errno or 0, f"{error.strerror or error}; run again")
    return OutsideError(f"cannot write {path}: {advice}")


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 file whole or not at all."""
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file for people, whole or not at all."""
    return write_text(path, pretty_json(value))


def read_json(path: Path) -> Any:
    """The value of a JSON file of ours, or None where there is none or it was not written whole."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Run:
    """One run folder."""

    folder: Path

    @property
    def data(self) -> Path:
        """images/, metadata.csv, recipe.yaml, report.json, data.json."""
        return self.folder / "data"

    @property
    def cache(self) -> Path:
        """Text embeddings and latents: may be deleted at any time."""
        return self.folder / "cache"

    @property
    def train(self) -> Path:
        """lora.safetensors, lora.ckpt, train.json, metrics.csv, samples/, checkpoints/, logs/."""
        return self.folder / "train"

    @property
    def lora(self) -> Path:
        """The trained LoRA."""
        return self.train / "lora.safetensors"

    @property
    def render(self) -> Path:
        """01.png …, render.json, story.jpg."""
        return self.folder / "render"

    @property
    def scores(self) -> Path:
        """scores.json."""
        return self.folder / "score" / "scores.json"

    @property
    def bundle(self) -> Path:
        """What is published."""
        return self.folder / "bundle"

    def panel(self, number: int) -> Path:
        """The picture of panel `number`, counted from 1."""
        return self.render / f"{number:02d}.png"

    def stage(self, name: str, format: int = 1) -> Stage:
        """The record of a stage, or of one part of it (`render.03`)."""
        return Stage(self, name, format)

    @contextlib.contextmanager
    def hold(self, verb: str) -> Iterator[None]:
        """Hold this folder for one process; raises OutsideError that names the holder where it is taken.

        Files that a killed run left half-written are deleted on the way in.
        """
        path = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            raise write_error(path, error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutsideError(f"{self.folder} is in use by {holder(self.folder)}; wait for it or use --name") from error
            file.seek(0)
            file.truncate()
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "verb": verb, "since": int(time.time())}, file)
            file.flush()
            for partial in self.folder.rglob(f".*{PARTIAL}"):
                partial.unlink(missing_ok=True)
            yield


def holder(folder: Path) -> str:
    """Who holds (or last held) a run folder, in words."""
    who = read_json(folder / ".lock")
    if not isinstance(who, dict):
        return "another process"
    since = time.strftime("%H:%M:%S", time.localtime(who.get("since", 0)))
    return f"`{who.get('verb')}`, process {who.get('pid')} on {who.get('host')}, since {since}"


def is_held(folder: Path) -> bool:
    """Whether a process holds the run folder now."""
    try:
        with (folder / ".lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def run_folder(runs: Path, story: Path, base: str, name: str | None = None) -> Run:
    """The run folder of a story file on a base: `runs/<story>[-<name>]/<base>`."""
    return Run(runs / (story.stem + (f"-{name}" if name else "")) / base)


@dataclass(frozen=True)
class Stage:
    """The record that says whether a stage has anything to do.

    `inputs` is everything the result depends on, as JSON values (settings, digests of files); `format` is raised when
    the stage's own arithmetic or files change. The package's version is no part of it.
    """

    run: Run
    name: str
    format: int = 1

    @property
    def path(self) -> Path:
        """Where the record is kept, outside the stage's own folder."""
        return self.run.folder / "stages" / f"{self.name}.json"

    def fingerprint(self, inputs: dict[str, Any]) -> str:
        """SHA-256 of the inputs and the stage's format."""
        return digest({"stage": self.name, "format": self.format, "inputs": inputs})

    def is_done(self, inputs: dict[str, Any]) -> bool:
        """Whether the record has these inputs and every output has its recorded digest."""
        record = read_json(self.path)
        if not isinstance(record, dict) or record.get("fingerprint") != self.fingerprint(inputs):
            return False
        return not self._damaged(record)

    def changes(self, inputs: dict[str, Any]) -> list[str]:
        """Why the stage has to run, in a few words each; empty when it has not."""
        record = read_json(self.path)
        if not isinstance(record, dict):
            return ["not done yet"]
        if record.get("format") != self.format:
            return ["made by another version of this stage"]
        old, new = _flat(record.get("inputs", {})), _flat(inputs)
        reasons = [f"{key} changed" for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        return reasons + [f"{name} is missing or was edited" for name in self._damaged(record)]

    def finish(self, inputs: dict[str, Any], outputs: Iterable[Path], seconds: float | None = None) -> None:
        """Record that the stage is done with these outputs (files below the run folder)."""
        digests = {str(path.relative_to(self.run.folder)): file_digest(path) for path in outputs}
        record = {
            "stage": self.name,
            "format": self.format,
            "fingerprint": self.fingerprint(inputs),
            "inputs": inputs,
            "outputs": digests,
            "seconds": None if seconds is None else round(seconds, 3),
        }
        write_json(self.path, record)

    def forget(self) -> None:
        """Delete the record: the stage is not done."""
        self.path.unlink(missing_ok=True)

    def seconds(self) -> float | None:
        """How long the stage took when it last ran, if it did."""
        record = read_json(self.path)
        return record.get("seconds") if isinstance(record, dict) else None

    def outputs(self) -> dict[str, str]:
        """Recorded outputs: path below the run folder -> SHA-256."""
        record = read_json(self.path)
        return record.get("outputs", {}) if isinstance(record, dict) else {}

    def _damaged(self, record: dict[str, Any]) -> list[str]:
        """Outputs that are missing or no longer have their digest."""
        folder = self.run.folder
        outputs: dict[str, str] = record.get("outputs", {})
        return [name for name, sha in outputs.items() if not (folder / name).is_file() or file_digest(folder / name) != sha]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"train": {"rank": 16}}` as `{"train.rank": 16}`, to name what changed."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def keep_only(folder: Path, keep: Iterable[Path]) -> None:
    """Delete every file below `folder` that is not in `keep`, and the folders this empties."""
    wanted = {path.resolve() for path in keep}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path.resolve() not in wanted):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def free_bytes(folder: Path) -> int:
    """Free disk space where `folder` is or will be, in bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Job:
    """What every stage is given: the resolved story, the base, the run folder, the device, and whom to tell."""

    story: Story
    base: Base
    run: Run
    device: str
    report: Reporter
