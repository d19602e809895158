"""DiffSynth's blocks for inference, with the same weights and the same arithmetic in fewer and larger kernels.

q, k and v of a self-attention are one product, a text's keys and values are computed beforehand, a norm with its SiLU
and the bias before it takes one pass, and so do the two branches of a residual block with their biases; a picture is
enlarged and convolved at once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from diffsynth.models.attention import Attention
from diffsynth.models.sd_unet import AttentionBlock, ResnetBlock, UpSampler
from torch.nn.functional import conv2d, scaled_dot_product_attention, silu

from kolors_submit.engine.eightbit import hold_in_8_bits
from kolors_submit.engine.norm import norm_silu, plain_norm_silu
from kolors_submit.engine.residual import add_branches, plain_add_branches

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder


class Passes(NamedTuple):
    """What goes over a picture without a product."""

    normed: Callable[..., torch.Tensor]
    added: Callable[..., torch.Tensor]


OWN = Passes(norm_silu, add_branches)
PLAIN = Passes(plain_norm_silu, plain_add_branches)


def fuse(network: SDXLUNet | SDXLVAEDecoder, device: str, *, kernels: bool, eight_bit: bool = False) -> None:
    """Put the blocks below in the place of DiffSynth's, with the same weights; `kernels`: passes by our own kernels.

    They go to the device one by one, and with `eight_bit` their linear layers are held in int8: so of a network that
    comes in main memory there is never more than one block on the device in full.
    """
    passes = OWN if kernels else PLAIN
    for i, block in enumerate(network.blocks):
        network.blocks[i] = _fused(block.to(device), passes)
        if eight_bit:
            hold_in_8_bits(network.blocks[i])
    network.conv_norm_out, network.conv_act = NormSilu(network.conv_norm_out, passes), torch.nn.Identity()
    network.to(device)


def _fused(block: torch.nn.Module, passes: Passes) -> torch.nn.Module:
    if isinstance(block, AttentionBlock):
        return Spatial(block, passes)
    if isinstance(block, ResnetBlock):
        return Resnet(block, passes)
    return Enlarged(block) if isinstance(block, UpSampler) else block


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

    def __init__(self, source: AttentionBlock, passes: Passes) -> None:
        super().__init__()
        self.norm, self.proj_in, self.proj_out = source.norm, source.proj_in, source.proj_out
        self.normed = passes.normed
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


def resnet(block: ResnetBlock, hidden: torch.Tensor, shift: torch.Tensor, passes: Passes) -> torch.Tensor:
    """DiffSynth's ResnetBlock on [n, channels, h, w]; `shift` [n, channels] is what comes to the first convolution's
    output: its bias, with the time embedding where there is one.

    cuDNN would add each of the other biases in a pass of its own; they go where the branches are added.
    """
    inside = conv2d(passes.normed(hidden, block.norm1), block.conv1.weight, padding=1)
    inside, bias = conv2d(passes.normed(inside, block.norm2, shift), block.conv2.weight, padding=1), block.conv2.bias
    if block.conv_shortcut is not None:
        hidden, bias = conv2d(hidden, block.conv_shortcut.weight), bias + block.conv_shortcut.bias
    return passes.added(hidden, inside, bias)


class Resnet(torch.nn.Module):
    """DiffSynth's ResnetBlock as `resnet` computes it."""

    def __init__(self, source: ResnetBlock, passes: Passes) -> None:
        super().__init__()
        self.block, self.passes = source, passes

    def forward(
        self, hidden_states: torch.Tensor, time_emb: torch.Tensor | None, text_emb: Any, res_stack: Any, **_: Any
    ) -> Any:
        """The interface of DiffSynth's blocks."""
        shift = self.block.conv1.bias.expand(len(hidden_states), -1)
        if time_emb is not None:
            shift = self.block.time_emb_proj(silu(time_emb)) + shift
        return resnet(self.block, hidden_states, shift.contiguous(), self.passes), time_emb, text_emb, res_stack


class Enlarged(torch.nn.Module):
    """DiffSynth's UpSampler, which doubles every pixel before a convolution of 3x3, without the doubling.

    Under such a kernel lie two by two pixels of the small picture. So each of the four pixels that one becomes is a
    convolution of 2x2 with the sums of the weights that fall together: 16 products a pixel instead of 36.
    """

    def __init__(self, source: UpSampler) -> None:
        super().__init__()
        kernel = source.conv.weight.detach().float()
        # Which of the three rows fall together, for the upper and for the lower of two pixels; columns likewise.
        together = kernel.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        weights = torch.einsum("oiyx,apy,bqx->aboipq", kernel, together, together).to(source.conv.weight.dtype)
        self.weights = torch.nn.ParameterList(
            torch.nn.Parameter(weight.clone(), requires_grad=False) for weight in weights.flatten(0, 1)
        )
        self.bias = source.conv.bias

    def forward(self, hidden_states: torch.Tensor, time_emb: Any, text_emb: Any, res_stack: Any, **_: Any) -> Any:
        """The interface of DiffSynth's blocks."""
        count, channels, height, width = hidden_states.shape
        channels_last = hidden_states.is_contiguous(memory_format=torch.channels_last)
        like: dict[str, Any] = {
            "dtype": hidden_states.dtype,
            "device": hidden_states.device,
            "memory_format": torch.channels_last if channels_last else torch.contiguous_format,
        }
        enlarged = torch.empty(count, channels, 2 * height, 2 * width, **like)
        for weight, (row, column) in zip(self.weights, product((0, 1), repeat=2), strict=True):
            part = conv2d(hidden_states, weight, padding=1)[:, :, row : row + height, column : column + width]
            torch.add(part, self.bias[:, None, None], out=enlarged[:, :, row::2, column::2])
        return enlarged, time_emb, text_emb, res_stack


class NormSilu(torch.nn.Module):
    """A network's last GroupNorm with the SiLU after it."""

    def __init__(self, source: torch.nn.GroupNorm, passes: Passes) -> None:
        super().__init__()
        self.norm, self.normed = source, passes.normed

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] to the same shape."""
        return self.normed(hidden_states, self.norm)
