"""Panels of many stories in several styles, rendered on the picture-book base: what `bench/coherence.py` measures.

A tale is eight scenes that one person goes through; the stories that ship are there too. Every panel is rendered once
in every style from the same prompt and seed, by the base alone or with a LoRA, with `quality: fast`, and kept in a
folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from measure import plan_for
from PIL import Image

from kolors_submit.device import read_machine
from kolors_submit.engine import base as bases
from kolors_submit.engine.conditioning import encode
from kolors_submit.engine.draw import draw, load_models
from kolors_submit.engine.lora_files import read as read_lora
from kolors_submit.engine.sampler import Task
from kolors_submit.files import atomic_path
from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample
from kolors_submit.picturebook.lexicon import Language
from kolors_submit.picturebook.paint import draw as paint
from kolors_submit.picturebook.samples import STYLE_WORDS
from kolors_submit.picturebook.scenes import Person, Scene
from kolors_submit.story import Prompt, Render, Style, load_story, panel_prompt
from kolors_submit.weights import PICTUREBOOK, open_base

STORIES = Path(__file__).parents[1] / "stories"
SHIPPED = ("watercolor", "ink", "storybook-en", "contest-baseline")
PANELS = 8
BARE = "plain"
"""The style of the base alone."""


@dataclass(frozen=True)
class Panel:
    """What one panel is rendered from, in whatever style."""

    story: str
    number: int
    prompts: Mapping[str, Prompt]
    seed: int

    def path(self, folder: Path, style: str) -> Path:
        """Where its picture in a style lies."""
        return folder / style / f"{self.story}-{self.number}.png"


def shipped(name: str) -> list[Panel]:
    """The panels of a story in `stories`, its style's words exchanged."""
    story = load_story(STORIES / f"{name}.yaml", "picturebook")
    panels = []
    for number, panel in enumerate(story.panels[:PANELS], 1):
        prompts = {}
        for style, words in STYLE_WORDS.items():
            suffix = Style(suffix=words[story.language != "zh"], negative=story.style.negative)
            prompts[style] = panel_prompt(story.model_copy(update={"style": suffix}), panel)
        panels.append(Panel(name, number, prompts, panel.seed))
    return panels


def tale(number: int) -> list[Panel]:
    """Eight scenes with one person, in Chinese or English by turns."""
    rng = Random(number)
    language: Language = "en" if number % 2 else "zh"
    scenes = [sample(rng) for _ in range(PANELS)]
    hero = scenes[0].people[0]
    panels = []
    for index, scene in enumerate(scenes, 1):
        text = caption(_with(scene, hero), rng, language, complete=True).rstrip("。，. ")
        joint = "，" if language == "zh" else ", "
        prompts = {style: Prompt(f"{text}{joint}{words[language == 'en']}", "") for style, words in STYLE_WORDS.items()}
        panels.append(Panel(f"tale-{number}", index, prompts, 1000 * number + index))
    return panels


def _with(scene: Scene, hero: Person) -> Scene:
    """The scene with this person's looks in the first one's place, who does what the scene says."""
    first = scene.people[0]
    hero = replace(hero, pose=first.pose, held=first.held, hat=first.hat)
    return replace(scene, people=(hero, *scene.people[1:]))


def drawn(style: str, folder: Path, count: int = 120) -> list[Path]:
    """As many scenes as code draws them in a style, the same scenes in each."""
    rng = Random(77)
    paths = []
    for number in range(count):
        scene, path = sample(rng), folder / "drawn" / style / f"{number:03d}.png"
        if not path.is_file():
            with atomic_path(path) as part:
                paint(scene, style=style).save(part, "PNG")
        paths.append(path)
    return paths


def render(panels: Sequence[Panel], style: str, lora: Path | None, folder: Path) -> None:
    """Render the panels in a style that are not in the folder yet."""
    panels = [panel for panel in panels if not panel.path(folder, style).is_file()]
    if not panels:
        return
    settings = Render(width=256, height=256, steps=30, quality="fast")
    base = open_base(PICTUREBOOK, "picturebook")
    plan = plan_for(base, read_machine("cpu"), settings, len(panels))
    prompts = [panel.prompts[style] for panel in panels]
    texts = [text for prompt in prompts for text in (prompt.positive, prompt.negative)]
    encoded = encode(base, texts, "cpu", plan.compute.torch_dtype)
    tasks = [Task(encoded[2 * i], encoded[2 * i + 1], panel.seed) for i, panel in enumerate(panels)]
    weights = read_lora(lora, bases.config(base, "unet")) if lora else None

    def deliver(index: int, picture: Image.Image | None, _: float) -> None:
        assert picture is not None
        path = panels[index].path(folder, style)
        with atomic_path(path) as part:
            picture.save(part, "PNG")

    draw(lambda: load_models(base, weights, settings, plan), tasks, settings, plan, deliver)
