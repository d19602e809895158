"""Kolors' networks at the widths a base folder's configs name, built from DiffSynth's own blocks.

A base folder holds diffusers' layout; DiffSynth's classes are what trains and renders. So each network has a builder
that takes the diffusers config (`conversion` renames the weights). With Kolors' published configs the results have
exactly the keys, shapes and arithmetic of `SDXLUNet(is_kolors=True)`, `SDXLVAEEncoder` and `SDXLVAEDecoder`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from diffsynth.models.kolors_text_encoder import ChatGLMConfig, ChatGLMModel, RMSNorm
from diffsynth.models.sd_unet import Timesteps
from diffsynth.models.sdxl_unet import SDXLUNet
from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder
from torch.overrides import TorchFunctionMode

from kolors_submit.engine.blocks import Config, decoder_blocks, encoder_blocks, unet_blocks

# DiffSynth's blocks and forwards have these as constants; a config that says otherwise cannot be built from them.
_UNET_NEEDS = {
    "norm_num_groups": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_linear_projection": True,
    "encoder_hid_dim_type": "text_proj",
    "addition_embed_type": "text_time",
    "act_fn": "silu",
}
_VAE_NEEDS = {"norm_num_groups": 32, "latent_channels": 4, "in_channels": 3, "out_channels": 3, "act_fn": "silu"}


class _UNet(SDXLUNet):
    """`SDXLUNet` with the same forward and other widths."""

    def __init__(self, config: Config) -> None:
        torch.nn.Module.__init__(self)
        widths = tuple(config["block_out_channels"])
        time_width = 4 * widths[0]
        self.time_proj = Timesteps(widths[0])
        self.time_embedding = _two_layers(widths[0], time_width)
        self.add_time_proj = Timesteps(config["addition_time_embed_dim"])
        self.add_time_embedding = _two_layers(config["projection_class_embeddings_input_dim"], time_width)
        self.conv_in = torch.nn.Conv2d(4, widths[0], kernel_size=3, padding=1)
        self.text_intermediate_proj = torch.nn.Linear(config["encoder_hid_dim"], config["cross_attention_dim"])
        self.blocks = torch.nn.ModuleList(block.module for block in unet_blocks(config))
        self.conv_norm_out = torch.nn.GroupNorm(num_channels=widths[0], num_groups=32, eps=1e-5)
        self.conv_act = torch.nn.SiLU()
        self.conv_out = torch.nn.Conv2d(widths[0], 4, kernel_size=3, padding=1)
        self.is_kolors = True


class _VAEEncoder(SDXLVAEEncoder):
    """`SDXLVAEEncoder` with the same forward, other widths and the config's scaling factor."""

    def __init__(self, config: Config) -> None:
        torch.nn.Module.__init__(self)
        widths = tuple(config["block_out_channels"])
        self.scaling_factor = config["scaling_factor"]
        self.quant_conv = torch.nn.Conv2d(8, 8, kernel_size=1)
        self.conv_in = torch.nn.Conv2d(3, widths[0], kernel_size=3, padding=1)
        self.blocks = torch.nn.ModuleList(block.module for block in encoder_blocks(config))
        self.conv_norm_out = torch.nn.GroupNorm(num_channels=widths[-1], num_groups=32, eps=1e-6)
        self.conv_act = torch.nn.SiLU()
        self.conv_out = torch.nn.Conv2d(widths[-1], 8, kernel_size=3, padding=1)


class _VAEDecoder(SDXLVAEDecoder):
    """`SDXLVAEDecoder` with the same forward, other widths and the config's scaling factor."""

    def __init__(self, config: Config) -> None:
        torch.nn.Module.__init__(self)
        widths = tuple(config["block_out_channels"])
        self.scaling_factor = config["scaling_factor"]
        self.post_quant_conv = torch.nn.Conv2d(4, 4, kernel_size=1)
        self.conv_in = torch.nn.Conv2d(4, widths[-1], kernel_size=3, padding=1)
        self.blocks = torch.nn.ModuleList(block.module for block in decoder_blocks(config))
        self.conv_norm_out = torch.nn.GroupNorm(num_channels=widths[0], num_groups=32, eps=1e-5)
        self.conv_act = torch.nn.SiLU()
        self.conv_out = torch.nn.Conv2d(widths[0], 3, kernel_size=3, padding=1)


class _NoInitialisation(TorchFunctionMode):
    """Leaves out `torch.nn.init`, which takes most of the time in which a network is built."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Networks built within the block have shapes and no values (torch's meta device)."""
    with torch.device("meta"), _NoInitialisation():
        yield


def build_unet(config: Config) -> SDXLUNet:
    """Build DiffSynth's Kolors UNet at the widths of a diffusers `UNet2DConditionModel` config.

    Raises ValueError for a config that DiffSynth's blocks cannot express.
    """
    _require(config, _UNET_NEEDS, "UNet")
    return _UNet(config)


def build_vae_encoder(config: Config) -> SDXLVAEEncoder:
    """Build DiffSynth's VAE encoder at the widths of an `AutoencoderKL` config; ValueError if it cannot be."""
    _require(config, _VAE_NEEDS, "VAE")
    return _VAEEncoder(config)


def build_vae_decoder(config: Config) -> SDXLVAEDecoder:
    """Build DiffSynth's VAE decoder at the widths of an `AutoencoderKL` config; ValueError if it cannot be."""
    _require(config, _VAE_NEEDS, "VAE")
    return _VAEDecoder(config)


class _ChatGLMConfig(ChatGLMConfig):
    """DiffSynth reads `torch_dtype`, which transformers calls `dtype` now and prints a warning for."""

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The dtype that the layers are made in."""
        dtype: torch.dtype | None = self.dtype
        return dtype


def build_text_encoder(config: Config) -> ChatGLMModel:
    """Build DiffSynth's ChatGLM from its config, without the output layer, which conditioning never uses.

    Normalisation weights start at one (the class leaves them uninitialised); all else has torch's initial values.
    """
    model = ChatGLMModel(_ChatGLMConfig(**config), empty_init=False)
    del model.output_layer
    for module in model.modules():
        if isinstance(module, RMSNorm):
            torch.nn.init.ones_(module.weight)
    return model


def _require(config: Config, needs: Mapping[str, object], network: str) -> None:
    for key, value in needs.items():
        if config.get(key, value) != value:
            raise ValueError(f"{network} config: {key} is {config[key]!r}, and only {value!r} can be built")


def _two_layers(width_in: int, width_out: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(width_in, width_out), torch.nn.SiLU(), torch.nn.Linear(width_out, width_out)
    )
