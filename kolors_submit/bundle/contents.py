"""The bundle's plain files: the resolved story, the table of prompts, the hub's configuration, and their readers."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kolors_submit.bundle import layout
from kolors_submit.engine.method import method_of
from kolors_submit.errors import InputError
from kolors_submit.story import Render, Story, panel_prompt

CONFIGURATION = {"framework": "pytorch", "task": "text-to-image-synthesis"}
"""What ModelScope reads to know what a model is for."""

COLUMNS = ("panel", "file", "scene", "prompt", "negative", "seed")


@dataclass(frozen=True)
class PromptRow:
    """One line of prompts.csv: a panel with its words put together as the model read them."""

    panel: int
    file: str
    scene: str
    prompt: str
    negative: str
    seed: int


class _Dumper(yaml.SafeDumper):
    """Plain YAML without anchors, which a story may not have."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def story_text(story: Story, *, only_said: bool = False) -> str:
    """The resolved story as a story file that loads to the same Story; `only_said` leaves out what it does not say."""
    values = story.model_dump(by_alias=True, mode="json", exclude_unset=only_said)
    return yaml.dump(values, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)


def rendered(story: Story) -> Render:
    """What the panels were rendered with: the story's settings; of `quality: fast` the sampler and steps it uses."""
    return method_of(story.render).applied(story.render)


def prompt_rows(story: Story) -> list[PromptRow]:
    """The table of prompts that belongs to a story."""
    rows = []
    for number, panel in enumerate(story.panels, start=1):
        prompt = panel_prompt(story, panel)
        words = (panel.scene, prompt.positive, prompt.negative)
        rows.append(PromptRow(number, layout.panel_file(number), *words, panel.seed))
    return rows


def prompts_text(story: Story) -> str:
    """prompts.csv: a header and one line a panel (RFC 4180, UTF-8)."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in prompt_rows(story):
        writer.writerow([row.panel, row.file, row.scene, row.prompt, row.negative, row.seed])
    return file.getvalue()


def read_prompts(path: Path) -> list[PromptRow]:
    """The lines of a prompts.csv; raises InputError where it is none."""
    limit = layout.size_limit(path.name)
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path} is larger than {limit:,} bytes")
        with path.open(encoding="utf-8", newline="") as text:
            lines = list(csv.reader(text, strict=True))
        if not lines or tuple(lines[0]) != COLUMNS:
            raise InputError(f"{path} does not start with the columns {', '.join(COLUMNS)}")
        return [
            PromptRow(int(panel), file, scene, prompt, negative, int(seed))
            for panel, file, scene, prompt, negative, seed in lines[1:]
        ]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is not a table of prompts: {error}") from error
