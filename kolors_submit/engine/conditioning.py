"""What the UNet is told beside the latents: the prompt's embeddings and the picture's sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from kolors_submit.engine import base as bases
from kolors_submit.engine.memory import THREADS, arithmetic, release, stepping_down
from kolors_submit.files import digest, write_bytes
from kolors_submit.story import MAX_TOKENS

if TYPE_CHECKING:
    from diffsynth.models.kolors_text_encoder import ChatGLMModel
    from diffsynth.prompters import KolorsPrompter

    from kolors_submit.weights import Base

LAYER_BY_LAYER = "the text encoder layer by layer"

GROUP = 128
"""Prompts that go through the encoder together: each has 4 MB of Kolors' hidden states on the device, of two layers."""


@dataclass(frozen=True)
class Conditioning:
    """One prompt as the UNet reads it.

    `embedding` is ChatGLM's second-to-last hidden state, [256, C], pads included; `pooled` is the last hidden state's
    last token, [C].
    """

    embedding: torch.Tensor
    pooled: torch.Tensor


def encode(
    base: Base,
    prompts: Sequence[str],
    device: str,
    dtype: torch.dtype,
    stream: bool = False,
    keep: Callable[[str, Conditioning], object] = lambda prompt, conditioning: None,
) -> list[Conditioning]:
    """The prompts' conditionings, on the CPU in `dtype`; loads the text encoder and lets it go again.

    With `stream` the encoder's layers are on the device one at a time, anew for each group of prompts; the numbers are
    the same. `keep` is called with each prompt and its conditioning as soon as its group is done.
    """
    prompter = bases.load_prompter(base)
    different = list(dict.fromkeys(prompts))
    network = None if stream else bases.load_text_encoder(base, device, dtype)
    done: dict[str, Conditioning] = {}
    for first in range(0, len(different), GROUP):
        group = different[first : first + GROUP]
        if network is None:
            encoded = encode_with(*bases.stream_text_encoder(base, device, dtype), prompter, group, device)
        else:
            encoded = encode_with(network, network.encoder.layers, prompter, group, device)
        for prompt, conditioning in zip(group, encoded, strict=True):
            keep(prompt, conditioning)
            done[prompt] = conditioning
    del prompter, network
    release(device)
    return [done[prompt] for prompt in prompts]


@torch.no_grad()
def encode_with(
    network: ChatGLMModel,
    layers: Iterable[torch.nn.Module],
    prompter: KolorsPrompter,
    prompts: Sequence[str],
    device: str,
) -> list[Conditioning]:
    """The prompts' conditionings by an encoder's embeddings and its layers in order, on the CPU.

    This is `ChatGLMModel.forward` with all prompts going through a layer before the next one, each by itself, so that
    its bytes don't depend on the others.
    """
    with arithmetic():
        texts = [_tokens(prompter, network, prompt, device) for prompt in prompts]
        states = [network.embedding(text.ids) for text in texts]
        before = states
        for layer in layers:
            before = states
            states = [
                layer(state, text.mask, text.rotary, use_cache=False)[0]
                for state, text in zip(states, texts, strict=True)
            ]
        return [
            Conditioning(embedding[:, 0].cpu().contiguous(), last[-1, 0].cpu().contiguous())
            for embedding, last in zip(before, states, strict=True)
        ]


@dataclass(frozen=True)
class _Text:
    """A prompt as ChatGLM's layers read it: token numbers, which of them each may see (None: the past), rotations."""

    ids: torch.Tensor
    mask: torch.Tensor | None
    rotary: torch.Tensor


def _tokens(prompter: KolorsPrompter, network: ChatGLMModel, prompt: str, device: str) -> _Text:
    text = prompter.process_prompt([prompt], positive=True)
    tokens = prompter.tokenizer(
        text, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    ).to(device)
    known = tokens["attention_mask"]
    mask = None if known.all() else network.get_masks(tokens["input_ids"], None, padding_mask=known)
    rotary = network.rotary_pos_emb(network.seq_length)[tokens["position_ids"]]
    return _Text(tokens["input_ids"], mask, rotary.transpose(0, 1).contiguous())


def encode_cached(
    base: Base,
    prompts: Sequence[str],
    device: str,
    dtype: torch.dtype,
    cache: Path,
    stream: bool,
    note: Callable[[str], None],
) -> list[Conditioning]:
    """`encode` with a file for each prompt in the folder `cache`, written with its group's; only new ones are encoded.

    Where the GPU's memory is not enough for the whole encoder, it goes on with `stream`, which is noted. Raises
    OutsideError where it is not enough for one layer.
    """
    files = {prompt: cache / f"{_key(base, prompt, device, dtype)}.safetensors" for prompt in prompts}
    known = {prompt: kept for prompt, path in files.items() if (kept := _read(path)) is not None}
    new = [prompt for prompt in files if prompt not in known]
    if new:
        ways = [LAYER_BY_LAYER] if stream else ["the whole text encoder", LAYER_BY_LAYER]

        def keep(prompt: str, conditioning: Conditioning) -> None:
            write_bytes(files[prompt], save({"embedding": conditioning.embedding, "pooled": conditioning.pooled}))
            known[prompt] = conditioning

        def attempt(way: str) -> None:
            left = [prompt for prompt in new if prompt not in known]
            encode(base, left, device, dtype, way == LAYER_BY_LAYER, keep)

        stepping_down(ways, attempt, note)
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
