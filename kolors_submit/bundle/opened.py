"""A stranger's bundle with its values read, each by its own strict reader, and the findings of reading them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kolors_submit.base_names import KOLORS
from kolors_submit.bundle import layout
from kolors_submit.bundle.contents import PromptRow, read_prompts
from kolors_submit.bundle.finding import Finding, fail
from kolors_submit.bundle.manifest import NewerFormat, read_json_strictly, refuse_newer
from kolors_submit.errors import InputError
from kolors_submit.story import Story, StoryError, read_document, validate
from kolors_submit.story.model import SCHEMA

FORMATS = {
    layout.SCORES: 3,
    layout.TRAIN: 1,
    layout.DATA: 1,
    layout.ENVIRONMENT: 1,
    layout.IMPORT: 1,
    layout.HISTORY: 1,
}
"""The newest format that this program knows, of each file that has one."""

T = TypeVar("T")

LARGEST = 1e6
"""Beyond what any of a bundle's figures can be."""


@dataclass(frozen=True)
class Opened:
    """The values of a bundle's files; None for what is missing or cannot be read, which is a finding of its own."""

    folder: Path
    names: tuple[str, ...]
    story: Story | None
    prompts: list[PromptRow] | None
    configuration: dict[str, Any] | None
    scores: dict[str, Any] | None
    train: dict[str, Any] | None
    data: dict[str, Any] | None
    environment: dict[str, Any] | None
    imported: dict[str, Any] | None
    history: dict[str, Any] | None

    @property
    def is_imported(self) -> bool:
        """Whether `import` made it from an entry of another program, of whose making nothing is known."""
        return layout.IMPORT in self.names

    @property
    def base(self) -> str | None:
        """The base's name, as train.json says."""
        name = at(self.train, "base", "name")
        return name if isinstance(name, str) else None

    @property
    def is_demonstration(self) -> bool:
        """Whether the entry was made on another base than Kolors."""
        return self.base != KOLORS

    @property
    def lora(self) -> str | None:
        """The LoRA's file in kohya's keys, whose name the other two share."""
        found = self.in_folder(layout.LORA, ".safetensors")
        return next((name for name in found if not name.endswith(layout.DIFFUSERS)), None)

    @property
    def lora_files(self) -> set[str]:
        """The names of the LoRA's files, without their folder."""
        return {Path(name).name for name in self.names if name.startswith(f"{layout.LORA}/")}

    def in_folder(self, folder: str, suffix: str) -> list[str]:
        """The files in one of the bundle's folders with a suffix."""
        return [name for name in self.names if name.startswith(f"{folder}/") and name.endswith(suffix)]


def at(value: Any, *keys: str) -> Any:
    """A value inside nested objects of a stranger's JSON, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def figure(value: Any) -> float | None:
    """A score or another figure of a stranger's JSON, or None; JSON has numbers that no float holds or can add up."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST
    return float(value) if sound else None


def open_values(folder: Path, names: list[str]) -> tuple[Opened, list[Finding]]:
    """Read every file that holds values; raises NewerFormat for one that a newer program wrote."""
    findings: list[Finding] = []

    def read(name: str, reader: Callable[[Path], T]) -> T | None:
        if name not in names:
            return None
        try:
            return reader(folder / name)
        except NewerFormat:
            raise
        except InputError as error:
            findings.append(fail(name, without_folder(error, folder)))
            return None

    opened = Opened(
        folder=folder,
        names=tuple(names),
        story=read(layout.STORY, _story),
        prompts=read(layout.PROMPTS, read_prompts),
        configuration=read(layout.CONFIGURATION, read_json_strictly),
        scores=read(layout.SCORES, _with_format),
        train=read(layout.TRAIN, _with_format),
        data=read(layout.DATA, _with_format),
        environment=read(layout.ENVIRONMENT, _with_format),
        imported=read(layout.IMPORT, _with_format),
        history=read(layout.HISTORY, _with_format),
    )
    return opened, findings


def _story(path: Path) -> Story:
    document = read_document(path)
    schema = document.values.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerFormat(f"{path} is format {schema}; this program reads up to {SCHEMA}: update kolors-submit")
    story, problems = validate(document)
    if story is None:
        raise StoryError(problems)
    return story


def _with_format(path: Path) -> dict[str, Any]:
    value = read_json_strictly(path)
    refuse_newer(path, value, FORMATS[path.name])
    return value


def without_folder(message: object, folder: Path) -> str:
    """A message without the folder that the bundle happens to lie in."""
    return str(message).replace(f"{folder}/", "")
