"""One story from all that an entry says: which place wins, what disagrees, and what had to be guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from kolors_submit.errors import InputError
from kolors_submit.importing.told import Guess, Told
from kolors_submit.story import MAX_TOKENS, token_count
from kolors_submit.story.model import PANELS, SCHEMA
from kolors_submit.story.prompts import split_at_limit

CONTEST_ALPHA = 2.0
"""The lora_alpha that the contest's notebook and its LoadKolorsLoRA node start from."""

_RENDER = {"steps": 50, "guidance": 4.0, "sampler": "ddim"}
"""What the contest's notebook renders with, for what nobody says."""

_STORY_NAMES = {"guidance": "guidance_scale"}
UNSAID = "not stated in the entry"
NOTEBOOK = f"{UNSAID}; the contest's notebook has this value"
"""Why a value was guessed."""


@dataclass
class Notes:
    """What people are told: values that were guessed, and other words about what was done."""

    guesses: list[Guess] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def guess(self, name: str, value: Any, because: str) -> None:
        """One more guess."""
        self.guesses.append(Guess(name, value, because))

    def forget(self, names: Iterable[str]) -> None:
        """Drop the guesses of fields that somebody has set since."""
        known = set(names)
        self.guesses = [one for one in self.guesses if one.field not in known]

    def remark(self, text: str) -> None:
        """One more word, said once."""
        if text not in self.remarks:
            self.remarks.append(text)


@dataclass(frozen=True)
class ToldPanel:
    """A picture that is a panel, with all that the entry says of it, the most believed first."""

    picture: str
    told: Sequence[Told]

    def first(self, name: str) -> tuple[Any, Told | None]:
        """A field's value from the first place that says it, and that place."""
        return next(((value, told) for told in self.told if (value := getattr(told, name)) is not None), (None, None))

    def others(self, name: str) -> list[tuple[Any, Told]]:
        """What later places say otherwise."""
        chosen, _ = self.first(name)
        return [(value, told) for told in self.told if (value := getattr(told, name)) not in (None, chosen)]


def panels_of(
    pictures: Sequence[str], told: Mapping[str, Sequence[Told]], notes: Notes, silent: Sequence[str] = ()
) -> list[ToldPanel]:
    """The pictures that have a prompt, in order; raises InputError where fewer than eight have.

    `silent` are the texts in which no prompt was found.
    """
    panels = [ToldPanel(name, told.get(name, ())) for name in pictures]
    known = [panel for panel in panels if panel.first("prompt")[0]]
    unknown = [panel.picture for panel in panels if not panel.first("prompt")[0]]
    if len(known) < PANELS:
        form = "a line starts with “prompt:” or “提示词：”, or all lines with 1. 2. 3."
        looked = f"no prompt was found in {', '.join(silent[:8])}: {form}"
        raise InputError(
            f"{len(known)} pictures have a prompt, the contest asks for {PANELS}; none was found for "
            f"{', '.join(unknown[:12])}: name them in a prompt table (file, prompt, negative, seed)"
            + "".join(f"\n  {word}" for word in [*notes.remarks[:8], *([looked] if silent else [])])
        )
    if unknown:
        notes.remark(f"left out because no prompt was found: {', '.join(unknown[:12])}")
    for panel in known:
        for one in panel.told:
            for remark in one.remarks:
                notes.remark(f"{panel.picture}: {remark} ({one.where})")
    return known


@dataclass(frozen=True)
class Scale:
    """The LoRA in a story's terms (B·A·alpha/rank x strength), and whose keys its file has."""

    rank: int
    alpha: float
    strength: float
    keys: str


def story_values(
    title: str, panels: Sequence[ToldPanel], size: tuple[int, int], lora: Scale, noise: str | None, notes: Notes
) -> dict[str, Any]:
    """The values of the story file; `size` is the pictures', and `noise` None follows what made them."""
    hanzi = any(re.search(r"[\u4e00-\u9fff]", panel.first("prompt")[0]) for panel in panels)
    words = [
        _words(number, panel, "第 {} 幅" if hanzi else "Panel {}", notes) for number, panel in enumerate(panels, 1)
    ]
    silent = [str(number) for number, panel in enumerate(panels, start=1) if panel.first("negative")[0] is None]
    if silent:
        notes.guess("panels.negative", "", f"no negative prompt is stated for panel {', '.join(silent)}")
    render: dict[str, Any] = {"width": size[0], "height": size[1]}
    for name, default in _RENDER.items():
        render[_STORY_NAMES.get(name, name)] = _one_for_all(panels, name, default, notes)
    _compare_size(panels, size, notes)
    render |= {"lora_strength": lora.strength, "noise": noise or _noise(panels, lora, notes)}
    return {
        "schema": SCHEMA,
        "title": title,
        "language": "zh" if hanzi else "en",
        "dataset": {"source": "unknown"},
        "train": {"rank": lora.rank, "alpha": lora.alpha},
        "render": render,
        "panels": words,
    }


