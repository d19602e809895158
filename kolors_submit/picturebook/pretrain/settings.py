"""Widths, schedule and seeds: what the trained weights depend on besides the programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]

SEED = 20_261_120
TOKENS = 256  # prompts are padded to this length, as the real pipelines do
WORDS = 128  # tokens of a caption that are kept on disk; the longest captions have about 90

VAE: Config = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [32, 64, 96, 96],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": False,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 256,
    "scaling_factor": 1.0,  # until it is measured: 1 / standard deviation of the trained latents
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

TEXT_ENCODER: Config = {
    "_name_or_path": "picturebook",
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "apply_query_key_layer_scaling": True,
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["ChatGLMModel"],
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "bias_dropout_fusion": True,
    "ffn_hidden_size": 192,
    "fp32_residual_connection": False,
    "hidden_dropout": 0.0,
    "hidden_size": 64,
    "kv_channels": 16,
    "layernorm_epsilon": 1e-5,
    "model_type": "chatglm",
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 4,
    "num_layers": 4,
    "original_rope": True,
    "padded_vocab_size": 65024,
    "post_layer_norm": True,
    "rmsnorm": True,
    "seq_length": 512,
    "torch_dtype": "float32",
    "use_cache": True,
}

UNET: Config = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 32,
    "attention_head_dim": [1, 2, 4],  # diffusers' name for the number of heads
    "block_out_channels": [64, 64, 128],
    "center_input_sample": False,
    "cross_attention_dim": 64,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "downsample_padding": 1,
    "encoder_hid_dim": 64,
    "encoder_hid_dim_type": "text_proj",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 64 + 6 * 32,
    "resnet_time_scale_shift": "default",
    "sample_size": 32,
    "transformer_layers_per_block": [1, 1, 1],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}

# Kolors' noise schedule; the last entries are diffusers' names for DiffSynth's timesteps and step.
SCHEDULER: Config = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.014,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1100,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}

PREDICTOR: Config = {
    "hidden_size": 112,
    "image_size": 224,
    "intermediate_size": 384,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "patch_size": 16,
    "projection_dim": 64,
}


@dataclass(frozen=True)
class Sizes:
    """The networks' configs and the pictures' side in pixels."""

    side: int
    vae: Config
    unet: Config
    text: Config
    predictor: Config


FULL = Sizes(256, VAE, UNET, TEXT_ENCODER, PREDICTOR)

# The same programs in seconds on a CPU, for tests; what they make is of no use.
TOY = Sizes(
    64,
    VAE | {"block_out_channels": [32, 32, 32, 32], "sample_size": 64},
    UNET
    | {
        "attention_head_dim": [1, 1, 1],
        "block_out_channels": [32, 32, 32],
        "cross_attention_dim": 16,
        "encoder_hid_dim": 16,
        "projection_class_embeddings_input_dim": 16 + 6 * 32,
        "sample_size": 8,
    },
    TEXT_ENCODER
    | {"ffn_hidden_size": 32, "hidden_size": 16, "kv_channels": 8, "num_attention_heads": 2, "num_layers": 2},
    PREDICTOR | {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "patch_size": 32},
)
