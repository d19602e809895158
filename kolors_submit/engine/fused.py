"""DiffSynth's blocks for inference, with the same weights and the same arithmetic in fewer and larger kernels.

q, k and v of a self-attention are one product, a text's keys and values are computed beforehand, and a norm with its
SiLU and the bias before it takes one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.models.attention import Attention
from diffsynth.models.sd_unet import AttentionBlock, ResnetBlock
from torch.nn.functional import conv2d, scaled_dot_product_attention, silu

from kolors_submit.engine.norm import norm_silu, plain_norm_silu

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder


def fuse(network: SDXLUNet | SDXLVAEDecoder, *, kernels: bool) -> None:
    """Put the blocks below in the place of DiffSynth's, with the same weights; `kernels`: norms by our own kernels."""
    norm = norm_silu if kernels else plain_norm_silu
    for i, block in enumerate(network.blocks):
        if isinstance(block, AttentionBlock):
            network.blocks[i] = Spatial(block, norm)
        if isinstance(block, ResnetBlock):
            network.blocks[i] = Resnet(block, norm)
    network.conv_norm_out, network.conv_act = NormSilu(network.conv_norm_out, norm), torch.nn.Identity()


class SelfAttention(torch.nn.Module):
    """DiffSynth's self-attention, with q, k and v in one product."""

    def __init__(self, source: Attention) -> None:
        super().__init__()
        self.heads, self.head_dim = source.num_heads, source.head_dim
        projections = (source.to_q, source.to_k, source.to_v)
        with torch.device("meta"):
            self.to_qkv = torch.nn.Linear(source.to_q.in_features, 3 * self.heads * self.head_dim, bias=False)
        weight = torch.cat([projection.weight for projection in projections])
        self.to_qkv.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.to_out = source.to_out

    def forward(self, hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
        """Tokens [n, tokens, width] to the same shape."""
        batch, tokens, _width = hidden_states.shape
        qkv = self.to_qkv(hidden_states).view(batch, tokens, 3, self.heads, self.head_dim)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        attended = scaled_dot_product_attention(q, k, v)
        return self.to_out(attended.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_dim))


class CrossAttention(torch.nn.Module):
    """DiffSynth's cross-attention to a text whose keys and values were computed beforehand."""

    key: torch.Tensor
    value: torch.Tensor

    def __init__(self, source: Attention) -> None:
        super().__init__()
        self.heads, self.head_dim = source.num_heads, source.head_dim
        self.to_q, self.to_k, self.to_v, self.to_out = source.to_q, source.to_k, source.to_v, source.to_out
        self.register_buffer("key", torch.empty(0), persistent=False)
        self.register_buffer("value", torch.empty(0), persistent=False)
        self._places: dict[torch.Size, tuple[torch.Tensor, torch.Tensor]] = {}

    def remember(self, text: torch.Tensor, *, in_place: bool = False) -> None:
        """Compute keys and values of a text [n, 256, width] for the forwards that follow.

        `in_place` puts them where those of every text of this shape were, which is where a captured graph reads them.
        """
        key, value = (
            projection(text).view(len(text), -1, self.heads, self.head_dim).transpose(1, 2)
            for projection in (self.to_k, self.to_v)
        )
        if in_place and text.shape in self._places:
            for place, new in zip(self._places[text.shape], (key, value), strict=True):
                place.copy_(new)
            key, value = self._places[text.shape]
        elif in_place:
            self._places[text.shape] = key, value
        self.key, self.value = key, value

    def forward(self, hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
        """Tokens [n, tokens, width] to the same shape."""
        batch, tokens, _width = hidden_states.shape
        q = self.to_q(hidden_states).view(batch, tokens, self.heads, self.head_dim).transpose(1, 2)
        attended = scaled_dot_product_attention(q, self.key, self.value)
        return self.to_out(attended.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_dim))


class Spatial(torch.nn.Module):
    """DiffSynth's AttentionBlock, whose pictures keep the layout that they come in."""

    def __init__(self, source: AttentionBlock, norm: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.norm, self.proj_in, self.proj_out = source.norm, source.proj_in, source.proj_out
        self.normed = norm
        self.transformer_blocks = source.transformer_blocks
        for block in self.transformer_blocks:
            block.attn1, block.attn2 = SelfAttention(block.attn1), CrossAttention(block.attn2)

    def forward(self, hidden_states: torch.Tensor, time_emb: Any, text_emb: Any, res_stack: Any, **_: Any) -> Any:
        """The interface of DiffSynth's blocks; the text was given to `CrossAttention.remember`."""
        batch, channels, height, width = hidden_states.shape
        normed = self.normed(hidden_states, self.norm, silu=False)
        tokens = self.proj_in(normed.permute(0, 2, 3, 1).reshape(batch, height * width, channels))
        for block in self.transformer_blocks:
            tokens = block(tokens, encoder_hidden_states=None)
        tokens = self.proj_out(tokens)
        picture = tokens.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return hidden_states + picture, time_emb, text_emb, res_stack


class Resnet(torch.nn.Module):
    """DiffSynth's ResnetBlock; the first convolution's bias goes where the time embedding goes, if there is one."""

    def __init__(self, source: ResnetBlock, norm: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.block = source
        self.normed = norm

    def forward(
        self, hidden_states: torch.Tensor, time_emb: torch.Tensor | None, text_emb: Any, res_stack: Any, **_: Any
    ) -> Any:
        """The interface of DiffSynth's blocks."""
        block = self.block
        shift = block.conv1.bias.expand(len(hidden_states), -1)
        if time_emb is not None:
            shift = block.time_emb_proj(silu(time_emb)) + shift
        inside = conv2d(self.normed(hidden_states, block.norm1), block.conv1.weight, padding=1)
        inside = block.conv2(self.normed(inside, block.norm2, shift.contiguous()))
        skipped = hidden_states if block.conv_shortcut is None else block.conv_shortcut(hidden_states)
        return skipped + inside, time_emb, text_emb, res_stack


class NormSilu(torch.nn.Module):
    """A network's last GroupNorm with the SiLU after it."""

    def __init__(self, source: torch.nn.GroupNorm, norm: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.norm, self.normed = source, norm

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] to the same shape."""
        return self.normed(hidden_states, self.norm)
