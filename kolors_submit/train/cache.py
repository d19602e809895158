"""Text embeddings and latents, computed once and kept in the run's cache, so that only the UNet is in memory later."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from kolors_submit.data.dataset import Picture
from kolors_submit.engine import base as bases
from kolors_submit.engine.conditioning import Conditioning, add_time_id, encode_cached
from kolors_submit.engine.memory import THREADS, compute_all, compute_for, on_gpu_or_cpu, release
from kolors_submit.files import digest, write_bytes
from kolors_submit.run import Job
from kolors_submit.story import panel_prompt
from kolors_submit.train.batches import Shape

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder

    from kolors_submit.weights import Base

READERS = 4
"""Threads that read pictures and write latents while a GPU encodes, one picture after the other."""


@dataclass(frozen=True)
class Example:
    """One picture as the training loop reads it; the second of each pair is for its mirror image."""

    latents: tuple[torch.Tensor, ...]
    """float32 [4, height / 8, width / 8]."""
    time_ids: tuple[torch.Tensor, torch.Tensor]
    """float32 [6]."""
    conditioning: Conditioning

    @property
    def shape(self) -> Shape:
        """Height and width of the latent."""
        return (self.latents[0].shape[1], self.latents[0].shape[2])


def build_examples(job: Job, pictures: Sequence[Picture], stream: bool = False) -> list[Example]:
    """All pictures' latents and embeddings; text encoder and VAE are loaded only for what is not cached, then freed.

    With `stream` the text encoder's layers are on the device one at a time. The panels' prompts are encoded beside the
    captions: so the largest of the networks is loaded once for training and rendering.
    """
    texts = [picture.caption for picture in pictures]
    prompts = [panel_prompt(job.story, panel) for panel in job.story.panels]
    texts += [text for prompt in prompts for text in (prompt.positive, prompt.negative)]
    conditionings = text_conditionings(job, texts, stream)
    latents = _latents(job, pictures)
    return [
        Example(latents[i], (time_id(picture, False), time_id(picture, True)), conditionings[i])
        for i, picture in enumerate(pictures)
    ]


def text_conditionings(job: Job, texts: Sequence[str], stream: bool = False) -> list[Conditioning]:
    """Embeddings as rendering computes them, so that both stages share the cached files."""
    dtype = compute_for(job.device).torch_dtype
    return encode_cached(job.base, texts, job.device, dtype, job.run.cache / "text", stream, job.report.note)


def time_id(picture: Picture, flipped: bool) -> torch.Tensor:
    """SDXL's micro-conditioning of a prepared picture, float32 [6].

    The crop's corner is counted in pixels of the resized picture (Podell et al. 2023, section 2.2); in a mirror image
    the right edge is the left one.
    """
    scale_x = picture.width / (picture.crop_right - picture.crop_left)
    scale_y = picture.height / (picture.crop_bottom - picture.crop_top)
    left = picture.original_width - picture.crop_right if flipped else picture.crop_left
    return add_time_id(
        picture.original_height,
        picture.original_width,
        round(picture.crop_top * scale_y),
        round(left * scale_x),
        picture.height,
        picture.width,
    )


def _latents(job: Job, pictures: Sequence[Picture]) -> list[tuple[torch.Tensor, ...]]:
    """Each picture's latents: as it is, and mirrored where the story says so.

    Where the CPU has computed all of them since the GPU's memory was not enough, they are those.
    """
    flips = (False, True) if job.story.train.flip else (False,)
    by_cpu = _latent_paths(job, pictures, flips, "cpu")
    if all(_is_whole(path) for path in by_cpu.values()):
        paths = by_cpu
    else:
        paths = on_gpu_or_cpu(
            job.device, "latents", lambda device: _encode_missing(job, pictures, flips, device), job.report.note
        )
    return [tuple(load_file(paths[picture.sha256, flip])["latent"] for flip in flips) for picture in pictures]


Paths = dict[tuple[str, bool], Path]
"""By a picture's digest and whether it is mirrored."""


def _latent_paths(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], device: str) -> Paths:
    folder = job.run.cache / "latents"
    return {
        (picture.sha256, flip): folder / f"{_key(job.base, picture, flip, device)}.safetensors"
        for picture in pictures
        for flip in flips
    }


def _encode_missing(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], device: str) -> Paths:
    """Encode on the device what is not there; where all latents are."""
    paths = _latent_paths(job, pictures, flips, device)
    different = {picture.sha256: picture for picture in pictures}
    missing = [one for sha, one in different.items() if not all(_is_whole(paths[sha, flip]) for flip in flips)]
    if missing:
        _encode(job, missing, flips, paths, device)
        release(device)
    return paths


def _encode(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], paths: Paths, device: str) -> None:
    encoder = bases.load_vae_encoder(job.base, device, torch.float32)
    turn = contextlib.nullcontext() if device == "cpu" else threading.Lock()  # a GPU has room for one at a time

    def encode(picture: Picture, go_on: Callable[[], None]) -> None:
        pixels = _pixels(picture.path)
        for flip in flips:
            go_on()
            one = (pixels.flip(-1) if flip else pixels)[None].contiguous()
            with turn:
                latent = _encode_one(encoder, one, device)
            write_bytes(paths[picture.sha256, flip], save({"latent": latent}))
        advance(1)

    with job.report.progress("latents", len(pictures)) as advance:
        compute_all(device, encode, pictures, threads=READERS)


def _encode_one(encoder: SDXLVAEEncoder, pixels: torch.Tensor, device: str) -> torch.Tensor:
    """One picture [1, 3, H, W] to its latent's mean, float32 [4, H / 8, W / 8]; alone, so that none changes another."""
    with torch.no_grad():  # each thread has its own gradient mode
        latent: torch.Tensor = encoder(pixels.to(device))[0]
    return latent.float().cpu().contiguous()


def _pixels(path: Path) -> torch.Tensor:
    """A picture's pixels from -1 to 1, float32 [3, H, W], as DiffSynth's preprocessing has them."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        values = np.array(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(values * (2 / 255) - 1).permute(2, 0, 1)


def _key(base: Base, picture: Picture, flip: bool, device: str) -> str:
    """What a latent depends on: the prepared pixels (and so the crop), the flip, the VAE and the arithmetic."""
    vae = {name: sha for name, sha in base.digests.items() if name.startswith("vae/")}
    used = [device, THREADS if device == "cpu" else None]
    return digest({"format": 1, "picture": picture.sha256, "flip": flip, "vae": vae, "compute": used})


def _is_whole(path: Path) -> bool:
    """Whether a latent is cached; False where its file was damaged."""
    try:
        return "latent" in load_file(path)
    except (OSError, SafetensorError):
        return False
