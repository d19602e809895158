"""What a card and a page tell about an entry, gathered once from the run's files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kolors_submit.base_names import KOLORS
from kolors_submit.bundle import layout
from kolors_submit.bundle.contents import PromptRow, prompt_rows, rendered
from kolors_submit.bundle.lora import LoraSummary
from kolors_submit.export.comfyui import NODE_ALPHA_LIMIT
from kolors_submit.hub import name_problems
from kolors_submit.story import Captioner, Render, Story


@dataclass(frozen=True)
class Strengths:
    """The number each program wants for the strength that the panels were rendered with.

    The update is B·A·alpha/rank x strength here; facts about the others are in each property.
    """

    strength: float
    alpha: float
    rank: int

    @property
    def comfyui(self) -> float:
        """LoraLoaderModelOnly and diffusers read alpha from the safetensors: the same number as ours."""
        return self.strength

    @property
    def node(self) -> float:
        """LoadKolorsLoRA applies lora_alpha/rank to the .ckpt, which has no alpha of its own."""
        return self.strength * self.alpha

    @property
    def node_takes_it(self) -> bool:
        """Whether the node's slider goes as far."""
        return 0 <= self.node <= NODE_ALPHA_LIMIT

    @property
    def diffsynth(self) -> float:
        """DiffSynth 1.1's load_lora multiplies B·A by lora_alpha, without alpha and without rank."""
        return self.strength * self.alpha / self.rank


@dataclass(frozen=True)
class FunnelStep:
    """Pictures left after one step of the data's recipe."""

    name: str
    left: int


@dataclass(frozen=True)
class Entry:
    """One entry: the resolved story and the values of the files beside it in the bundle."""

    story: Story
    lora_name: str
    base: Mapping[str, str]
    lora: LoraSummary
    train: Mapping[str, Any]
    pictures: int
    funnel: Sequence[FunnelStep]
    scores: Mapping[str, Any]
    environment: Mapping[str, Any]
    losses: Sequence[tuple[int, float]]
    imported: Mapping[str, Any] | None = None
    """import.json's value, of an entry that another program made."""

    @property
    def is_demonstration(self) -> bool:
        """Whether the base is another than Kolors."""
        return self.base["name"] != KOLORS

    @property
    def title(self) -> str:
        """The contest's name of the entry where there is one, else the story's."""
        return self.story.submission.display_name or self.story.title

    @property
    def repository(self) -> str | None:
        """The hub's id where the story names a sound one."""
        name = self.story.submission.repository
        return name if name is not None and not name_problems(name) else None

    @property
    def address(self) -> str | None:
        """The entry's page on its hub."""
        hosts = {"modelscope": "https://modelscope.cn/models", "huggingface": "https://huggingface.co"}
        return f"{hosts[self.story.submission.hub]}/{self.repository}" if self.repository else None

    @property
    def command(self) -> str:
        """The one command that reproduces the entry: from its hub, or in its folder, with the results beside that."""
        if self.repository is None:
            return "kolors-submit reproduce . --out ../reproduction"
        return f"kolors-submit reproduce {self.story.submission.hub}:{self.repository}"

    @property
    def safetensors(self) -> str:
        """Name of the LoRA's safetensors file."""
        return f"{self.lora_name}.safetensors"

    @property
    def ckpt(self) -> str:
        """Name of the LoRA's .ckpt file."""
        return f"{self.lora_name}.ckpt"

    @property
    def diffusers(self) -> str:
        """Name of the LoRA's file in diffusers' own keys."""
        return f"{self.lora_name}{layout.DIFFUSERS}"

    @property
    def render(self) -> Render:
        """The settings that the panels were rendered with."""
        return rendered(self.story)

    @property
    def rows(self) -> list[PromptRow]:
        """The panels' prompts."""
        return prompt_rows(self.story)

    @property
    def panel_scores(self) -> list[float]:
        """The panels' scores, in order."""
        return [panel["score"] for panel in self.scores["panels"]]

    @property
    def strengths(self) -> Strengths:
        """The numbers for other programs."""
        return Strengths(self.story.render.lora_strength, self.story.train.alpha, self.story.train.rank)

    @property
    def license(self) -> str:
        """A LoRA of the real Kolors stands under Kwai's model licence, whatever the story says."""
        return "other" if not self.is_demonstration else self.story.submission.license

    @property
    def trigger_words(self) -> list[str]:
        """Words that all captions or all prompts share: the fixed part of the caption, and the style."""
        captions = self.story.dataset.captions or ""
        fixed = captions.trigger if isinstance(captions, Captioner) else re.sub(r"\{[^{}]*\}", "", captions)
        words = [text.strip(" ,，、;；.。") for text in (fixed, self.story.style.prefix, self.story.style.suffix)]
        return list(dict.fromkeys(filter(None, words)))
