"""Drawn pictures and their captions' tokens, as arrays on disk that any scene can be redrawn from.

Picture i of a set is drawn from a generator seeded by (seed, set, i), so the arrays depend on nothing else. `mix` has
all styles, plain most often; `plain` has the base's own style only, and is all that UNet and text encoder see.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import held_out, sample_training
from kolors_submit.picturebook.pretrain.settings import SEED, WORDS
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.styles import STYLES

Name = Literal["mix", "plain"]
Task = tuple[Path, Name, int, int, int]  # folder, set, pictures, side, chunk
CAPTIONS = 8  # captions a picture, half Chinese, half English
CHUNK = 64  # pictures one task draws
NOISE_SHARE = 0.15  # captions with random tokens between the words: what an unknown word looks like


@dataclass(frozen=True)
class Pictures:
    """A drawn set: `images` (count, side, side, 3) uint8; `tokens` (count, 8, 128) uint16, right-aligned, 0 before."""

    name: Name
    count: int
    images: np.ndarray
    tokens: np.ndarray | None


def scene_at(name: Name, index: int, seed: int = SEED) -> Scene:
    """The scene of picture `index`; never one of the held-out combinations."""
    return sample_training(Random(f"{seed}:{name}:{index}"))


def style_at(name: Name, index: int) -> str:
    """The style of picture `index`."""
    if name == "plain":
        return "plain"
    rng = Random(f"{SEED}:style:{index}")
    return "plain" if rng.random() < 0.3 else rng.choice(STYLES)


def draw_set(out: Path, name: Name, count: int, side: int, processes: int, stop: Callable[[], bool]) -> bool:
    """Draw what is missing of a set, chunk by chunk, until `stop()` says so; True when the set is complete."""
    folder = out / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    meta = {"count": count, "seed": SEED, "side": side}
    described = folder / "set.json"
    if described.exists() and json.loads(described.read_text()) != meta:
        raise ValueError(f"{folder} holds another set ({described.read_text()}); draw into an empty folder")
    chunks = -(-count // CHUNK)
    done = _array(folder / "done.u8", np.uint8, (chunks,))
    _array(folder / "images.u8", np.uint8, (count, side, side, 3))
    _array(folder / "tokens.u16", np.uint16, (count, CAPTIONS, WORDS))
    described.write_text(json.dumps(meta))
    tasks = [(folder, name, count, side, int(chunk)) for chunk in np.flatnonzero(done[:] == 0)]
    return _work(tasks, done, processes, stop)


def _work(tasks: list[Task], done: np.ndarray, processes: int, stop: Callable[[], bool]) -> bool:
    global _TOKENIZER
    if tasks and tasks[0][1] == "plain":
        _TOKENIZER = _tokenizer()  # forked processes inherit it
    chunks = len(done)
    with get_context("fork").Pool(processes, initializer=os.nice, initargs=(10,)) as pool:
        for number, chunk in enumerate(pool.imap_unordered(_draw_chunk, tasks), 1):
            done[chunk] = 1
            if number % 20 == 0:
                print(f"data: {int(done[:].sum())}/{chunks} chunks of {CHUNK}", flush=True)
            if stop():
                pool.terminate()
                break
    complete = bool(done[:].all())
    print(f"data: {'complete' if complete else 'stopped'} at {int(done[:].sum())}/{chunks} chunks", flush=True)
    return complete


_TOKENIZER: Any = None


def _draw_chunk(task: Task) -> int:
    from kolors_submit.picturebook.paint import draw

    folder, name, count, side, chunk = task
    images = np.memmap(folder / "images.u8", np.uint8, "r+", shape=(count, side, side, 3))
    tokens = np.memmap(folder / "tokens.u16", np.uint16, "r+", shape=(count, CAPTIONS, WORDS))
    for index in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
        scene, style = scene_at(name, index), style_at(name, index)
        if held_out(scene) or (name == "plain" and style != "plain"):
            raise AssertionError(f"picture {index} of {name} must not be trained on")
        images[index] = np.asarray(draw(scene, width=side, height=side, style=style))
        if _TOKENIZER is not None:
            for variant, ids in enumerate(_caption_tokens(scene, name, index)):
                tokens[index, variant, -len(ids) :] = ids
    images.flush()
    tokens.flush()
    return chunk


def _caption_tokens(scene: Scene, name: Name, index: int) -> Iterator[list[int]]:
    for variant in range(CAPTIONS):
        rng = Random(f"{SEED}:{name}:{index}:{variant}")
        ids = list(_TOKENIZER(caption(scene, rng, "zh" if variant % 2 == 0 else "en"))["input_ids"])
        if rng.random() < NOISE_SHARE:
            for _ in range(rng.randint(1, 6)):
                ids.insert(rng.randint(2, len(ids)), rng.randrange(3, 64789))  # after the two special tokens
        yield ids[:2] + ids[2:][: WORDS - 2]


def open_set(out: Path, name: Name) -> Pictures:
    """Open a complete set; ValueError if it is not there or not complete."""
    folder = out / "data" / name
    if not (folder / "set.json").exists():
        raise ValueError(f"{folder} is not there: run `pretrain data --set {name}` first")
    meta = json.loads((folder / "set.json").read_text())
    count, side = meta["count"], meta["side"]
    done = np.memmap(folder / "done.u8", np.uint8, "r")
    if not done.all():
        raise ValueError(f"{folder}: {int(done.sum())} of {len(done)} chunks are drawn: run `pretrain data` again")
    images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(count, side, side, 3))
    tokens = np.memmap(folder / "tokens.u16", np.uint16, "r", shape=(count, CAPTIONS, WORDS))
    return Pictures(name, count, images, tokens if name == "plain" else None)


def _tokenizer() -> Any:
    from kolors_submit.picturebook.pretrain.text import tokenizer

    return tokenizer()


def _array(path: Path, kind: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.memmap(path, kind, "r+" if path.exists() else "w+", shape=shape)
