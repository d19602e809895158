"""A part of a base (`unet`, `vae`, `text_encoder`): which of its files hold its weights, and how many these are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from kolors_submit.errors import InputError
from kolors_submit.weights.base import Base

MAX_CONFIG_BYTES = 10_000_000

# Files that hold a part's weights, the first that exists is read: as diffusers and transformers name them, then the
# published ChatGLM's pickled shards.
_NAMES = (
    "{stem}.safetensors",
    "{stem}.safetensors.index.json",
    "{stem}.fp16.safetensors",
    "{stem}.safetensors.index.fp16.json",
    "{stem}.fp16.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
_STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def count_parameters(base: Base, part: str) -> int:
    """How many numbers a part's weights are; pickled weights, which are not opened here, count as half precision.

    Raises InputError where a file is not there or was cut.
    """
    return sum(map(_count, weight_files(base.folder / part)))


def _count(path: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix != ".safetensors":
            return path.stat().st_size // 2
        with safe_open(path, framework="numpy") as file:
            return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}); fetch the base again") from error


def weight_files(folder: Path) -> list[Path]:
    """The files to be read of a part's folder.

    Raises InputError where there are none, or an index names one elsewhere.
    """
    stem = _STEMS[folder.name]
    for name in _NAMES:
        path = folder / name.format(stem=stem)
        if not path.exists():
            continue
        if path.suffix != ".json":
            return [path]
        shards = read_config(path).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise InputError(f"{path} lists no weights; fetch the base again")
        names = sorted(set(map(str, shards.values())))
        foreign = [shard for shard in names if Path(shard).name != shard]
        if foreign:
            raise InputError(f"{path} names a file outside its folder: {foreign[0]}")
        return [folder / shard for shard in names]
    raise InputError(f"{folder} has no weights, such as {_NAMES[0].format(stem=stem)}; fetch the base again")


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a base; raises InputError where it holds none."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise InputError(f"{path} is larger than a config can be")
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); fetch the base again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a JSON object; fetch the base again")
    return value
