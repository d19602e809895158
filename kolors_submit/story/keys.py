"""What an unknown key of a story could have meant: its like beside it, or the place where that key belongs."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kolors_submit.story.model import BaseOverrides, Story

MAX_MEANT = 3
"""Places that are named where a key could belong."""

CUTOFF = 0.6
"""How alike a misspelt key and the one that is meant are at least, from 0 to 1."""

ELSEWHERE = {
    "train.rank": ("network_dim", "lora_rank", "dim"),
    "train.alpha": ("network_alpha", "lora_alpha"),
    "train.learning_rate": ("lr", "unet_lr"),
    "train.schedule": ("lr_scheduler",),
    "train.warmup_steps": ("lr_warmup_steps",),
    "train.epochs": ("max_train_epochs", "num_train_epochs"),
    "train.steps_per_epoch, which train.epochs multiplies": ("max_train_steps", "max_steps", "num_steps"),
    "train.batch_size": ("train_batch_size",),
    "train.accumulation": ("gradient_accumulation_steps", "accumulate_grad_batches"),
    "train.precision": ("mixed_precision",),
    "dataset.source": ("train_data_dir", "instance_data_dir", "image_folder", "images", "folder"),
    "dataset.size": ("resolution",),
    "dataset.captions": ("instance_prompt", "trigger_word", "trigger_words"),
    "render.guidance_scale": ("cfg", "cfg_scale", "guidance"),
    "render.steps": ("num_inference_steps", "sampling_steps"),
    "render.lora_strength": ("lora_weight", "lora_scale", "lora_weights"),
    "style.negative": ("negative_prompt",),
}
"""What kohya's scripts, diffusers, DiffSynth and ComfyUI call a story's keys."""


def unknown_key(path: Sequence[str | int]) -> str:
    """What to write instead of a key that there is none of: its like beside it, or where else it belongs."""
    *parents, key = map(str, path)
    if theirs := next((ours for ours, names in ELSEWHERE.items() if key in names), None):
        return f"unknown key; here it is {theirs}"
    # What stands under bases.NAME is called as it is in the story itself.
    base, parents = (parents[:2], parents[2:]) if parents[:1] == ["bases"] and len(parents) > 1 else ([], parents)
    known = [one for one in _paths() if not base or one[0] in BaseOverrides.model_fields]
    parent = tuple("1" if part.isdecimal() else part for part in parents)
    beside = [one[-1] for one in known if one[:-1] == parent]
    longer = [name for name in beside if name.startswith(f"{key}_")]
    elsewhere = [one for one in known if one[-1] == key]
    near = longer or ([] if elsewhere else _nearest(key, beside))
    if not near and not elsewhere:
        likely = _nearest(key, [one[-1] for one in known])
        elsewhere = [one for one in known if one[-1] in likely]
    meant = [*near, *(_place((*base, *one)) for one in elsewhere)][:MAX_MEANT]
    if meant:
        return f"unknown key; did you mean {' or '.join(meant)}?"
    return f"unknown key; there are {', '.join(beside)}" if beside else "unknown key"


def _nearest(key: str, names: Iterable[str]) -> list[str]:
    """The name that a key looks most like, if any does; difflib's answer depends on which of the two comes first."""

    def likeness(name: str) -> float:
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in ((key, name), (name, key)))

    best = max(names, key=likeness, default="")
    return [best] if best and likeness(best) >= CUTOFF else []


def _place(path: Sequence[str]) -> str:
    """A key with where it stands."""
    return ".".join(path) if len(path) > 1 else f"{path[0]} at the top of the story"


@functools.cache
def _paths() -> list[tuple[str, ...]]:
    """Where every key of a story stands, `bases` left out; the first panel's are those of any."""
    schema = Story.model_json_schema(by_alias=True)
    return list(dict.fromkeys(_below(schema, schema["$defs"], ())))


def _below(part: Mapping[str, Any], parts: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all keys below a part of the schema."""
    if "$ref" in part:
        yield from _below(parts[part["$ref"].rsplit("/", 1)[-1]], parts, path)
    for branch in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _below(branch, parts, path)
    if isinstance(part.get("items"), dict):
        yield from _below(part["items"], parts, (*path, "1"))
    for key, value in part.get("properties", {}).items():
        yield (*path, key)
        if key != "bases":
            yield from _below(value, parts, (*path, key))
