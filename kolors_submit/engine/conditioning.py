"""What the UNet is told beside the latents: the prompt's embeddings and the picture's sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from kolors_submit.engine import base as bases
from kolors_submit.engine.memory import THREADS, arithmetic, release
from kolors_submit.files import digest, write_bytes

if TYPE_CHECKING:
    from kolors_submit.weights import Base


@dataclass(frozen=True)
class Conditioning:
    """One prompt as the UNet reads it.

    `embedding` is ChatGLM's second-to-last hidden state, [256, C], pads included; `pooled` is the last hidden state's
    last token, [C].
    """

    embedding: torch.Tensor
    pooled: torch.Tensor


def encode(base: Base, prompts: Sequence[str], device: str, dtype: torch.dtype) -> list[Conditioning]:
    """The prompts' conditionings, on the CPU in `dtype`; loads the text encoder and lets it go again.

    Each prompt goes through alone, so that its bytes don't depend on the others.
    """
    prompter = bases.load_prompter(base)
    prompter.fetch_models(bases.load_text_encoder(base, device, dtype))
    done: dict[str, Conditioning] = {}
    with arithmetic(device), torch.no_grad():
        for prompt in dict.fromkeys(prompts):
            pooled, embedding = prompter.encode_prompt([prompt], device=device)
            done[prompt] = Conditioning(embedding[0].cpu().contiguous(), pooled[0].cpu().contiguous())
    del prompter
    release(device)
    return [done[prompt] for prompt in prompts]


def encode_cached(
    base: Base, prompts: Sequence[str], device: str, dtype: torch.dtype, cache: Path
) -> list[Conditioning]:
    """`encode` with a file for each prompt in the folder `cache`; the text encoder is loaded for new prompts only."""
    files = {prompt: cache / f"{_key(base, prompt, device, dtype)}.safetensors" for prompt in prompts}
    known = {prompt: kept for prompt, path in files.items() if (kept := _read(path)) is not None}
    new = [prompt for prompt in files if prompt not in known]
    if new:
        for prompt, conditioning in zip(new, encode(base, new, device, dtype), strict=True):
            write_bytes(files[prompt], save({"embedding": conditioning.embedding, "pooled": conditioning.pooled}))
            known[prompt] = conditioning
    return [known[prompt] for prompt in prompts]


def add_time_id(
    original_height: int, original_width: int, crop_top: int, crop_left: int, height: int, width: int
) -> torch.Tensor:
    """The six sizes of SDXL's micro-conditioning in the order the UNet was trained with, in pixels, float32 [6]."""
    return torch.tensor([original_height, original_width, crop_top, crop_left, height, width], dtype=torch.float32)


def _key(base: Base, prompt: str, device: str, dtype: torch.dtype) -> str:
    """What an embedding depends on: the prompt, the encoder's and the tokenizer's files, and the arithmetic."""
    parts = ("text_encoder/", "tokenizer/")
    files = {name: sha for name, sha in base.digests.items() if name.startswith(parts)}
    arithmetic_used = [device, str(dtype), THREADS if device == "cpu" else None]
    return digest({"format": 1, "prompt": prompt, "files": files, "compute": arithmetic_used})


def _read(path: Path) -> Conditioning | None:
    """A cached conditioning, or None where there is none or its file was damaged."""
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        return Conditioning(tensors["embedding"], tensors["pooled"])
    except (OSError, KeyError, SafetensorError):
        return None
