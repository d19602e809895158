"""The run folder: where everything lies in it, and what makes a run repeatable and safe to kill.

    runs/<story>[-<name>]/<base>/
      data/ cache/ train/ render/ before/ score/ bundle/     what the stages write
      explore/                                               what trying seeds and settings makes; no stage reads it
      stages/<stage>.json                                    what each result depends on, and its outputs' digests
      .lock                                                  who holds the folder

A stage is done when its record has the fingerprint of today's inputs and every output still has the recorded digest.
Nothing a stage writes holds a date or a duration (those are in its record), so equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.files import digest, file_digest, read_json, write_json
from kolors_submit.hold import hold

STAGES = ("data", "train", "render", "score", "bundle")
"""In the order in which they run; the name of a stage is also that of its record."""

if TYPE_CHECKING:
    from kolors_submit.report import Reporter
    from kolors_submit.story import Story
    from kolors_submit.weights import Base


@dataclass(frozen=True)
class Run:
    """One run folder."""

    folder: Path
    among: Path | None = None
    """The folder of all runs that it is one of; None for one that lies alone, wherever that is."""

    @property
    def data(self) -> Path:
        """images/, metadata.csv, recipe.yaml, report.json, data.json; captions/ where a model wrote them."""
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

    @property
    def compiled(self) -> Path:
        """What torch compiled for this machine's GPU, for all runs that this is one of: may be deleted at any time."""
        return (self.among or self.folder).resolve() / ".compiled"

    @property
    def explore(self) -> Run:
        """A run inside this one: its own stages/, and explored.json, index.html, candidates/, sheets/, loras/."""
        return replace(self, folder=self.folder / "explore")

    def candidate(self, variant: str, panel: int, seed: int) -> Path:
        """A panel rendered with another seed, below `explore`; `variant` says with which LoRA and settings."""
        return self.explore.folder / "candidates" / variant / f"{panel:02d}-{seed}.png"

    def panel(self, number: int) -> Path:
        """The picture of panel `number`, counted from 1."""
        return self.render / f"{number:02d}.png"

    def before(self, number: int) -> Path:
        """The picture of panel `number` without the LoRA, where it was rendered so too."""
        return self.folder / "before" / f"{number:02d}.png"

    def stage(self, name: str, format: int = 1) -> Stage:
        """The record of a stage, or of one part of it (`render.03`)."""
        return Stage(self, name, format)

    def hold(self, verb: str) -> AbstractContextManager[None]:
        """Hold this folder for one process; raises InUse where another has it."""
        return hold(self.folder, verb)


def run_folder(runs: Path, story: Path, base: str, name: str | None = None) -> Run:
    """The run folder of a story file on a base: `runs/<story>[-<name>]/<base>`."""
    return Run(runs / (story.stem + (f"-{name}" if name else "")) / base, among=runs)


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
        old, new = flat(record.get("inputs", {})), flat(inputs)
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

    def inputs(self) -> dict[str, Any]:
        """What the recorded result depends on; empty where there is no record."""
        record = read_json(self.path)
        return record.get("inputs", {}) if isinstance(record, dict) else {}

    def _damaged(self, record: dict[str, Any]) -> list[str]:
        """Outputs that are missing or no longer have their digest."""
        outputs: dict[str, str] = record.get("outputs", {})
        paths = {name: self.run.folder / name for name in outputs}
        return [name for name, path in paths.items() if not path.is_file() or file_digest(path) != outputs[name]]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"train": {"rank": 16}}` as `{"train.rank": 16}`, to name what changed or differs; lists stay whole."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    named: dict[str, Any] = {}
    for key, item in value.items():
        named |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return named


@dataclass(frozen=True)
class Job:
    """What every stage is given: the resolved story, the base, the run folder, the device, and whom to tell."""

    story: Story
    base: Base
    run: Run
    device: str
    report: Reporter
    vram: float | None = None
    """The size in GB of the card that this job is to fit, where it is not the one that is there."""
    story_file: Path | None = None
    """Where the story was read from; a relative `dataset.source` is looked for beside it first."""
    written: Story | None = None
    """The story as that file says it, before its part for this base replaced anything."""
    ahead: tuple[str, ...] = ()
    """Modules that a later stage of the same command imports; one that waits for another process does so meanwhile."""
    typed: str = ""
    """The story and what leads to this run folder, as they are typed after a verb."""
