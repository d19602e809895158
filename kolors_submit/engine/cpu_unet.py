"""The UNet on a CPU: a forward for each image, which go to whichever cores are free.

So a lone panel keeps two cores busy, and still has the bytes that it has among others. A forward is replayed from a
recording: the same operations in the same order, and the same bytes, without the Python between them, for which the
cores' threads would wait on each other.
"""

from __future__ import annotations

import warnings
from concurrent.futures import Executor
from functools import partial

import torch

from kolors_submit.engine.conditioning import add_time_id
from kolors_submit.engine.memory import arithmetic
from kolors_submit.engine.sampler import LATENT_CHANNELS, PIXELS_PER_LATENT, UNet
from kolors_submit.story import MAX_TOKENS, Render


@torch.inference_mode()
def recorded(unet: UNet, text_width: int, settings: Render) -> UNet:
    """The network (`torch.jit.trace`) for one image of the settings' size and text of `text_width` channels.

    Its weights stay where they are, and no copy is made.
    """
    height, width = settings.height, settings.width
    latents = torch.zeros(1, LATENT_CHANNELS, height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT)
    text, pooled = torch.zeros(1, MAX_TOKENS, text_width), torch.zeros(1, text_width)
    sizes = add_time_id(height, width, 0, 0, height, width)[None]
    with arithmetic(), warnings.catch_warnings():
        # That Python asks for shapes, which are the same at every step; and that there are successors to `trace`, which
        # need a compiler, or keep Python between the operations.
        warnings.simplefilter("ignore")
        # A module given by itself is first rebuilt, which takes longer than the forward.
        recording = torch.jit.trace(
            lambda *inputs: unet(*inputs), (latents, torch.zeros(1), text, sizes, pooled), check_trace=False
        )

    def replay(*inputs: torch.Tensor) -> torch.Tensor:
        # torch's optimiser takes longer than it saves in a story.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            noise: torch.Tensor = recording(*inputs)
        return noise

    return replay


def on_cores(unet: UNet, forwards: Executor) -> UNet:
    """The network that hands each image of a batch to `forwards`."""

    @torch.inference_mode()
    def one(
        t: torch.Tensor, latents: torch.Tensor, text: torch.Tensor, sizes: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        return unet(latents, t, text, sizes, pooled)

    def each(
        latents: torch.Tensor, t: torch.Tensor, text: torch.Tensor, sizes: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        images = (part.split(1) for part in (latents, text, sizes, pooled))
        return torch.cat(list(forwards.map(partial(one, t), *images)))

    return each
