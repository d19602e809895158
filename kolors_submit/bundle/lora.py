"""The bundle's three LoRA files, read as a stranger's and compared tensor by tensor, without torch.

lora/*.safetensors has kohya's keys (`lora_unet_<module>.lora_down.weight`, `.lora_up.weight`, `.alpha`), lora/*.ckpt
DiffSynth's (`blocks.7.<module>.lora_A.default.weight`, `.lora_B.…`), which count the UNet's blocks where diffusers
names them. lora/*_diffusers.safetensors has diffusers' PEFT keys (`unet.<module>.lora_A.weight`, `.lora_B.…`), which
keep the dots that kohya's lose; there is no alpha in it, so alpha / rank is multiplied into B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from kolors_submit.bundle.ckpt import read_ckpt
from kolors_submit.bundle.tensors import Header, read_header, read_tensors
from kolors_submit.errors import InputError
from kolors_submit.files import write_bytes

MAX_RANK = 1024
_READS_CONTEXT = ("_attn2_to_k", "_attn2_to_v")
_KOHYA = re.compile(r"(lora_unet_[a-z0-9_]{1,200})\.(lora_down\.weight|lora_up\.weight|alpha)")
_DIFFSYNTH = re.compile(r"([A-Za-z0-9_.]{1,200})\.lora_([AB])\.default\.weight")
_IN_BLOCK = re.compile(r"blocks\.(\d{1,2})\.(.+)")
# The modules outside the blocks: DiffSynth's name -> diffusers' name.
_OUTSIDE = {
    "conv_in": "conv_in",
    "conv_out": "conv_out",
    "time_embedding.0": "time_embedding.linear_1",
    "time_embedding.2": "time_embedding.linear_2",
    "add_time_embedding.0": "add_embedding.linear_1",
    "add_time_embedding.2": "add_embedding.linear_2",
    "text_intermediate_proj": "encoder_hid_proj",
}
# How the modules inside one block are called: DiffSynth's name -> diffusers' name.
_INSIDE = (
    (r"(^|\.)act_fn\.proj$", r"\1ff.net.0.proj"),
    (r"(^|\.)ff$", r"\1ff.net.2"),
    (r"(^|\.)to_out$", r"\1to_out.0"),
)


@dataclass(frozen=True)
class LoraSummary:
    """What a card or a check says about a LoRA.

    Number of modules, smallest and largest rank, every alpha, the width that cross-attention reads (None where the
    LoRA does not touch it), bytes of the file.
    """

    modules: int
    rank: int
    max_rank: int
    alphas: frozenset[float]
    context: int | None
    bytes: int


@cache
def block_names() -> dict[int, str]:
    """Position in DiffSynth's list of Kolors' UNet blocks -> diffusers' name; push and pop blocks have none."""
    names = list(_down_blocks())
    names += ["mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1"]
    names += _up_blocks()
    return {position: name for position, name in enumerate(names) if name is not None}


def _down_blocks() -> Iterator[str | None]:
    for level in range(3):
        for layer in range(2):
            yield f"down_blocks.{level}.resnets.{layer}"
            if level > 0:
                yield f"down_blocks.{level}.attentions.{layer}"
            yield None  # push
        if level < 2:
            yield f"down_blocks.{level}.downsamplers.0"
            yield None


def _up_blocks() -> Iterator[str | None]:
    for level in range(3):
        for layer in range(3):
            yield None  # pop
            yield f"up_blocks.{level}.resnets.{layer}"
            if level < 2:
                yield f"up_blocks.{level}.attentions.{layer}"
        if level < 2:
            yield f"up_blocks.{level}.upsamplers.0"


def kohya_key(key: str) -> str | None:
    """The kohya key of a DiffSynth key, or None for a key that is not one of a Kolors LoRA."""
    found = _module_and_half(key)
    if found is None:
        return None
    module, half = found
    return f"lora_unet_{module.replace('.', '_')}.{'lora_down' if half == 'A' else 'lora_up'}.weight"


def diffusers_key(key: str) -> str | None:
    """The diffusers key of a DiffSynth key, or None for a key that is not one of a Kolors LoRA."""
    found = _module_and_half(key)
    return None if found is None else f"unet.{found[0]}.lora_{found[1]}.weight"


def _module_and_half(key: str) -> tuple[str, str] | None:
    """Diffusers' name of the module of a DiffSynth key, and A or B."""
    match = _DIFFSYNTH.fullmatch(key)
    name = _diffusers_name(match.group(1)) if match else None
    return (name, match.group(2)) if match and name else None


def _diffusers_name(module: str) -> str | None:
    inside = _IN_BLOCK.fullmatch(module)
    if inside is None:
        return _OUTSIDE.get(module)
    block = block_names().get(int(inside.group(1)))
    if block is None:
        return None
    name = inside.group(2)
    for pattern, replacement in _INSIDE:
        name = re.sub(pattern, replacement, name)
    return f"{block}.{name}"


