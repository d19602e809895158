"""Pictures from a base: Kolors' schedule, DiffSynth's DDIM, classifier-free guidance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffsynth.schedulers import EnhancedDDIMScheduler

from kolors_submit.engine.architecture import build_text_encoder, build_unet, build_vae_decoder, build_vae_encoder
from kolors_submit.engine.conversion import unet_from_diffusers, vae_from_diffusers
from kolors_submit.picturebook.pretrain.loop import half, pieces
from kolors_submit.picturebook.pretrain.settings import SCHEDULER
from kolors_submit.picturebook.pretrain.text import TextEncoder, padded_tokens


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
    """Load a base folder as `export` writes it."""
    from kolors_submit.picturebook.pretrain.text import tokenizer

    def config(part: str) -> dict[str, Any]:
        return json.loads((folder / part / "config.json").read_text())

    unet, text = build_unet(config("unet")), build_text_encoder(config("text_encoder"))
    encoder, decoder = build_vae_encoder(config("vae")), build_vae_decoder(config("vae"))
    unet.load_state_dict(unet_from_diffusers(_weights(folder / "unet"), config("unet")))
    text.load_state_dict(_weights(folder / "text_encoder"))
    encoded, decoded = vae_from_diffusers(_weights(folder / "vae"), config("vae"))
    encoder.load_state_dict(encoded)
    decoder.load_state_dict(decoded)
    base = Base(unet, TextEncoder(text), encoder, decoder, tokenizer(), device)
    for network in (base.unet, base.text_encoder, base.encoder, base.decoder):
        network.float().to(device).eval().requires_grad_(False)
    return base


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    state: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        state |= load_file(path)
    return state


def schedule() -> EnhancedDDIMScheduler:
    """DiffSynth's DDIM on Kolors' noise schedule."""
    return EnhancedDDIMScheduler(beta_end=SCHEDULER["beta_end"], num_train_timesteps=SCHEDULER["num_train_timesteps"])


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
        scheduler, latent = schedule(), start[piece].to(base.device)
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
