"""Checkpoints: what a killed run needs to go on with the same bytes, and nothing of the base."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from kolors_submit.engine import pickled
from kolors_submit.files import atomic_path

State = dict[Any, Any]
"""An optimizer's state: number of the parameter -> name of the value -> value."""


@dataclass(frozen=True)
class Checkpoint:
    """The state after a number of optimizer steps."""

    step: int
    lora: dict[str, torch.Tensor]
    """The trained parameters under their names in the UNet."""
    optimizer: State
    scaler: dict[str, Any] | None
    """Of float16's gradient scaling, where it is used."""
    losses: torch.Tensor
    """[step], float32."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training run, told from other runs' by the fingerprint of everything it depends on."""

    root: Path
    fingerprint: str

    @property
    def folder(self) -> Path:
        """Where this run's checkpoints are."""
        return self.root / self.fingerprint[:16]

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / f"step-{step:07d}.ckpt"

    def save(self, checkpoint: Checkpoint, keep: int) -> Path:
        """Write a checkpoint whole or not at all, then delete all but the newest `keep`.

        Files of later steps could not be read, or training would have gone on from them.
        """
        path = self.path(checkpoint.step)
        with atomic_path(path) as partial:
            _save({"fingerprint": self.fingerprint, **vars(checkpoint)}, partial)
        files = self.files()
        kept = [file for file in files if file <= path][-keep:]
        for file in files:
            if file not in kept:
                file.unlink()
        return path

    def files(self) -> list[Path]:
        """From the oldest to the newest."""
        return sorted(self.folder.glob("step-*.ckpt"))

    def after(self, step: int) -> list[Path]:
        """The files of later steps; of steps after `latest` they are damaged."""
        return [file for file in self.files() if file > self.path(step)]

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint of this run that can be read, on the CPU."""
        for path in reversed(self.files()):
            checkpoint = self._read(path)
            if checkpoint is not None:
                return checkpoint
        return None

    def at(self, step: int) -> Checkpoint | None:
        """The checkpoint of a step, on the CPU; None where it is not kept or cannot be read."""
        return self._read(self.path(step))

    def _read(self, path: Path) -> Checkpoint | None:
        try:
            values = pickled.load(path)
            if values.pop("fingerprint") != self.fingerprint:
                return None
            return Checkpoint(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # damaged from outside: an older one, or the start, gives the same result


@dataclass(frozen=True)
class Snapshot:
    """The trained parameters and the optimizer's state as they were when it was taken."""

    parameters: list[torch.Tensor]
    state: State

    @classmethod
    def take(cls, parameters: Sequence[torch.Tensor], state: State, *, lean: bool) -> Snapshot:
        """A copy; on the device, unless memory is `lean`, since for one to main memory training has to wait."""
        values = cls([value.detach() for value in parameters], state)
        if lean:
            return values._each(_fetched)
        taken = values._each(torch.clone)
        if parameters[0].is_cuda:
            torch.cuda.synchronize(parameters[0].device)
        return taken

    def fetched(self) -> Snapshot:
        """In main memory; a GPU goes on meanwhile with what it was told before and after."""
        device = self.parameters[0].device
        if device.type == "cpu":
            return self
        with torch.cuda.stream(torch.cuda.Stream(device)):
            return self._each(_fetched)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Snapshot:
        def changed(value: Any) -> Any:
            return change(value) if isinstance(value, torch.Tensor) else value

        state = {
            number: {name: changed(value) for name, value in values.items()} for number, values in self.state.items()
        }
        return Snapshot([change(value) for value in self.parameters], state)


def _fetched(value: torch.Tensor) -> torch.Tensor:
    return value.to("cpu", copy=True)


class _File:
    """What torch.save writes to: it says only that a write failed, so what the system said of it is kept here."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self.flush = file.flush
        self._file = file

    def write(self, data: memoryview) -> int:
        """As the file does."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def _save(value: dict[str, Any], path: Path) -> None:
    """torch.save straight to a file: into memory it copies under the interpreter's lock, and training has to wait.

    Raises OSError where the file cannot be written.
    """
    with path.open("wb") as opened:
        file = _File(opened)
        try:
            torch.save(value, file)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise file.error or error from None


class Writer:
    """Writes checkpoints one after the other while training goes on."""

    def __init__(self, checkpoints: Checkpoints, keep: int, thread: Executor) -> None:
        """`keep`: how many stay; `thread` writes them."""
        self.checkpoints, self.keep, self.thread = checkpoints, keep, thread
        self._under_way: Future[Path] | None = None

    def save(self, take: Callable[[], Callable[[], Checkpoint]]) -> None:
        """Begin to write a checkpoint, when the one before is written.

        `take` copies the state, for which a device has room once, and returns what makes the checkpoint in the thread.
        """
        self.wait()
        made = take()
        self._under_way = self.thread.submit(lambda: self.checkpoints.save(made(), self.keep))

    def check(self) -> None:
        """Raise OutsideError where writing has met a full disk."""
        if self._under_way is not None and self._under_way.done():
            self._under_way.result()

    def wait(self) -> None:
        """Until all is written. Raises OutsideError on a full disk."""
        if self._under_way is not None:
            self._under_way.result()


@contextmanager
def writing(checkpoints: Checkpoints, keep: int) -> Iterator[Writer]:
    """A writer, all of whose checkpoints are written when the block ends, however it does.

    Raises OutsideError on a full disk, whatever else ended the block: nobody is to be told that his work is saved.
    """
    with ThreadPoolExecutor(1) as thread:
        writer = Writer(checkpoints, keep, thread)
        try:
            yield writer
        finally:
            writer.wait()
