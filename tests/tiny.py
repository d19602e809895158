"""A base folder with tiny seeded random networks, written by diffusers' and transformers' own classes.

It has the published Kolors' layout and shape, only narrow, and a tiny aesthetics predictor whose scores lie around 6.5,
so that every stage runs on it in seconds.
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

UNET: dict[str, Any] = {
    "act_fn": "silu",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "attention_head_dim": [1, 2, 3],
    "block_out_channels": [32, 64, 96],
    "cross_attention_dim": 24,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "encoder_hid_dim": 16,
    "encoder_hid_dim_type": "text_proj",
    "in_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 16 + 6 * 8,
    "sample_size": 8,
    "transformer_layers_per_block": [1, 1, 2],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 64,
    "scaling_factor": 0.13025,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT_ENCODER: dict[str, Any] = {
    "add_qkv_bias": True,
    "architectures": ["ChatGLMModel"],
    "ffn_hidden_size": 32,
    "hidden_size": 16,
    "kv_channels": 8,
    "model_type": "chatglm",
    "multi_query_attention": True,
    "multi_query_group_num": 1,
    "num_attention_heads": 2,
    "num_layers": 3,
    "original_rope": True,
    "padded_vocab_size": 65024,
    "seq_length": 512,
    "torch_dtype": "float32",
    "use_cache": True,
}
SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.014,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1100,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
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


def build_tiny_base(folder: Path, seed: int = 0) -> Path:
    """Write the base into `folder` (made if absent) and return it; another seed gives another base."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _unet(folder / "unet")
        _vae(folder / "vae")
        _text_encoder(folder / "text_encoder")
        build_tiny_predictor(folder / "predictor")
    spec = find_spec("diffsynth")
    assert spec is not None and spec.origin is not None
    shutil.copytree(Path(spec.origin).parent / "tokenizer_configs/kolors/tokenizer", folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2))
    (folder / "model_index.json").write_text(json.dumps(MODEL_INDEX, indent=2))
    return folder


def _unet(folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    UNet2DConditionModel.from_config(UNET).save_pretrained(folder)


def _vae(folder: Path) -> None:
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_config(VAE)
    torch.nn.init.normal_(vae.decoder.conv_out.weight, std=0.06)  # pictures with contrast, not flat grey
    vae.save_pretrained(folder)


def _text_encoder(folder: Path) -> None:
    import torch
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel, RMSNorm

    model = ChatGLMModel(ChatGLMConfig(**TEXT_ENCODER), empty_init=False)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=1.0 if "word_embeddings" in name else 0.25)
    for module in model.modules():
        if isinstance(module, RMSNorm):
            torch.nn.init.ones_(module.weight)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(TEXT_ENCODER, indent=2))


def build_tiny_predictor(folder: Path) -> Path:
    """Write an AestheticsPredictorV2Linear with its CLIP processor; torch's random state decides its weights."""
    import torch
    from aesthetics_predictor import AestheticsPredictorV2Linear
    from transformers import CLIPImageProcessor, CLIPProcessor, CLIPTokenizerFast
    from transformers.models.clip.configuration_clip import CLIPVisionConfig

    config = CLIPVisionConfig(
        hidden_size=32,
        image_size=32,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=2,
        patch_size=8,
        projection_dim=16,
    )
    model = AestheticsPredictorV2Linear(config).eval()
    linears = [module for module in model.layers if isinstance(module, torch.nn.Linear)]
    for linear in linears:
        torch.nn.init.normal_(linear.weight, std=1.2 / linear.in_features**0.5)
        torch.nn.init.zeros_(linear.bias)
    with torch.no_grad():
        linears[-1].weight *= 0.5
        linears[-1].bias.fill_(6.5)
    model.save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, CLIPTokenizerFast(**_clip_vocabulary(folder))).save_pretrained(folder)
    return folder


def _clip_vocabulary(folder: Path) -> dict[str, str]:
    """The two vocabulary files of a CLIP tokenizer with a handful of pieces."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return {"vocab_file": str(folder / "vocab.json"), "merges_file": str(folder / "merges.txt")}
