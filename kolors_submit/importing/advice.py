"""What a person is told who imports something else than an entry, several stages of one LoRA, or half precision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kolors_submit.bundle import layout, manifest
from kolors_submit.errors import InputError

_NUMBER = re.compile(r"[0-9]{1,12}")


def refuse_own(folder: Path, named: str) -> None:
    """Raises InputError for a run folder or a bundle of this program, which needs no import."""
    if (folder / "stages").is_dir():
        raise InputError(f"{named} is a run folder of this program; `kolors-submit check {folder / 'bundle'}` reads it")
    try:
        files = manifest.read(folder / layout.MANIFEST).files
    except manifest.NewerFormat:
        raise
    except InputError:  # no manifest, or another program's
        return
    if layout.PROMPTS in files:
        raise InputError(
            f"{named} is a bundle of this program already; `kolors-submit reproduce {named}` takes it as it is"
        )


def stages_of(loras: Sequence[str]) -> str:
    """A clause for LoRA files whose names differ in numbers alone: they are stages of one training; else nothing."""
    stems = [PurePosixPath(name).name for name in loras]
    if len({_NUMBER.sub("0", stem) for stem in stems}) != 1:
        return ""
    counts = list(zip(*([int(number) for number in _NUMBER.findall(stem)] for stem in stems), strict=True))
    counting = [column for column in counts if len(set(column)) == len(stems)]
    last = {loras[column.index(max(column))] for column in counting}
    if len(last) != 1:
        return "their names count in several ways, so which of them is the last is not clear; "
    return f"by the numbers in their names they are stages of one training, of which {last.pop()} is the last; "


def on_this_device(dtype: str, noise: str, device: str) -> str | None:
    """What to expect of rendering the entry again here, or None; `dtype` is that of the LoRA's numbers."""
    if device != "cuda":
        if noise == "cuda-float16":
            return "render.noise is cuda-float16, so only a machine with a CUDA device can reproduce it"
        return None
    if dtype == "bfloat16":
        return (
            "the LoRA is in bfloat16, in which its program may have rendered; a GPU renders in float16 here, so panels "
            "come out equivalent rather than identical"
        )
    if dtype == "float16" or noise == "cuda-float16":
        return "its program most likely rendered in float16, as a GPU does here: reproduce it with --device cuda"
    return None
