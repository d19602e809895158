"""LoRA files in the three key formats that other programs read.

    kohya      lora_unet_down_blocks_….lora_down.weight, .lora_up.weight, .alpha    safetensors
    diffusers  unet.down_blocks.….lora_A.weight, .lora_B.weight                     safetensors, alpha multiplied in
    diffsynth  blocks.….lora_A.default.weight, .lora_B.default.weight               pickle, without an alpha

Equal LoRAs give equal bytes. A file may be a stranger's: it is read with closed formats and limits.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from kolors_submit.engine import pickled
from kolors_submit.engine.blocks import Config
from kolors_submit.engine.lora import Lora, LoraModule, check, diffusers_names, layer_shapes
from kolors_submit.errors import InputError
from kolors_submit.files import canonical_json, write_bytes

FORMATS = ("kohya", "diffusers", "diffsynth")

METADATA_KEY = "kolors_submit"
"""The one key of our safetensors' metadata; several would be written in random order."""

MAX_FILE_BYTES = 4 << 30
MAX_HEADER_BYTES = 8 << 20
MAX_METADATA_BYTES = 1 << 20
MAX_TENSORS = 20_000

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_KOHYA = re.compile(r"lora_unet_(?P<layer>\w+)\.(?P<part>lora_down|lora_up|alpha)(?:\.weight)?")
_DIFFUSERS = re.compile(r"unet\.(?P<layer>[\w.]+)\.(?P<part>lora_A|lora_B)\.weight")
_DIFFSYNTH = re.compile(r"(?P<layer>[\w.]+)\.(?P<part>lora_A|lora_B)(?:\.default)?\.weight")
_PARTS = {"lora_down": "down", "lora_A": "down", "lora_up": "up", "lora_B": "up", "alpha": "alpha"}

Tensors = dict[str, torch.Tensor]


def to_kohya(lora: Lora, config: Config) -> Tensors:
    """The LoRA under kohya's keys, with `.alpha`."""
    names = _kohya_names(config)
    tensors: Tensors = {}
    for name, module in lora.modules.items():
        tensors[f"{names[name]}.lora_down.weight"] = module.down.contiguous()
        tensors[f"{names[name]}.lora_up.weight"] = module.up.contiguous()
        tensors[f"{names[name]}.alpha"] = torch.tensor(float(module.alpha))
    return tensors


def to_diffusers(lora: Lora, config: Config) -> Tensors:
    """The LoRA under diffusers' PEFT keys, alpha / rank multiplied into B, because that format has no place for it.

    In float32, since the product need not be a number of the LoRA's own dtype.
    """
    names = diffusers_names(config)
    tensors: Tensors = {}
    for name, module in lora.modules.items():
        tensors[f"unet.{names[name]}.lora_A.weight"] = module.down.float().contiguous()
        tensors[f"unet.{names[name]}.lora_B.weight"] = (module.up.float() * (module.alpha / module.rank)).contiguous()
    return tensors


def to_diffsynth(lora: Lora) -> Tensors:
    """The LoRA under DiffSynth's keys; whoever loads it says alpha / rank (`lora_alpha` in DiffSynth)."""
    tensors: Tensors = {}
    for name, module in sorted(lora.modules.items()):
        tensors[f"{name}.lora_A.default.weight"] = module.down.contiguous().clone()
        tensors[f"{name}.lora_B.default.weight"] = module.up.contiguous().clone()
    return tensors


def write_safetensors(path: Path, tensors: Tensors, metadata: Mapping[str, Any]) -> Path:
    """Write LoRA tensors with metadata (JSON values, sorted, under one key): equal values, equal bytes."""
    return write_bytes(path, save(tensors, metadata={METADATA_KEY: canonical_json(dict(metadata))}))


def write_ckpt(path: Path, lora: Lora) -> Path:
    """Write DiffSynth's keys as a plain dict of tensors, which the contest's notebook and ComfyUI node read."""
    buffer = io.BytesIO()  # torch.save stores the file's name where it is given one
    torch.save(to_diffsynth(lora), buffer)
    return write_bytes(path, buffer.getvalue())


