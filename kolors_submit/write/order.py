"""What a story is asked for: the idea or the scenes, the style, how many panels, and what it will be trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kolors_submit.errors import InputError
from kolors_submit.story.model import PANELS, Language

MAX_PANELS = 40
"""More than a model keeps in one head, and than a jury looks at."""

MAX_TEXT = {"the idea": 4_000, "--style": 60, "--team": 100}
MAX_NAME = 200
"""Characters of the call's other texts."""

MAX_OUTLINE_BYTES = 100_000
MAX_SCENE = 1_000


@dataclass(frozen=True)
class Pictures:
    """Where training pictures are, as a story's dataset says it."""

    source: str
    subset: str | None = None
    captions: str | None = None


@dataclass(frozen=True)
class Look:
    """A style: its names, the picture book's nearest to it, and public pictures of it on ModelScope, if any."""

    zh: str
    en: str
    names: tuple[str, ...]
    picturebook: str
    pictures: Pictures | None = None


WATERCOLORS = Pictures("modelscope:iic/style_custom_dataset", "Watercolor", "{prompt}, watercolor style")
"""30 pictures with captions."""

ANIME = Pictures("modelscope:AI-ModelScope/lowres_anime", None, "二次元")
"""The contest's own baseline, one caption for all."""

LOOKS = (
    Look("水彩画风格", "watercolor style", ("水彩", "watercolor", "watercolour"), "watercolor", WATERCOLORS),
    Look("水墨画风格", "Chinese ink painting style", ("水墨", "国画", "ink"), "ink"),
    Look("蜡笔画风格", "crayon drawing style", ("蜡笔", "crayon"), "crayon"),
    Look("剪纸风格", "paper cut style", ("剪纸", "paper cut", "papercut", "paper-cut"), "papercut"),
    Look("二次元", "二次元, anime style", ("二次元", "动漫", "anime"), "watercolor", ANIME),
)


@dataclass(frozen=True)
class Order:
    """One story to be written; `outline` holds a scene a panel, or is empty where the idea alone is given."""

    idea: str
    look: Look
    panels: int
    language: Language
    outline: tuple[str, ...]
    team: str
    pictures: Pictures

    @property
    def style(self) -> str:
        """The words after every prompt."""
        return self.look.zh if self.language == "zh" else self.look.en


def make_order(
    idea: str | None,
    style: str,
    out: Path,
    panels: int | None = None,
    outline: Path | None = None,
    language: Language = "zh",
    dataset: str | None = None,
    team: str = "",
) -> Order:
    """The order of a call; raises InputError for one that cannot be written.

    `dataset` is where the training pictures are; without it ModelScope's where it has the style, else the folder
    `pictures/NAME` that the person fills.
    """
    scenes = _read_outline(outline) if outline is not None else ()
    idea = " ".join((idea or "").split())
    if not idea and not scenes:
        raise InputError("say what the story is about, or list its scenes with --outline FILE")
    count = (len(scenes) or PANELS) if panels is None else panels
    if scenes and count != len(scenes):
        raise InputError(
            f"{outline} has {len(scenes)} scenes (one per line), but --panels says {count}; make them agree"
        )
    if not PANELS <= count <= MAX_PANELS:
        raise InputError(
            f"{count} panels: the contest asks for at least {PANELS}, and at most {MAX_PANELS} are written"
        )
    _refuse_odd_text(idea, style, team, dataset or "", out.name)
    look = find_look(style)
    pictures = Pictures(dataset) if dataset else look.pictures or Pictures(f"pictures/{out.stem}")
    return Order(idea, look, count, language, scenes, team, pictures)


def _refuse_odd_text(idea: str, style: str, team: str, dataset: str, out: str) -> None:
    """Raise InputError for a text of the call that is too long, or that no line of a story file can hold."""
    texts = {"the idea": idea, "--style": style, "--team": team, "--dataset": dataset, "the name in --out": out}
    for name, text in texts.items():
        limit = MAX_TEXT.get(name, MAX_NAME)
        if len(text) > limit or not text.isprintable():
            raise InputError(f"{name} must be plain text of at most {limit:,} characters")


def find_look(style: str) -> Look:
    """The style of a name; one that nobody here knows is taken by its words, and drawn as watercolour for a try-out."""
    wanted = style.strip().lower()
    if not wanted:
        raise InputError("--style names no style; write 水彩, 水墨, watercolor or any other")
    for look in LOOKS:
        if any(_names(name, wanted) for name in look.names):
            return look
    zh = style.strip() if wanted.endswith(("风格", "风")) else f"{style.strip()}风格"
    en = style.strip() if wanted.endswith("style") else f"{style.strip()} style"
    return Look(zh, en, (), "watercolor")


def _names(name: str, wanted: str) -> bool:
    """Whether a style's words name this style; "pink" is no ink."""
    return bool(re.search(rf"\b{name}\b", wanted)) if name.isascii() else name in wanted


def _read_outline(path: Path) -> tuple[str, ...]:
    """The scenes of a file, one a line; raises InputError where it cannot be used."""
    try:
        if path.stat().st_size > MAX_OUTLINE_BYTES:
            raise InputError(
                f"--outline {path}: is too large; write one scene per line, {MAX_OUTLINE_BYTES:,} bytes at most"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"--outline {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--outline {path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    scenes = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    if any(len(scene) > MAX_SCENE or not scene.isprintable() for scene in scenes):
        raise InputError(f"--outline {path}: write one scene per line, plain text of at most {MAX_SCENE:,} characters")
    if not scenes:
        raise InputError(f"--outline {path}: is empty; write one scene per line, {PANELS} at least")
    return scenes
