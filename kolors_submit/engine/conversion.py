"""The weights of Kolors' networks under DiffSynth's keys and under diffusers', one renamed into the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch

from kolors_submit.engine.architecture import on_meta
from kolors_submit.engine.blocks import Block, Config, decoder_blocks, encoder_blocks, unet_blocks

State = dict[str, torch.Tensor]

# Names inside one layer, as (pattern, replacement); the first that matches is used.
_Rules = tuple[tuple[str, str], ...]
_BLOCK_TO_DIFFUSERS: _Rules = (
    (r"\.act_fn\.proj\.", ".ff.net.0.proj."),
    (r"\.ff\.(?=weight|bias)", ".ff.net.2."),
    (r"\.to_out\.", ".to_out.0."),
)
_BLOCK_FROM_DIFFUSERS: _Rules = (
    (r"\.ff\.net\.0\.proj\.", ".act_fn.proj."),
    (r"\.ff\.net\.2\.", ".ff."),
    (r"\.to_out\.0\.", ".to_out."),
)
_VAE_TO_DIFFUSERS: _Rules = (
    (r"(attentions\.0)\.norm\.", r"\1.group_norm."),
    (r"\.transformer_blocks\.0\.to_out\.", ".to_out.0."),
    (r"\.transformer_blocks\.0\.", "."),
)
_VAE_FROM_DIFFUSERS: _Rules = (
    (r"\.group_norm\.", ".norm."),
    (r"\.to_out\.0\.", ".transformer_blocks.0.to_out."),
    (r"\.(to_[qkv])\.", r".transformer_blocks.0.\1."),
)


def unet_to_diffusers(state: Mapping[str, torch.Tensor], config: Config) -> State:
    """Rename a UNet's weights from DiffSynth's keys to diffusers'; KeyError for a key that has no counterpart."""
    return _rename(state, _unet_layers(config), _BLOCK_TO_DIFFUSERS)


def unet_from_diffusers(state: Mapping[str, torch.Tensor], config: Config) -> State:
    """Rename a UNet's weights from diffusers' keys to DiffSynth's; KeyError for a key that has no counterpart."""
    layers = {theirs: ours for ours, theirs in _unet_layers(config).items()}
    return _rename(state, layers, _BLOCK_FROM_DIFFUSERS)


def vae_to_diffusers(encoder: Mapping[str, torch.Tensor], decoder: Mapping[str, torch.Tensor], config: Config) -> State:
    """Join DiffSynth's encoder and decoder weights under `AutoencoderKL`'s keys."""
    state = _rename(encoder, _encoder_layers(config), _VAE_TO_DIFFUSERS)
    return state | _rename(decoder, _decoder_layers(config), _VAE_TO_DIFFUSERS)


def vae_from_diffusers(state: Mapping[str, torch.Tensor], config: Config) -> tuple[State, State]:
    """Split `AutoencoderKL`'s weights into DiffSynth's encoder and decoder; KeyError for an unknown key."""
    encoder = {key: value for key, value in state.items() if is_encoders(key)}
    decoder = {key: value for key, value in state.items() if key not in encoder}
    to_encoder = {theirs: ours for ours, theirs in _encoder_layers(config).items()}
    to_decoder = {theirs: ours for ours, theirs in _decoder_layers(config).items()}
    return (
        _rename(encoder, to_encoder, _VAE_FROM_DIFFUSERS),
        _rename(decoder, to_decoder, _VAE_FROM_DIFFUSERS),
    )


def is_encoders(key: str) -> bool:
    """Whether a weight under `AutoencoderKL`'s key is the encoder's."""
    return key.startswith(("encoder.", "quant_conv."))


def _layers(blocks: Iterator[Block]) -> dict[str, str]:
    return {f"blocks.{i}": block.name for i, block in enumerate(blocks) if block.name is not None}


def _unet_layers(config: Config) -> dict[str, str]:
    """DiffSynth's layer name -> diffusers' layer name."""
    with on_meta():
        layers = _layers(unet_blocks(config))
    return layers | {
        "conv_in": "conv_in",
        "conv_norm_out": "conv_norm_out",
        "conv_out": "conv_out",
        "text_intermediate_proj": "encoder_hid_proj",
        "time_embedding.0": "time_embedding.linear_1",
        "time_embedding.2": "time_embedding.linear_2",
        "add_time_embedding.0": "add_embedding.linear_1",
        "add_time_embedding.2": "add_embedding.linear_2",
    }


def _encoder_layers(config: Config) -> dict[str, str]:
    with on_meta():
        layers = _layers(encoder_blocks(config))
    ends = {name: f"encoder.{name}" for name in ("conv_in", "conv_norm_out", "conv_out")}
    return layers | ends | {"quant_conv": "quant_conv"}


def _decoder_layers(config: Config) -> dict[str, str]:
    with on_meta():
        layers = _layers(decoder_blocks(config))
    ends = {name: f"decoder.{name}" for name in ("conv_in", "conv_norm_out", "conv_out")}
    return layers | ends | {"post_quant_conv": "post_quant_conv"}


def _rename(state: Mapping[str, torch.Tensor], layers: Mapping[str, str], rules: _Rules) -> State:
    return {_new_name(name, layers, rules): value for name, value in state.items()}


def _new_name(name: str, layers: Mapping[str, str], rules: _Rules) -> str:
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        layer = layers.get(".".join(parts[:length]))
        if layer is not None:
            break
    else:
        raise KeyError(f"{name}: no layer of this config has this weight")
    renamed = ".".join([layer, *parts[length:]])
    for pattern, replacement in rules:
        changed = re.sub(pattern, replacement, renamed)
        if changed != renamed:
            return changed
    return renamed
