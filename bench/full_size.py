"""A base folder of Kolors' exact shapes with random weights: the same arithmetic and memory as the published one.

`python bench/full_size.py FOLDER` writes 18 GB in the published layout and dtype. Pictures made on it show nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from kolors_submit.engine import architecture, conversion
from kolors_submit.export.formats import KOLORS_UNET
from kolors_submit.picturebook.pretrain import predictor

UNET: dict[str, Any] = KOLORS_UNET | {"sample_size": 128}
VAE: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT_ENCODER: dict[str, Any] = {
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "architectures": ["ChatGLMModel"],
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "model_type": "chatglm",
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": 28,
    "original_rope": True,
    "padded_vocab_size": 65024,
    "seq_length": 32768,
    "torch_dtype": "float16",
    "use_cache": True,
}
SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.014,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1100,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
MODEL_INDEX: dict[str, Any] = {
    "_class_name": "KolorsPipeline",
    "_diffusers_version": "0.39.0",
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["kolors", "ChatGLMModel"],
    "tokenizer": ["kolors", "ChatGLMTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

CLIP_L = {
    "hidden_size": 1024,
    "image_size": 224,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
    "projection_dim": 768,
}
"""The vision tower of the official predictor, CLIP ViT-L/14."""


def write_base(folder: Path) -> Path:
    """Write the base into `folder`, which is made, part by part; a part that is there is kept."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with architecture.on_meta():
        unet, text = architecture.build_unet(UNET), architecture.build_text_encoder(TEXT_ENCODER)
        encoder, decoder = architecture.build_vae_encoder(VAE), architecture.build_vae_decoder(VAE)
    _part(folder / "unet", UNET, lambda: conversion.unet_to_diffusers(random_weights(unet, device), UNET))
    pair = (encoder, decoder)
    _part(folder / "vae", VAE, lambda: conversion.vae_to_diffusers(*(random_weights(one, device) for one in pair), VAE))
    _part(folder / "text_encoder", TEXT_ENCODER, lambda: random_weights(text, device), "model")
    if not (folder / "tokenizer").exists():
        spec = find_spec("diffsynth")
        assert spec is not None and spec.origin is not None
        shutil.copytree(Path(spec.origin).parent / "tokenizer_configs/kolors/tokenizer", folder / "tokenizer")
    _write(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    _write(folder / "model_index.json", MODEL_INDEX)
    return folder


def write_predictor(folder: Path) -> Path:
    """Write an aesthetics predictor of the official one's size into `folder`, unless it is there."""
    if not folder.exists():
        predictor.save(predictor.build(CLIP_L), folder)
    return folder


def random_weights(network: torch.nn.Module, device: str) -> dict[str, torch.Tensor]:
    """Weights that neither vanish nor overflow: norms are one, the rest is small noise."""
    generator = torch.Generator(device).manual_seed(0)
    noise = (0.02 * torch.randn(2**22, device=device, generator=generator)).half()
    state = {}
    for name, value in network.state_dict().items():
        if value.ndim == 1 and name.endswith("weight"):
            state[name] = torch.ones(value.shape, device=device, dtype=torch.float16)
        else:  # the same numbers again and again: a processor takes long to draw so many
            repeated = noise.repeat(-(-value.numel() // len(noise)))
            state[name] = repeated[: value.numel()].view(value.shape).clone()
    return state


def _part(folder: Path, config: dict[str, Any], state: Any, stem: str = "diffusion_pytorch_model") -> None:
    if (folder / "config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous().cpu() for name, value in state().items()}, folder / f"{stem}.safetensors")
    _write(folder / "config.json", config)


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    write_base(Path(sys.argv[1]))
