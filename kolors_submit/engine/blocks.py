"""The blocks of Kolors' networks, DiffSynth's own, in the order in which they run, at a config's widths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from diffsynth.models.sd_unet import AttentionBlock, DownSampler, PopBlock, PushBlock, ResnetBlock, UpSampler
from diffsynth.models.sd_vae_decoder import VAEAttentionBlock

Config = Mapping[str, Any]
"""Of a network, as diffusers writes it."""


class Block(NamedTuple):
    """One entry of a network's `blocks`: the module and the name of the same layer in diffusers (None: no weights)."""

    module: torch.nn.Module
    name: str | None


def _levels(config: Config) -> list[dict[str, int]]:
    """Width, number of heads and number of transformer layers of each level, from the finest; no attention: 0."""
    widths = config["block_out_channels"]
    # diffusers calls the number of heads `attention_head_dim` where `num_attention_heads` is absent.
    heads = config.get("num_attention_heads") or config["attention_head_dim"]
    heads = [heads] * len(widths) if isinstance(heads, int) else heads
    layers = config["transformer_layers_per_block"]
    layers = [layers] * len(widths) if isinstance(layers, int) else layers
    kinds = config["down_block_types"]
    return [
        {"width": width, "heads": head, "layers": layer if kind == "CrossAttnDownBlock2D" else 0}
        for width, head, layer, kind in zip(widths, heads, layers, kinds, strict=True)
    ]


def _attention(level: Mapping[str, int], config: Config) -> AttentionBlock:
    width, heads = level["width"], level["heads"]
    return AttentionBlock(heads, width // heads, width, level["layers"], config["cross_attention_dim"])


def unet_blocks(config: Config) -> Iterator[Block]:
    """The UNet's blocks in the order in which `SDXLUNet.forward` runs them."""
    levels = _levels(config)
    per_level = config["layers_per_block"]
    time_width = 4 * levels[0]["width"]
    skips = [levels[0]["width"]]  # widths of what PushBlock has stored, conv_in's output first
    width = skips[0]
    for i, level in enumerate(levels):
        for j in range(per_level):
            yield Block(ResnetBlock(width, level["width"], time_width), f"down_blocks.{i}.resnets.{j}")
            width = level["width"]
            if level["layers"]:
                yield Block(_attention(level, config), f"down_blocks.{i}.attentions.{j}")
            yield Block(PushBlock(), None)
            skips.append(width)
        if i + 1 < len(levels):
            yield Block(DownSampler(width), f"down_blocks.{i}.downsamplers.0")
            yield Block(PushBlock(), None)
            skips.append(width)
    yield Block(ResnetBlock(width, width, time_width), "mid_block.resnets.0")
    yield Block(_attention(levels[-1], config), "mid_block.attentions.0")
    yield Block(ResnetBlock(width, width, time_width), "mid_block.resnets.1")
    for i, level in enumerate(reversed(levels)):
        for j in range(per_level + 1):
            yield Block(PopBlock(), None)
            yield Block(ResnetBlock(width + skips.pop(), level["width"], time_width), f"up_blocks.{i}.resnets.{j}")
            width = level["width"]
            if level["layers"]:
                yield Block(_attention(level, config), f"up_blocks.{i}.attentions.{j}")
        if i + 1 < len(levels):
            yield Block(UpSampler(width), f"up_blocks.{i}.upsamplers.0")


def _vae_mid(width: int, side: str) -> Iterator[Block]:
    yield Block(ResnetBlock(width, width, eps=1e-6), f"{side}.mid_block.resnets.0")
    yield Block(VAEAttentionBlock(1, width, width, 1, eps=1e-6), f"{side}.mid_block.attentions.0")
    yield Block(ResnetBlock(width, width, eps=1e-6), f"{side}.mid_block.resnets.1")


def encoder_blocks(config: Config) -> Iterator[Block]:
    """The VAE encoder's blocks in the order in which `SDVAEEncoder.forward` runs them."""
    widths = config["block_out_channels"]
    width = widths[0]
    for i, level in enumerate(widths):
        for j in range(config["layers_per_block"]):
            yield Block(ResnetBlock(width, level, eps=1e-6), f"encoder.down_blocks.{i}.resnets.{j}")
            width = level
        if i + 1 < len(widths):
            yield Block(DownSampler(width, padding=0, extra_padding=True), f"encoder.down_blocks.{i}.downsamplers.0")
    yield from _vae_mid(width, "encoder")


def decoder_blocks(config: Config) -> Iterator[Block]:
    """The VAE decoder's blocks in the order in which `SDVAEDecoder.forward` runs them."""
    widths = config["block_out_channels"]
    width = widths[-1]
    yield from _vae_mid(width, "decoder")
    for i, level in enumerate(reversed(widths)):
        for j in range(config["layers_per_block"] + 1):
            yield Block(ResnetBlock(width, level, eps=1e-6), f"decoder.up_blocks.{i}.resnets.{j}")
            width = level
        if i + 1 < len(widths):
            yield Block(UpSampler(width), f"decoder.up_blocks.{i}.upsamplers.0")