def _words(number: int, panel: ToldPanel, unnamed: str, notes: Notes) -> dict[str, Any]:
    """One panel of the story file; `unnamed` is the title of one whose picture is only called by a number."""
    for name in ("prompt", "negative", "seed"):
        chosen, believed = panel.first(name)
        for value, told in panel.others(name):
            because = f"{told.where} says {_short(value)}, {believed.where if believed else ''} is believed"
            notes.guess(f"panels.{number}.{name}", _short(chosen), because)
    seed = panel.first("seed")[0]
    if seed is None:
        seed = 0
        notes.guess(f"panels.{number}.seed", seed, f"{UNSAID}, so this panel cannot come out the same")
    stem = PurePosixPath(panel.picture).stem
    scene = panel.first("scene")[0] or (unnamed.format(number) if stem.isdecimal() else stem)
    return {
        "scene": " ".join(scene.split())[:200],
        "prompt": _literal(_readable(panel.first("prompt")[0], f"panels.{number}.prompt", notes)),
        "negative": _literal(_readable(panel.first("negative")[0] or "", f"panels.{number}.negative", notes)),
        "seed": seed,
    }


def _short(value: Any) -> Any:
    """A value as a sentence can hold it."""
    return f"{value[:60]}…" if isinstance(value, str) and len(value) > 60 else value


def _readable(text: str, name: str, notes: Notes) -> str:
    """A prompt as far as the model reads it: the pipelines cut the rest off and said nothing."""
    count = token_count(text)
    if count <= MAX_TOKENS:
        return text
    kept, _ = split_at_limit(text)
    while token_count(kept) > MAX_TOKENS:
        kept = kept[:-1]
    notes.guess(name, f"…{kept[-30:]}", f"it has {count} tokens, of which the model reads {MAX_TOKENS}")
    return kept


def _literal(text: str) -> str:
    """Words as a story writes them, where a single brace would name a character."""
    return text.replace("{", "{{").replace("}", "}}")


def _one_for_all(panels: Sequence[ToldPanel], name: str, default: Any, notes: Notes) -> Any:
    """A setting that a story has once: what most panels were made with."""
    story_name = f"render.{_STORY_NAMES.get(name, name)}"
    said = Counter(value for panel in panels if (value := panel.first(name)[0]) is not None)
    if not said:
        notes.guess(story_name, default, NOTEBOOK)
        return default
    value = said.most_common(1)[0][0]
    elsewhere: dict[Any, str] = {}
    for panel in panels:
        for told in panel.told:
            if getattr(told, name) not in (None, value):
                elsewhere.setdefault(getattr(told, name), told.where)
    for other, where in elsewhere.items():
        notes.guess(
            story_name, value, f"{where} says {other!r}; a story has one value, and that of most panels is taken"
        )
    return value


def _compare_size(panels: Sequence[ToldPanel], size: tuple[int, int], notes: Notes) -> None:
    """The pictures' own size counts; a workflow that says another was followed by something else."""
    for name, value in zip(("width", "height"), size, strict=True):
        for panel in panels:
            said, told = panel.first(name)
            if told is not None and said != value:
                notes.guess(f"render.{name}", value, f"the picture has it; {told.where} says {said}")
                break


def _noise(panels: Sequence[ToldPanel], lora: Scale, notes: Notes) -> str:
    """Where the seeds' noise was drawn, by the program that must have drawn it."""
    said = Counter(value for panel in panels if (value := panel.first("noise")[0]) is not None)
    if said:
        noise, because = said.most_common(1)[0][0], "the program that drew the pictures does it this way"
    elif lora.keys == "diffsynth":
        noise, because = "cuda-float16", "both programs that read DiffSynth's keys draw it on the GPU"
    else:
        noise, because = "cpu-float32", UNSAID
    notes.guess("render.noise", noise, f"{because}; --noise overrides it")
    return str(noise)
