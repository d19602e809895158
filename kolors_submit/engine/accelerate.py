"""A UNet's forward on a GPU with the same arithmetic in fewer and larger kernels.

q, k and v of a self-attention are one product, and the text's keys and values are computed once for all steps. Where
kernels can be compiled, pictures lie channels last, norms take one pass, and the transformer blocks are compiled one by
one. Where launching kernels takes longer than running them the whole forward is one CUDA graph. It is for inference:
the LoRA is merged before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.models.attention import Attention
from diffsynth.models.sd_unet import AttentionBlock, BasicTransformerBlock, ResnetBlock
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d, scaled_dot_product_attention, silu

from kolors_submit.engine.cuda_graph import Graph
from kolors_submit.engine.eightbit import hold_in_8_bits

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder

    from kolors_submit.engine.plan import RenderPlan

SHAPES = 64
"""Kinds of transformer blocks that may be compiled: widths, picture sizes, batches, devices."""

# Two devices' threads must not compile or capture at the same time.
_building = threading.RLock()


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

    def remember(self, text: torch.Tensor) -> None:
        """Compute keys and values of a text [n, 256, width] for the forwards that follow, in place where they fit."""
        for name, projection in (("key", self.to_k), ("value", self.to_v)):
            new = projection(text).view(len(text), -1, self.heads, self.head_dim).transpose(1, 2)
            old = getattr(self, name)
            if old.shape == new.shape and old.device == new.device:
                old.copy_(new)
            else:
                setattr(self, name, new)

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


class Accelerated:
    """A UNet to be called as DiffSynth's own; the text's keys and values are computed when it changes."""

    def __init__(self, unet: SDXLUNet, plan: RenderPlan) -> None:
        """Rebuild `unet` in place, which must not be used afterwards."""
        _rebuild(unet, plan)
        if plan.compute.eight_bit:
            hold_in_8_bits(unet.blocks)
        # torch's own group norm knows channels first only.
        self._layout = torch.channels_last if plan.compile_blocks else torch.contiguous_format
        self.unet = unet.to(memory_format=self._layout)
        self.crosses = [module for module in unet.modules() if isinstance(module, CrossAttention)]
        if plan.compile_blocks:
            _compile(unet)
        self._graphs: dict[torch.Size, Graph] = {}
        self._graphed = plan.cuda_graph
        self._text: torch.Tensor | None = None
        self._built: set[torch.Size] = set()

    def __call__(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
        sizes: torch.Tensor,
        pooled: torch.Tensor,
    ) -> torch.Tensor:
        """The noise in `sample` [n, 4, h, w]; with a graph, in a buffer that the next call writes to."""
        inputs = (sample.contiguous(memory_format=self._layout), timestep, text, sizes, pooled)
        shape = sample.shape
        with fast_attention():
            if text is not self._text:
                self._remember(text)
            if shape in self._built:
                return self._graphs[shape](inputs) if self._graphed else self.unet(*inputs)
            with _building:
                if self._graphed:
                    self._graphs[shape] = Graph(self.unet, inputs)
                    result = self._graphs[shape](inputs)
                else:
                    result = self.unet(*inputs)
            self._built.add(shape)
            return result

    def move(self, device: str) -> None:
        """Put the weights elsewhere, so that something else has room; not with a graph."""
        self.unet.to(device)
        self._text = None

    def _remember(self, text: torch.Tensor) -> None:
        projected = self.unet.text_intermediate_proj(text)
        for cross in self.crosses:
            cross.remember(projected)
        self._text = text


def accelerate_decoder(decoder: SDXLVAEDecoder, plan: RenderPlan) -> SDXLVAEDecoder:
    """The VAE's decoder, rebuilt in place where kernels can be compiled; its dtype stays."""
    if plan.compile_blocks:
        _rebuild(decoder, plan)
        decoder.to(memory_format=torch.channels_last)
    return decoder


@contextlib.contextmanager
def fast_attention() -> Iterator[None]:
    """Within the block, attention is cuDNN's where that can be, else the fastest that can."""
    backends = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(backends, set_priority=True):
        yield


def _rebuild(network: SDXLUNet | SDXLVAEDecoder, plan: RenderPlan) -> None:
    """Put our blocks in the place of DiffSynth's, with the same weights."""
    norm = _fused_norm() if plan.compile_blocks else plain_norm_silu
    for i, block in enumerate(network.blocks):
        if isinstance(block, AttentionBlock):
            network.blocks[i] = Spatial(block, norm)
        if isinstance(block, ResnetBlock):
            network.blocks[i] = Resnet(block, norm)
    network.conv_norm_out, network.conv_act = NormSilu(network.conv_norm_out, norm), torch.nn.Identity()


def plain_norm_silu(
    pictures: torch.Tensor, norm: torch.nn.GroupNorm, shift: torch.Tensor | None = None, *, silu: bool = True
) -> torch.Tensor:
    """`norm.norm_silu` in torch's own kernels, for a machine without a compiler."""
    normed = norm(pictures if shift is None else pictures + shift[:, :, None, None])
    return torch.nn.functional.silu(normed) if silu else normed


def _fused_norm() -> Callable[..., torch.Tensor]:
    from kolors_submit.engine.norm import norm_silu

    return norm_silu


def _compile(unet: torch.nn.Module) -> None:
    """Compile the transformer blocks: those of one width are compiled once for all their places."""
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    for module in unet.modules():
        if isinstance(module, BasicTransformerBlock):
            module.compile(dynamic=False)
