"""Pictures from a base: Kolors' schedule, DiffSynth's DDIM, classifier-free guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine.schedule import ddim
from kolors_submit.picturebook.pretrain.loop import half, pieces
from kolors_submit.picturebook.pretrain.text import TextEncoder, padded_tokens, tokenizer
from kolors_submit.weights import open_base


@dataclass
class Base:
    """The networks of a base folder on one device, in float32."""

    unet: torch.nn.Module
    text_encoder: TextEncoder
    encoder: torch.nn.Module
    decoder: torch.nn.Module
    tokenizer: Any
    device: torch.device


def load(folder: Path, device: torch.device) -> Base:
    """Load a base folder; InputError where it is none."""
    base, where = open_base(folder), str(device)
    unet = bases.load_unet(base, where, torch.float32)
    text_encoder = TextEncoder(bases.load_text_encoder(base, where, torch.float32))
    encoder = bases.load_vae_encoder(base, where, torch.float32)
    return Base(unet, text_encoder, encoder, bases.load_vae_decoder(base, where, torch.float32), tokenizer(), device)


def noise(seeds: Sequence[int], side: int = 256) -> torch.Tensor:
    """Starting latents (count, 4, side/8, side/8), each from its own seed, drawn on the CPU."""
    shape = (4, side // 8, side // 8)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def latents_for(
    base: Base, prompts: Sequence[str], start: torch.Tensor, steps: int = 30, guidance: float = 4.0, batch: int = 200
) -> torch.Tensor:
    """Denoise `start` (count, 4, h, w) towards the prompts; latents come back on the device."""
    empty = padded_tokens([""], base.tokenizer).to(base.device)
    done = []
    for piece in pieces(len(prompts), batch):
        ids = padded_tokens(prompts[piece], base.tokenizer).to(base.device)
        count = len(ids)
        context, pooled = base.text_encoder(torch.cat([ids, empty.expand(count, -1)]))
        height, width = 8.0 * start.shape[2], 8.0 * start.shape[3]
        size = torch.tensor([[height, width, 0, 0, height, width]], device=base.device).expand(2 * count, -1)
        scheduler, latent = ddim(), start[piece].to(base.device)
        scheduler.set_timesteps(steps)
        for timestep in scheduler.timesteps:
            where = timestep.unsqueeze(0).to(base.device)
            with half(base.device):
                both = base.unet(torch.cat([latent, latent]), where, context, size, pooled).float()
            wanted, unwanted = both.chunk(2)
            latent = scheduler.step(unwanted + guidance * (wanted - unwanted), timestep, latent)
        done.append(latent)
    return torch.cat(done)


@torch.no_grad()
def decode(base: Base, latents: torch.Tensor, batch: int = 50) -> torch.Tensor:
    """Pictures (count, 3, H, W) in 0..1 from latents."""
    done = []
    for piece in pieces(len(latents), batch):
        with half(base.device):
            done.append((base.decoder(latents[piece]).float() / 2 + 0.5).clamp(0, 1))
    return torch.cat(done)
