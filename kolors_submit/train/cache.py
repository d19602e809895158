"""Text embeddings and latents, computed once and kept in the run's cache, so that only the UNet is in memory later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from kolors_submit.data.dataset import Picture
from kolors_submit.device import free_main_memory
from kolors_submit.engine import base as bases
from kolors_submit.engine.conditioning import Conditioning, add_time_id, encode_cached
from kolors_submit.engine.memory import THREADS, compute_all, compute_for, on_gpu_or_cpu, release
from kolors_submit.files import digest, write_bytes
from kolors_submit.run import Job
from kolors_submit.story import panel_prompt
from kolors_submit.train.batches import Shape

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder

READERS = 4
"""Threads that read pictures and write latents while a GPU encodes, one picture after the other."""

ENCODE_PIXEL = 2000
"""Bytes of main memory that Kolors' VAE takes for each pixel that it encodes, in float32: 2.07 GB for 1024x1024."""

LatentPaths = dict[tuple[str, bool], Path]
"""Where latents lie, by a picture's digest and whether it is mirrored."""


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

    Where the CPU has computed them because the GPU's memory was not enough, they are read again from then on, by the
    other processes of a training too.
    """
    flips = (False, True) if job.story.train.flip else (False,)
    paths = _latent_paths(job, pictures, flips, "cpu")
    if not all(map(_is_whole, paths.values())):
        paths = on_gpu_or_cpu(job.device, "latents", lambda by: _encoded(job, pictures, flips, by), job.report.note)
    return [tuple(load_file(paths[picture.sha256, flip])["latent"] for flip in flips) for picture in pictures]


def _latent_paths(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], by: str) -> LatentPaths:
    """Where the latents lie that the device `by` computes for the job's device."""
    folder = job.run.cache / "latents"
    return {
        (picture.sha256, flip): folder / f"{_key(job, picture, flip, by)}.safetensors"
        for picture in pictures
        for flip in flips
    }


def _encoded(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], by: str) -> LatentPaths:
    """The latents, of which those that are not there have been computed by the device."""
    paths = _latent_paths(job, pictures, flips, by)
    different = {picture.sha256: picture for picture in pictures}
    missing = [one for sha, one in different.items() if not all(_is_whole(paths[sha, flip]) for flip in flips)]
    if missing:
        _encode(job, missing, flips, paths, by)
        release(by)
    return paths


def _encode(job: Job, pictures: Sequence[Picture], flips: tuple[bool, ...], paths: LatentPaths, by: str) -> None:
    encoder = bases.load_vae_encoder(job.base, by, torch.float32)
    room = threading.Semaphore(1 if by == "cuda" else _room(pictures))

    def encode(picture: Picture, go_on: Callable[[], None]) -> None:
        pixels = _pixels(picture.path)
        for flip in flips:
            one = (pixels.flip(-1) if flip else pixels)[None].contiguous()
            with room:
                go_on()
                latent = _encode_one(encoder, one, by)
            write_bytes(paths[picture.sha256, flip], save({"latent": latent}))
        advance(1)

    with job.report.progress("latents", len(pictures)) as advance:
        compute_all(by, encode, pictures, threads=READERS)


def _room(pictures: Sequence[Picture]) -> int:
    """How many of the largest of these pictures the CPU can encode at once in the main memory that is free."""
    largest = max(picture.width * picture.height for picture in pictures)
    return max(1, int(free_main_memory() // (ENCODE_PIXEL * largest)))


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


def _key(job: Job, picture: Picture, flip: bool, by: str) -> str:
    """What a latent depends on: the prepared pixels (and so the crop), the flip, the VAE and the arithmetic.

    What the CPU computes in a GPU's place is not what a run on the CPU alone has: that is not to change this one.
    """
    vae = {name: sha for name, sha in job.base.digests.items() if name.startswith("vae/")}
    used = [by, THREADS if by == "cpu" else None, *([] if by == job.device else [job.device])]
    return digest({"format": 1, "picture": picture.sha256, "flip": flip, "vae": vae, "compute": used})


def _is_whole(path: Path) -> bool:
    """Whether a latent is cached; False where its file was damaged."""
    try:
        return "latent" in load_file(path)
    except (OSError, SafetensorError):
        return False
