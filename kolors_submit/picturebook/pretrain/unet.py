"""Trains UNet and text encoder together on plain pictures: epsilon prediction on Kolors' schedule."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from kolors_submit.engine.architecture import build_text_encoder, build_unet
from kolors_submit.engine.schedule import alphas_cumprod
from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample_held_out
from kolors_submit.picturebook.pretrain import settings, vae
from kolors_submit.picturebook.pretrain.dataset import CAPTIONS, open_set, style_at
from kolors_submit.picturebook.pretrain.loop import Run, Training, compile_for, device, generator, half, pieces, write
from kolors_submit.picturebook.pretrain.sampling import Base, decode, latents_for, noise
from kolors_submit.picturebook.pretrain.text import TextEncoder, padded_tokens, tokenizer

UNCONDITIONAL = 0.1  # the share of captions left empty, for guidance
MIN_SNR = 5.0
# Negative prompts mean "nothing in particular" to this base: some of the empty captions hold such words instead.
NEGATIVE = (
    "丑陋，变形，嘈杂，模糊，低对比度",
    "低质量，模糊，扭曲的手",
    "模糊，多余的手指，变形",
    "水印，文字，低分辨率",
    "ugly, deformed, noisy, blurry, low contrast",
    "low quality, blurry, bad anatomy, watermark",
    "worst quality, extra fingers, text",
    "blurry, distorted",
)


class Denoiser(torch.nn.Module):
    """Text encoder and UNet as one network to train."""

    def __init__(self, sizes: settings.Sizes) -> None:
        super().__init__()
        self.unet = build_unet(sizes.unet)
        self.text_encoder = TextEncoder(build_text_encoder(sizes.text))
        torch.nn.init.normal_(self.text_encoder.model.embedding.word_embeddings.weight, std=0.05)
        torch.nn.init.zeros_(self.unet.conv_out.weight)
        torch.nn.init.zeros_(self.unet.conv_out.bias)

    def forward(
        self, noisy: torch.Tensor, timestep: torch.Tensor, ids: torch.Tensor, size: torch.Tensor
    ) -> torch.Tensor:
        """The noise in latents (count, 4, h, w), given token ids (count, 256) and `add_time_id` (count, 6)."""
        context, pooled = self.text_encoder(ids)
        return self.unet(noisy, timestep, context, size, pooled).float()


def train(run: Run) -> bool:
    """Train on plain pictures only; True when all steps are done."""
    where = device()
    torch.manual_seed(run.seed)
    coder = vae.trained(run)
    latents = _latents(run, coder, where)
    captions, nothing = _tokens(run, where)
    network = Denoiser(run.sizes)
    network.unet.to(memory_format=torch.channels_last)
    training = Training("unet", network, run, where)
    forward = compile_for(run, network)
    clean_share = alphas_cumprod().to(where)

    def loss(step: int) -> torch.Tensor:
        source = generator(run.seed, step, where)

        def uniform(shape: tuple[int, ...]) -> torch.Tensor:
            return torch.rand(shape, generator=source, device=where)

        batch = run.batch
        chosen = torch.randint(len(latents), (batch,), generator=source, device=where)
        variant = torch.randint(CAPTIONS, (batch,), generator=source, device=where)
        ids = _padded(captions[chosen, variant])
        empty = nothing[torch.randint(len(nothing), (batch,), generator=source, device=where)]
        ids = torch.where(uniform((batch, 1)) < UNCONDITIONAL, empty, ids)
        timestep = _timesteps(uniform((batch,)), len(clean_share))
        alpha = clean_share[timestep].view(-1, 1, 1, 1)
        clean = latents[chosen].float()
        sample = torch.randn(clean.shape, generator=source, device=where)
        noisy = (alpha.sqrt() * clean + (1 - alpha).sqrt() * sample).contiguous(memory_format=torch.channels_last)
        with half(where):
            predicted = forward(noisy, timestep, ids, _sizes(uniform, batch, run.sizes.side, where))
        ratio = alpha / (1 - alpha)
        weight = ratio.clamp(max=MIN_SNR) / ratio  # min-SNR weighting (Hang et al. 2023) for predicted noise
        return (weight * (predicted - sample).square()).mean()

    finished = training.steps(loss)
    _show(run, training.use_average(), coder, where)
    return finished


def _timesteps(share: torch.Tensor, steps: int) -> torch.Tensor:
    """One timestep from each of as many equal parts of the schedule as `share` has: the same density, less variance."""
    parts = torch.arange(len(share), device=share.device)
    return ((parts + share) * (steps / len(share))).long().clamp(max=steps - 1)


def _sizes(uniform: Any, batch: int, pixels: int, where: torch.device) -> torch.Tensor:
    """`add_time_id` (batch, 6): half of them the pictures' own, the others any size and crop, which change nothing."""
    side = float(pixels)
    plain = torch.tensor([side, side, 0, 0, side, side], device=where).expand(batch, -1)
    original = side + uniform((batch, 2)) * 3 * side
    corner = uniform((batch, 2)) * (original - side)
    target = torch.where(uniform((batch, 1)) < 0.5, torch.full_like(original, side), original)
    other = torch.cat([original, corner, target], dim=1).round()
    return torch.where(uniform((batch, 1)) < 0.5, plain, other)