def read(path: Path, config: Config, alpha: float | None = None, keys: str | None = None) -> Lora:
    """Read a LoRA for a UNet config from any of the three formats, and check each layer against the config.

    `alpha` is that of a file that states none; without either it is the rank, so that the scale is one. `keys` names
    the one format (of FORMATS) that the file must be in. Raises InputError for what is no LoRA, one for another base,
    another alpha than the file's, unknown keys, or values that are not finite.
    """
    tensors, metadata = _read_tensors(path)
    diffusers = {theirs: ours for ours, theirs in diffusers_names(config).items()}
    kohya = {theirs.replace(".", "_"): ours for theirs, ours in diffusers.items()}
    diffsynth = {name: name for name in diffusers.values()}
    formats = {"kohya": (_KOHYA, kohya), "diffusers": (_DIFFUSERS, diffusers), "diffsynth": (_DIFFSYNTH, diffsynth)}
    found_keys = next((f for f, (p, _) in formats.items() if any(p.fullmatch(key) for key in tensors)), None)
    if keys is not None and found_keys not in (None, keys):
        raise InputError(f"{path} has {found_keys} keys, not {keys}; leave --from out, or name the other file")
    pattern, names = formats[found_keys or FORMATS[0]]
    parts: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        match = pattern.fullmatch(key)
        name = names.get(match["layer"]) if match else None
        if match is None or name is None:
            raise InputError(f"{path}: {key[:200]} is no LoRA key of this base; was it made for another model?")
        parts.setdefault(name, {})[_PARTS[match["part"]]] = tensor
    if found_keys == "diffusers":
        alpha = _alpha(path, _alpha_of_diffusers(path, metadata), alpha)
    modules = {name: _module(path, name, found, alpha) for name, found in sorted(parts.items())}
    check(modules, layer_shapes(config), str(path))
    return Lora(modules, _ours(metadata))


def _kohya_names(config: Config) -> dict[str, str]:
    """DiffSynth's name -> kohya's, which is diffusers' with underscores."""
    return {ours: "lora_unet_" + theirs.replace(".", "_") for ours, theirs in diffusers_names(config).items()}


def _module(path: Path, name: str, found: Tensors, alpha: float | None) -> LoraModule:
    if "down" not in found or "up" not in found:
        raise InputError(f"{path}: {name} has only one half of its update; the file was cut or edited")
    own = found.get("alpha")
    if own is not None:
        if own.numel() != 1:
            raise InputError(f"{path}: the alpha of {name} is not one number")
        alpha = _alpha(path, float(own), alpha)
    rank = found["down"].shape[0] if found["down"].ndim else 0
    return LoraModule(found["down"], found["up"], float(rank) if alpha is None else alpha)


def _alpha(path: Path, stated: float | None, told: float | None) -> float | None:
    """The alpha that a file states, or else the one that we are told; raises InputError where they differ."""
    if stated is None:
        return told
    if told not in (None, stated):
        raise InputError(f"{path} states alpha {stated:g} itself, not {told:g}; leave --alpha out")
    return stated


def _read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors and metadata of a LoRA file, after checks of its size."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a LoRA file") from error
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path} is {size:,} bytes; a LoRA has at most {MAX_FILE_BYTES:,}")
    tensors, metadata = _unpickled(path) if _is_pickle(start) else _from_safetensors(path, start)
    if len(tensors) > MAX_TENSORS:
        raise InputError(f"{path} has {len(tensors):,} tensors; a LoRA has at most {MAX_TENSORS:,}")
    wrong = [key for key, value in tensors.items() if value.dtype not in _FLOATS or value.layout != torch.strided]
    if wrong:
        raise InputError(f"{path}: {wrong[0][:200]} is no plain tensor of float32, float16 or bfloat16")
    return tensors, metadata


def _is_pickle(start: bytes) -> bool:
    """A zip archive or torch's older format; a safetensors file starts with its header's length.

    As such a length either would be larger than MAX_HEADER_BYTES.
    """
    return start.startswith((b"PK\x03\x04", b"\x80\x02\x8a"))


def _from_safetensors(path: Path, start: bytes) -> tuple[Tensors, dict[str, str]]:
    if len(start) < 8 or int.from_bytes(start, "little") > MAX_HEADER_BYTES:
        raise InputError(f"{path} is no LoRA in safetensors or torch format, or was cut short")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            keys = list(file.keys())
            if len(keys) > MAX_TENSORS or sum(map(len, metadata.values())) > MAX_METADATA_BYTES:
                raise InputError(f"{path} has more tensors or metadata than a LoRA can have")
            return {key: file.get_tensor(key) for key in keys}, metadata
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is no LoRA in safetensors format, or was cut short ({error})") from error


def _unpickled(path: Path) -> tuple[Tensors, dict[str, str]]:
    try:
        return pickled.load_tensors(path), {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no plain dict of tensors, so it is not loaded") from error


def _ours(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What this program wrote into the metadata; a stranger's, which could not be written again, is left alone."""
    text = metadata.get(METADATA_KEY, "{}")
    try:
        value = json.loads(text)
        return value if isinstance(value, dict) and canonical_json(value) == text else {}
    except (ValueError, RecursionError):
        return {}


def _alpha_of_diffusers(path: Path, metadata: Mapping[str, str]) -> float | None:
    """The alpha that newer diffusers store beside PEFT keys; InputError where it is not one number for all layers."""
    try:
        value = json.loads(metadata.get("lora_adapter_metadata", "{}"), parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    for name in ("alpha_pattern", "use_rslora"):
        if value.get(f"unet.{name}"):
            raise InputError(f"{path} is scaled by peft's {name}, which is not read; save it with kohya's keys")
    found = value.get("unet.lora_alpha")
    return found if isinstance(found, float) else None
