"""A UNet's forward on a GPU with the same arithmetic in fewer and larger kernels.

q, k and v of a self-attention are one product, the text's keys and values are computed once for all steps, weights lie
channels last, the repeated blocks are compiled one by one, and where launching kernels takes longer than running them
the whole forward is one CUDA graph. It is for inference: the LoRA is merged before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.models.attention import Attention
from diffsynth.models.sd_unet import AttentionBlock, BasicTransformerBlock, ResnetBlock
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from kolors_submit.engine.eightbit import hold_in_8_bits

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder

    from kolors_submit.engine.plan import RenderPlan

WARM_UP = 2
"""Forwards before a graph is captured: libraries choose their kernels and allocate in the first."""
SHAPES = 64
"""Kinds of blocks that may be compiled before torch gives up; a UNet has some twenty."""

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


class TokenNorm(torch.nn.Module):
    """A GroupNorm whose result is written as tokens: compiled as one, nothing is copied between them."""

    def __init__(self, source: torch.nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.groups, self.eps = source.weight, source.bias, source.num_groups, source.eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """[n, channels, h, w] to [n, h * w, channels]."""
        normed = torch.nn.functional.group_norm(hidden_states, self.groups, self.weight, self.bias, self.eps)
        return normed.permute(0, 2, 3, 1).flatten(1, 2).contiguous()


class Spatial(torch.nn.Module):
    """DiffSynth's AttentionBlock, whose output keeps its channels last instead of being copied."""

    def __init__(self, source: AttentionBlock) -> None:
        super().__init__()
        self.norm, self.proj_in, self.proj_out = TokenNorm(source.norm), source.proj_in, source.proj_out
        self.transformer_blocks = source.transformer_blocks
        for block in self.transformer_blocks:
            block.attn1, block.attn2 = SelfAttention(block.attn1), CrossAttention(block.attn2)

    def forward(self, hidden_states: torch.Tensor, time_emb: Any, text_emb: Any, res_stack: Any, **_: Any) -> Any:
        """The interface of DiffSynth's blocks; the text was given to `CrossAttention.remember`."""
        batch, channels, height, width = hidden_states.shape
        tokens = self.proj_in(self.norm(hidden_states))
        for block in self.transformer_blocks:
            tokens = block(tokens, encoder_hidden_states=None)
        tokens = self.proj_out(tokens)
        picture = tokens.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return picture + hidden_states, time_emb, text_emb, res_stack


class Bare(torch.nn.Module):
    """A ResnetBlock that is given only what it reads, so that what is compiled for it serves all its places."""

    def __init__(self, source: ResnetBlock) -> None:
        super().__init__()
        self.block = source

    def forward(self, hidden_states: torch.Tensor, time_emb: Any, text_emb: Any, res_stack: Any, **_: Any) -> Any:
        """The interface of DiffSynth's blocks."""
        return self.block(hidden_states, time_emb, None, None)[0], time_emb, text_emb, res_stack


class Accelerated:
    """A UNet to be called as DiffSynth's own; the text's keys and values are computed when it changes."""

    def __init__(self, unet: SDXLUNet, plan: RenderPlan) -> None:
        """Rebuild `unet` in place, which must not be used afterwards."""
        for i, block in enumerate(unet.blocks):
            if isinstance(block, AttentionBlock):
                unet.blocks[i] = Spatial(block)
            if isinstance(block, ResnetBlock):
                unet.blocks[i] = Bare(block)
        if plan.compute.eight_bit:
            hold_in_8_bits(unet.blocks, plan.compute.eight_bit)
        self.unet = unet.to(memory_format=torch.channels_last)
        self.crosses = [module for module in unet.modules() if isinstance(module, CrossAttention)]
        if plan.compile_blocks:
            _compile(unet)
        self._graphs: dict[torch.Size, _Graph] = {}
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
        inputs = (sample.contiguous(memory_format=torch.channels_last), timestep, text, sizes, pooled)
        shape = sample.shape
        with fast_attention():
            if text is not self._text:
                self._remember(text)
            if shape in self._built:
                return self._graphs[shape](inputs) if self._graphed else self.unet(*inputs)
            with _building:
                if self._graphed:
                    self._graphs[shape] = _Graph(self.unet, inputs)
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
    """The decoder, rebuilt in place where compiling is worth it; its dtype stays."""
    if plan.compile_blocks:
        for i, block in enumerate(decoder.blocks):
            if isinstance(block, ResnetBlock):
                decoder.blocks[i] = Bare(block)
        decoder.to(memory_format=torch.channels_last)
        _compile(decoder)
    return decoder


class _Graph:
    """A captured forward at one shape."""

    def __init__(self, unet: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.inputs = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                unet(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # Other devices' threads go on allocating meanwhile.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.output = unet(*self.inputs)

    def __call__(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.graph.replay()
        return self.output


@contextlib.contextmanager
def fast_attention() -> Iterator[None]:
    """Within the block, attention is cuDNN's where that can be, else the fastest that can."""
    backends = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(backends, set_priority=True):
        yield


def _compile(network: torch.nn.Module) -> None:
    """Compile what is repeated: the same kind at the same widths is compiled once for all its places."""
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    for module in network.modules():
        if isinstance(module, BasicTransformerBlock | ResnetBlock | TokenNorm):
            module.compile(dynamic=False)