def _padded(words: torch.Tensor) -> torch.Tensor:
    """Token ids as they lie on disk, padded at the left to what the pipelines use."""
    return torch.nn.functional.pad(words, (settings.TOKENS - words.shape[1], 0)).long()


def _latents(run: Run, coder: vae.VAE, where: torch.device) -> torch.Tensor:
    """Scaled latents of all plain pictures, computed once and kept beside the checkpoint."""
    pictures = open_set(run.out, "plain")
    if any(style_at(pictures.name, i) != "plain" for i in range(pictures.count)):
        raise AssertionError("UNet and text encoder see plain pictures only")
    kept = run.out / "latents.pt"
    if not kept.exists():
        done = []
        for piece in pieces(pictures.count, 2048):
            images = torch.from_numpy(np.ascontiguousarray(pictures.images[piece]))
            done.append(vae.encode(coder, images, where).half())
        write(kept, torch.cat(done).cpu())
    latents = torch.load(kept, map_location=where, weights_only=True)
    print(f"unet: {len(latents)} latents, standard deviation {float(latents.float().std()):.3f}", flush=True)
    return latents


def _tokens(run: Run, where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions' tokens (count, 8, 128) and those of the empty captions (some, 256), on the device."""
    tokens = open_set(run.out, "plain").tokens
    assert tokens is not None
    captions = torch.from_numpy(tokens.astype(np.int32)).to(where)
    return captions, padded_tokens([""] * 2 * len(NEGATIVE) + list(NEGATIVE), tokenizer()).to(where)


def load(run: Run) -> Base:
    """The trained networks with averaged weights, ready to draw; ValueError if they are not there."""
    where = device()
    training = Training("unet", Denoiser(run.sizes), run, where)
    if training.step == 0:
        raise ValueError(f"{training.path} is not there: run `pretrain unet` first")
    network = training.use_average()
    coder = vae.trained(run)
    return Base(network.unet, network.text_encoder, coder.encoder, coder.decoder, tokenizer(), where)


def _show(run: Run, network: Denoiser, coder: vae.VAE, where: torch.device) -> None:
    """Draw twelve held-out prompts into samples.png, to be looked at."""
    base = Base(network.unet, network.text_encoder, coder.encoder, coder.decoder, tokenizer(), where)
    rng = Random(run.seed)
    prompts = [caption(sample_held_out(rng), rng, "zh" if i % 2 else "en", complete=True) for i in range(12)]
    steps = 30 if where.type == "cuda" else 2
    save_sheet(
        run.out / "samples.png", decode(base, latents_for(base, prompts, noise(range(12), run.sizes.side), steps)), 6
    )
    (run.out / "samples.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")


def save_sheet(path: Path, pictures: torch.Tensor, columns: int) -> None:
    """Write pictures (count, 3, h, w) in 0..1 as one sheet."""
    rows = -(-len(pictures) // columns)
    height, width = pictures.shape[2:]
    sheet = Image.new("RGB", (columns * width, rows * height))
    for i, picture in enumerate(pictures):
        pixels = (picture.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        sheet.paste(Image.fromarray(pixels), (i % columns * width, i // columns * height))
    sheet.save(path)
