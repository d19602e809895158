"""The picture book as a training set: captioned pictures of one style, the same every time.

Only scenes that training may see are drawn; the held-out combinations stay unseen here too.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from random import Random
from typing import TYPE_CHECKING

from kolors_submit.children import end_with_parent, without_signals
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.interrupt import held

if TYPE_CHECKING:
    from PIL import Image

    from kolors_submit.picturebook.lexicon import Language
    from kolors_submit.picturebook.scenes import Scene

FORMAT = 1
"""Raised when the drawing code, the styles or the captions below change what comes out."""

COUNT = 30
_SEED = 20_240_718

STYLE_WORDS = {
    "plain": ("绘本插画风格", "picture book illustration style"),
    "watercolor": ("水彩画风格", "watercolor style"),
    "ink": ("水墨画风格", "Chinese ink painting style"),
    "crayon": ("蜡笔画风格", "crayon drawing style"),
    "papercut": ("剪纸风格", "paper cut style"),
}
"""What a style is called at a caption's end, in Chinese and English."""


def sample_set(
    style: str, count: int = COUNT, size: int = 1024, language: Language = "zh"
) -> Iterator[tuple[str, Image.Image, str]]:
    """Name, RGB picture of `size` x `size` pixels and caption of `count` scenes; each caption ends with the style.

    The first pictures of a larger set are those of a smaller one. Raises InputError for an unknown style.
    """
    find_style(style)
    from kolors_submit.picturebook.grammar import sample_training

    rng = Random(_SEED)
    scenes = [sample_training(rng) for _ in range(count)]
    words = Random(_SEED)
    captions = [_caption(scene, words, style, language) for scene in scenes]
    digits = max(2, len(str(count)))
    names = [f"{style}-{number:0{digits}d}.png" for number in range(1, count + 1)]
    yield from zip(names, _draw_all(scenes, size, style), captions, strict=True)


def find_style(style: str) -> tuple[str, str]:
    """What a style is called in Chinese and English; raises InputError for one that there is none of."""
    if style not in STYLE_WORDS:
        raise InputError(f"picturebook:{style} is no style of the picture book; choose one of {', '.join(STYLE_WORDS)}")
    return STYLE_WORDS[style]


def _caption(scene: Scene, rng: Random, style: str, language: Language) -> str:
    """A complete caption with the style's name at its end, and no other style's before it."""
    from kolors_submit.picturebook.captions import caption
    from kolors_submit.picturebook.lexicon import EN, ZH

    others = [word for words in (ZH if language == "zh" else EN)["style"].values() for word in words]
    text = caption(scene, rng, language, complete=True)
    while any(other in text.lower() for other in others):
        text = caption(scene, rng, language, complete=True)
    ending = find_style(style)[0 if language == "zh" else 1]
    return f"{text.rstrip('。，. ')}{'，' if language == 'zh' else ', '}{ending}"


def _draw_all(scenes: list[Scene], size: int, style: str) -> list[Image.Image]:
    """The pictures in order, drawn by a process for each core: the SVG renderer holds the interpreter's lock."""
    cores = min(len(os.sched_getaffinity(0)), len(scenes))
    jobs = [(scene, size, style) for scene in scenes]
    if cores < 2:
        return [_draw(job) for job in jobs]
    drawn: list[Image.Image] = []
    try:
        # Not forked: this process may have threads, torch's or a progress bar's.
        with held() as hold, ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), end_with_parent) as pool:
            with without_signals():
                drawing = pool.map(_draw, jobs)
            for picture in drawing:
                if hold.requested:
                    pool.shutdown(cancel_futures=True)
                    raise CancelledError
                drawn.append(picture)
    except BrokenProcessPool as error:
        raise OutsideError("a process that draws pictures was ended (out of memory?); run again") from error
    return drawn


def _draw(job: tuple[Scene, int, str]) -> Image.Image:
    """One picture; a function of the module, so that a process can be told to run it."""
    from kolors_submit.picturebook.paint import draw

    scene, size, style = job
    return draw(scene, width=size, height=size, style=style)
