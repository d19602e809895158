"""The VAE's decoder in float16, in which Kolors' own overflows as it is: black pictures.

Whatever the decoder adds up goes through a GroupNorm, which takes a factor out again. So all of it can be a power of
two smaller: the same function but for what float16 rounds, which is no more than the tensor cores' TF32 does in a
float32 network, and with room above its largest values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from diffsynth.models.sd_unet import ResnetBlock, UpSampler
from diffsynth.models.sd_vae_decoder import VAEAttentionBlock

if TYPE_CHECKING:
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder

SHRUNK = 2.0**-6
"""What the decoder adds up, as a share of what it was. float16 ends at 65,504, and Kolors' VAE, which is SDXL's, comes
above it (hence diffusers' `force_upcast`); how far was not measured, so `sampler.decode` looks at every picture.
"""


def to_half(decoder: SDXLVAEDecoder) -> SDXLVAEDecoder:
    """Rebuild a float32 decoder of DiffSynth's blocks in place, so that float16 can hold what it computes."""
    for layer in _layers_that_set_the_size(decoder):
        _replace(layer, "weight")
        _replace(layer, "bias")
    for layer in _layers_that_keep_the_size(decoder):
        _replace(layer, "bias")
    for module in decoder.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps *= SHRUNK**2
    return decoder.half()


def _layers_that_set_the_size(decoder: SDXLVAEDecoder) -> Iterator[torch.nn.Module]:
    """Those whose input is of its usual size, and whose output is added up or normalised."""
    yield decoder.conv_in
    for block in decoder.blocks:
        if isinstance(block, ResnetBlock):
            yield from (block.conv1, block.conv2)
        elif isinstance(block, VAEAttentionBlock):
            yield from (attention.to_out for attention in block.transformer_blocks)


def _layers_that_keep_the_size(decoder: SDXLVAEDecoder) -> Iterator[torch.nn.Module]:
    """Those whose input is shrunk already."""
    for block in decoder.blocks:
        if isinstance(block, UpSampler):
            yield block.conv
        elif isinstance(block, ResnetBlock) and block.conv_shortcut is not None:
            yield block.conv_shortcut


def _replace(layer: torch.nn.Module, name: str) -> None:
    """Shrink a parameter, as a new one: other networks may share its memory."""
    value = getattr(layer, name)
    setattr(layer, name, torch.nn.Parameter(value.detach() * SHRUNK, requires_grad=False))
