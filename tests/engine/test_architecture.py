"""Our builders against DiffSynth's fixed-width classes (keys and shapes) and diffusers' (numbers)."""

from __future__ import annotations

import pytest
import torch

from kolors_submit.engine import architecture, conversion
from kolors_submit.export.formats import KOLORS_UNET
from tests.engine.parts import relative_error

TINY_UNET = KOLORS_UNET | {
    "addition_time_embed_dim": 8,
    "attention_head_dim": [1, 2, 4],
    "block_out_channels": [32, 64, 96],
    "cross_attention_dim": 24,
    "encoder_hid_dim": 16,
    "projection_class_embeddings_input_dim": 16 + 6 * 8,
    "transformer_layers_per_block": [1, 1, 2],
}
KOLORS_VAE = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "scaling_factor": 0.13025,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TINY_VAE = KOLORS_VAE | {"block_out_channels": [32, 32, 64, 96], "scaling_factor": 0.7}
TINY_TEXT = {
    "add_qkv_bias": True,
    "ffn_hidden_size": 96,
    "hidden_size": 32,
    "kv_channels": 16,
    "multi_query_attention": True,
    "multi_query_group_num": 1,
    "num_attention_heads": 2,
    "num_layers": 3,
    "original_rope": True,
    "padded_vocab_size": 200,
    "seq_length": 64,
    "torch_dtype": "float32",
    "use_cache": True,
}


def shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def numbered(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A stand-in for the weights in which each one is told from all others by its value."""
    return {name: torch.tensor(i, device="cpu") for i, name in enumerate(module.state_dict())}


def test_kolors_unet_has_diffsynths_keys_and_shapes() -> None:
    from diffsynth.models.sdxl_unet import SDXLUNet

    with torch.device("meta"):
        ours, theirs = architecture.build_unet(KOLORS_UNET), SDXLUNet(is_kolors=True)
    assert shapes(ours) == shapes(theirs)
    assert [type(block) for block in ours.blocks] == [type(block) for block in theirs.blocks]
    assert repr(ours.blocks) == repr(theirs.blocks)  # the same paddings, strides, epsilons too


def test_kolors_vae_has_diffsynths_keys_and_shapes() -> None:
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder

    with torch.device("meta"):
        pairs = [
            (architecture.build_vae_encoder(KOLORS_VAE), SDXLVAEEncoder()),
            (architecture.build_vae_decoder(KOLORS_VAE), SDXLVAEDecoder()),
        ]
    for ours, theirs in pairs:
        assert shapes(ours) == shapes(theirs)
        assert repr(ours).split("\n", 1)[1] == repr(theirs).split("\n", 1)[1]
        assert ours.scaling_factor == theirs.scaling_factor


def test_kolors_conversion_is_diffsynths() -> None:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder

    with torch.device("meta"):
        unet = numbered(architecture.build_unet(KOLORS_UNET))
        encoder = numbered(architecture.build_vae_encoder(KOLORS_VAE))
        decoder = numbered(architecture.build_vae_decoder(KOLORS_VAE))
    in_diffusers = conversion.unet_to_diffusers(unet, KOLORS_UNET)
    converted, _ = SDXLUNet.state_dict_converter().from_diffusers(in_diffusers)
    ours = conversion.unet_from_diffusers(in_diffusers, KOLORS_UNET)
    assert converted == ours == unet
    vae = conversion.vae_to_diffusers(encoder, decoder, KOLORS_VAE)
    assert SDXLVAEEncoder.state_dict_converter().from_diffusers(vae)[0] == encoder
    assert SDXLVAEDecoder.state_dict_converter().from_diffusers(vae)[0] == decoder
    assert conversion.vae_from_diffusers(vae, KOLORS_VAE) == (encoder, decoder)


def test_unet_computes_what_diffusers_computes() -> None:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    ours = architecture.build_unet(TINY_UNET).eval()
    theirs = UNet2DConditionModel.from_config(TINY_UNET).eval()
    theirs.load_state_dict(conversion.unet_to_diffusers(ours.state_dict(), TINY_UNET), strict=True)
    sample, text, pooled = torch.randn(2, 4, 16, 24), torch.randn(2, 10, 16), torch.randn(2, 16)
    size = torch.tensor([[128.0, 192, 0, 0, 128, 192]]).repeat(2, 1)
    timestep = torch.tensor([700.0])
    with torch.no_grad():
        mine = ours(sample, timestep, text, size, pooled)
        conditions = {"text_embeds": pooled, "time_ids": size}
        reference = theirs(sample, timestep, text, added_cond_kwargs=conditions).sample
    assert relative_error(mine, reference) < 1e-4
    back = conversion.unet_from_diffusers(theirs.state_dict(), TINY_UNET)
    assert all(torch.equal(back[key], value) for key, value in ours.state_dict().items())


def test_vae_computes_what_diffusers_computes() -> None:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    encoder = architecture.build_vae_encoder(TINY_VAE).eval()
    decoder = architecture.build_vae_decoder(TINY_VAE).eval()
    theirs = AutoencoderKL.from_config(TINY_VAE).eval()
    state = conversion.vae_to_diffusers(encoder.state_dict(), decoder.state_dict(), TINY_VAE)
    theirs.load_state_dict(state, strict=True)
    picture = torch.rand(2, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        latent = encoder(picture)
        reference = theirs.encode(picture).latent_dist.mean * TINY_VAE["scaling_factor"]
        decoded, redecoded = decoder(latent), theirs.decode(latent / TINY_VAE["scaling_factor"]).sample
    assert latent.shape == (2, 4, 8, 12)
    assert relative_error(latent, reference) < 1e-4
    assert relative_error(decoded, redecoded) < 1e-4
    back = conversion.vae_from_diffusers(theirs.state_dict(), TINY_VAE)
    assert all(torch.equal(back[0][key], value) for key, value in encoder.state_dict().items())
    assert all(torch.equal(back[1][key], value) for key, value in decoder.state_dict().items())


def test_text_encoder_computes_what_diffusers_computes() -> None:
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    torch.manual_seed(0)
    ours = architecture.build_text_encoder(TINY_TEXT).eval()
    assert all(value.isfinite().all() for value in ours.state_dict().values())
    assert not any(key.startswith("output_layer") for key in ours.state_dict())
    theirs = ChatGLMModel(ChatGLMConfig(**TINY_TEXT)).eval()
    missing = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert missing.missing_keys == ["output_layer.weight"] and not missing.unexpected_keys
    tokens = torch.randint(0, 200, (2, 20))
    mask = torch.ones(2, 20, dtype=torch.long)
    mask[0, :7] = 0
    inputs = {"input_ids": tokens, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    with torch.no_grad():
        mine = ours(**inputs, output_hidden_states=True).hidden_states
        reference = theirs(**inputs, output_hidden_states=True).hidden_states
    for one, other in zip(mine, reference, strict=True):
        assert relative_error(one, other) < 1e-5


def test_what_the_blocks_cannot_express_is_refused() -> None:
    with pytest.raises(ValueError, match="norm_num_groups is 16"):
        architecture.build_unet(TINY_UNET | {"norm_num_groups": 16})
    with pytest.raises(ValueError, match="latent_channels is 16"):
        architecture.build_vae_decoder(TINY_VAE | {"latent_channels": 16})
    with pytest.raises(KeyError, match=r"down_blocks\.9"):
        conversion.unet_from_diffusers({"down_blocks.9.resnets.0.norm1.weight": torch.zeros(1)}, TINY_UNET)