def summarise(path: Path) -> LoraSummary:
    """Check a LoRA's safetensors file and say what it is.

    Raises InputError where keys, shapes or ranks are not those of a kohya LoRA, or a value is not finite.
    """
    header = read_header(path)
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, info in header.tensors.items():
        match = _KOHYA.fullmatch(key)
        if match is None:
            raise InputError(f"{path}: {key[:200]!r} is not a kohya key of a UNet's LoRA")
        modules.setdefault(match.group(1), {})[match.group(2)] = info.shape
    if not modules:
        raise InputError(f"{path} holds no tensor: this LoRA changes nothing")
    ranks = [_rank(path, module, parts) for module, parts in modules.items()]
    alphas = frozenset(_alphas(path, header))
    contexts = {parts["lora_down.weight"][1] for name, parts in modules.items() if name.endswith(_READS_CONTEXT)}
    context = max(contexts) if contexts else None
    return LoraSummary(len(modules), min(ranks), max(ranks), alphas, context, path.stat().st_size)


def _rank(path: Path, module: str, parts: dict[str, tuple[int, ...]]) -> int:
    """The rank of one module, its three tensors fitting together."""
    if set(parts) != {"lora_down.weight", "lora_up.weight", "alpha"}:
        raise InputError(f"{path}: {module} has {', '.join(sorted(parts))}; it needs lora_down, lora_up and alpha")
    down, up, alpha = parts["lora_down.weight"], parts["lora_up.weight"], parts["alpha"]
    fits = len(down) in (2, 4) and len(up) == len(down) and up[1] == down[0] and alpha in ((), (1,))
    if not fits or not 1 <= down[0] <= MAX_RANK:
        raise InputError(
            f"{path}: {module} has shapes {down}, {up} and {alpha}; a LoRA of rank 1 to {MAX_RANK} does not have these"
        )
    return down[0]


def _alphas(path: Path, header: Header) -> Iterator[float]:
    """Every alpha; on the way, that every number in the file is finite."""
    for name, values in read_tensors(path, header):
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name} has a value that is not a finite number")
        if name.endswith(".alpha"):
            yield float(values.reshape(-1)[0])


def differences(safetensors: Path, ckpt: Path) -> list[str]:
    """What differs between the LoRA's two files, in a sentence each; raises InputError where one cannot be read."""
    header = read_header(safetensors)
    ours = {key: info for key, info in header.tensors.items() if not key.endswith(".alpha")}
    theirs = dict(read_tensors(safetensors, header))
    found, seen = [], set()
    for key, values in read_ckpt(ckpt):
        name = kohya_key(key)
        if name is None or name in seen:
            found.append(f"{ckpt.name}: {key[:200]!r} is not a key of a Kolors LoRA in DiffSynth's names")
        elif name not in ours:
            found.append(f"{ckpt.name} has {key}, {safetensors.name} has no {name}")
        elif values.shape != theirs[name].shape or not np.array_equal(values, theirs[name]):
            found.append(f"{key} in {ckpt.name} differs from {name} in {safetensors.name}")
        seen.add(name)
    return found + [f"{ckpt.name} lacks the counterpart of {name}" for name in sorted(ours.keys() - seen)]


def write_diffusers(safetensors: Path, ckpt: Path, target: Path) -> Path:
    """Write the LoRA in diffusers' keys, float32; equal LoRAs give equal bytes. The two files must be alike."""
    return write_bytes(target, save(dict(_in_diffusers_keys(safetensors, ckpt))))


def diffusers_differences(safetensors: Path, ckpt: Path, diffusers: Path) -> list[str]:
    """What differs between the LoRA and its file in diffusers' keys; raises InputError where one cannot be read."""
    header = read_header(diffusers)
    theirs = dict(read_tensors(diffusers, header))
    found = []
    for key, values in _in_diffusers_keys(safetensors, ckpt):
        other = theirs.pop(key, None)
        if other is None:
            found.append(f"{diffusers.name} lacks {key}")
        elif values.shape != other.shape or not np.allclose(values, other, rtol=1e-4, atol=1e-7):
            found.append(f"{key} in {diffusers.name} is not the LoRA of {safetensors.name} with its alpha")
    return found + [f"{diffusers.name} has {key[:200]}, {safetensors.name} has not" for key in sorted(theirs)]


def _in_diffusers_keys(safetensors: Path, ckpt: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The LoRA's tensors under diffusers' keys, whose dots only the .ckpt's keys still have."""
    values = dict(read_tensors(safetensors, read_header(safetensors)))
    for key, half in read_ckpt(ckpt):
        kohya, name = kohya_key(key), diffusers_key(key)
        if kohya is None or name is None or kohya not in values:
            raise InputError(f"{ckpt}: {key[:200]!r} has no counterpart in {safetensors.name}")
        half = half.astype(np.float32)
        if name.endswith(".lora_B.weight"):
            alpha = float(values[f"{kohya.removesuffix('.lora_up.weight')}.alpha"].reshape(-1)[0])
            half = half * np.float32(alpha / half.shape[1])
        yield name, half
