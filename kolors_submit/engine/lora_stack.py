"""The transformer blocks of one AttentionBlock with a LoRA merged in, in few and large products.

A LoRA'd layer as peft computes it is three products, two of them as thin as the rank, and six more on the way back:
on a fast card they cost more than the layer. Here W + s·B·A is formed once a step, so that forward and backward are
those of a network without a LoRA; q, k and v are one product; and what A and B need, each product's input and its
output's gradient, is put aside, and comes to their gradients in four batched products for all blocks of the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from diffsynth.models.sd_unet import AttentionBlock
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from kolors_submit.engine.merge import merge

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out")
"""The layers of an attention that have a LoRA; in DiffSynth's blocks only the last of them has a bias."""
GROUPS = (
    ("attn1", ("to_q", "to_k", "to_v")),
    ("attn1", ("to_out",)),
    ("attn2", ("to_q",)),
    ("attn2", ("to_out",)),
    ("attn2", ("to_k", "to_v")),
)
"""Layers with the same input, which are one product; the last one's input is the text."""
ROWS = 2048
"""Inputs summed in one product for a LoRA's gradient; more are shared out, or most of the card would wait."""
INT8_MAX = 127


class Held(NamedTuple):
    """Weights [..., out, in] as they are kept: in the network's dtype, or as int8 with a scale for each output."""

    values: torch.Tensor
    scale: torch.Tensor | None

    def full(self) -> torch.Tensor:
        """In the network's dtype."""
        return self.values if self.scale is None else self.values.to(self.scale.dtype) * self.scale

    def halves(self) -> tuple[Held, Held]:
        """The weights of the first and of the second half of the outputs."""
        scales = (None, None) if self.scale is None else self.scale.chunk(2)
        first, second = (Held(*half) for half in zip(self.values.chunk(2), scales, strict=True))
        return first, second


class Frozen(NamedTuple):
    """What one transformer block has beside the LoRA'd layers."""

    norms: tuple[torch.Tensor, ...]
    """Weight and bias of the three."""
    biases: tuple[torch.Tensor, torch.Tensor]
    """Of the two attentions' outputs."""
    widen: tuple[tuple[Held, torch.Tensor], tuple[Held, torch.Tensor]]
    """Weight and bias of the values, then of their gate."""
    narrow: Held
    narrow_bias: torch.Tensor


class Product(torch.autograd.Function):
    """`inputs · weightᵀ`; the output's gradient goes to `probe`, which is what the weight's own is made from."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        """Inputs [..., in], weight [out, in], probe [..., out]."""
        ctx.save_for_backward(weight)
        return linear(inputs, weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """The weight is frozen."""
        (weight,) = ctx.saved_tensors
        return gradient @ weight if ctx.needs_input_grad[0] else None, None, gradient


class Probes(torch.autograd.Function):
    """A zero for each block's product, whose gradients come back together and make the LoRA's."""

    @staticmethod
    def forward(
        ctx: Any, down: torch.Tensor, up: torch.Tensor, inputs: list[torch.Tensor], shape: tuple[int, int]
    ) -> torch.Tensor:
        """Zeros [blocks, n, tokens, out] of no size, for n and tokens in `shape`; `inputs` is filled until backward."""
        ctx.save_for_backward(down, up)
        ctx.inputs = inputs
        return down.new_zeros(1).expand(len(down), *shape, up.shape[1] * up.shape[2])

    @staticmethod
    def backward(ctx: Any, gradients: torch.Tensor) -> Any:
        """Inputs [n, tokens, in] of each block, or one for all of them."""
        down, up = ctx.saved_tensors
        inputs = torch.stack(ctx.inputs).flatten(1, 2).expand(len(down), -1, -1)
        ctx.inputs.clear()
        return *lora_gradients(inputs, gradients.flatten(1, 2), down, up), None, None


def lora_gradients(
    inputs: torch.Tensor, gradients: torch.Tensor, down: torch.Tensor, up: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of A and B from those of a batch of products' outputs, but for the LoRA's factor s.

    inputs [blocks, rows, in], gradients [blocks, rows, layers * out], down [blocks, layers * rank, in],
    up [blocks, layers, out, rank]: dB = dYᵀ·(X·Aᵀ), dA = (dY·B)ᵀ·X.
    """
    blocks, layers, out, rank = up.shape
    by_up = _summed(gradients, inputs @ down.mT).view(blocks, layers, out, layers, rank)
    own = by_up.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # the rest is one layer's gradient in another's rank
    by_down = _summed(gradients @ block_diagonal(up), inputs)
    return by_down.to(down.dtype), own.to(up.dtype)


def _summed(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """leftᵀ · right for [blocks, rows, …], the rows shared out and summed in float32."""
    rows = left.shape[1]
    parts = rows // ROWS if rows % ROWS == 0 else 1
    if parts <= 1:
        return left.mT @ right
    shared = left.unflatten(1, (parts, ROWS)).mT @ right.unflatten(1, (parts, ROWS))
    return shared.sum(1, dtype=torch.float32)


def block_diagonal(up: torch.Tensor) -> torch.Tensor:
    """B of layers with one input, [blocks, layers, out, rank], as one matrix [blocks, layers * out, layers * rank]."""
    blocks, layers, out, rank = up.shape
    if layers == 1:
        return up[:, 0]
    spread = up.new_zeros(blocks, layers, out, layers, rank)
    spread.diagonal(dim1=1, dim2=3).copy_(up.permute(0, 2, 3, 1))
    return spread.view(blocks, layers * out, layers * rank)


def transformer_block(
    hidden: torch.Tensor,
    key_value: torch.Tensor,
    weights: Sequence[torch.Tensor],
    probes: Sequence[torch.Tensor],
    frozen: Frozen,
    heads: int,
) -> tuple[torch.Tensor, ...]:
    """One block on tokens [n, tokens, width] and the text's keys and values [n, 256, 2 * width].

    Returns the tokens, and the inputs of the four products in `weights`.
    """
    norm1, bias1, norm2, bias2, norm3, bias3 = frozen.norms
    width = hidden.shape[-1]
    attended_to = layer_norm(hidden, (width,), norm1, bias1)
    q, k, v = Product.apply(attended_to, weights[0], probes[0]).chunk(3, -1)
    attended = attention(q, k, v, heads)
    hidden = hidden + (Product.apply(attended, weights[1], probes[1]) + frozen.biases[0])
    asked = layer_norm(hidden, (width,), norm2, bias2)
    k, v = key_value.chunk(2, -1)
    told = attention(Product.apply(asked, weights[2], probes[2]), k, v, heads)
    hidden = hidden + (Product.apply(told, weights[3], probes[3]) + frozen.biases[1])
    # Two products, since one whose output is cut in two makes the compiler compute GELU's gradient twice.
    fed = layer_norm(hidden, (width,), norm3, bias3)
    values, gate = (linear(fed, held.full(), bias) for held, bias in frozen.widen)
    hidden = hidden + linear(values * gelu(gate), frozen.narrow.full(), frozen.narrow_bias)
    return hidden, attended_to.detach(), attended.detach(), asked.detach(), told.detach()


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of [n, tokens, width] with so many heads."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class TransformerStack:
    """The blocks of an AttentionBlock in which peft has put a LoRA; their weights become views of this one's."""

    def __init__(
        self, source: AttentionBlock, block: Callable[..., tuple[torch.Tensor, ...]], *, eight_bit: bool
    ) -> None:
        """`block` is `transformer_block`, compiled or as it is."""
        self.block = block
        blocks = list(source.transformer_blocks)
        self.heads = blocks[0].attn1.num_heads
        layers = [
            [[getattr(getattr(each, attention), name) for name in names] for each in blocks]
            for attention, names in GROUPS
        ]
        first = layers[0][0][0]
        self.scale = float(first.scaling["default"])
        self.parameters = [group_parameters(group) for group in layers]
        self.weights = [
            _gather([[layer.base_layer for layer in each] for each in group], eight_bit) for group in layers
        ]
        self.frozen = [_frozen(each, eight_bit) for each in blocks]

    def __call__(self, hidden: torch.Tensor, text: torch.Tensor, *lora: torch.Tensor) -> torch.Tensor:
        """Tokens [n, tokens, width] through all blocks; `lora` is A and B of each group, of the network's dtype."""
        pairs = list(zip(lora[::2], lora[1::2], strict=True))
        weights = [self._merged(group, down, up) for group, (down, up) in enumerate(pairs)]
        inputs: list[list[torch.Tensor]] = [[] for _ in pairs]
        shapes = [hidden.shape[:2]] * 4 + [text.shape[:2]]
        probes = [
            Probes.apply(down, up, kept, tuple(shape))
            for (down, up), kept, shape in zip(pairs, inputs, shapes, strict=True)
        ]
        inputs[4].append(text)
        about_text = probes[4].permute(1, 2, 0, 3).flatten(2)
        key_values = Product.apply(text, weights[4].flatten(0, 1), about_text).unflatten(2, (len(self.frozen), -1))
        each = zip(
            key_values.unbind(2),
            zip(*(weight.unbind(0) for weight in weights[:4]), strict=True),
            zip(*(probe.unbind(0) for probe in probes[:4]), strict=True),
            self.frozen,
            strict=True,
        )
        for key_value, weight, probe, frozen in each:
            hidden, *seen = self.block(hidden, key_value, weight, probe, frozen, self.heads)
            for kept, one in zip(inputs[:4], seen, strict=True):
                kept.append(one)
        return hidden

    def _merged(self, group: int, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """W + s·B·A of a group, [blocks, layers * out, in]; its gradient goes another way."""
        with torch.no_grad():
            return merge(*self.weights[group], down, up, self.scale)


def group_parameters(group: Sequence[Sequence[Any]]) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """A and B of a group's layers, in the order of their places in the batched matrices."""
    layers = [layer for block in group for layer in block]
    return [layer.lora_A["default"].weight for layer in layers], [layer.lora_B["default"].weight for layer in layers]


def _gather(group: Sequence[Sequence[torch.nn.Linear]], eight_bit: bool) -> Held:
    """The frozen weights of a group, [blocks, layers * out, in]."""
    weights = torch.stack([torch.cat([layer.weight for layer in block]) for block in group])
    held = _hold(weights, eight_bit)
    for block, stacked in zip(group, held.values, strict=True):
        for layer, part in zip(block, stacked.chunk(len(block)), strict=True):
            layer.weight.data = part
    return held


def _frozen(block: Any, eight_bit: bool) -> Frozen:
    def held(layer: torch.nn.Linear) -> Held:
        weight = _hold(layer.weight.data, eight_bit)
        layer.weight.data = weight.values
        return weight

    norms = tuple(value for norm in (block.norm1, block.norm2, block.norm3) for value in (norm.weight, norm.bias))
    biases = (block.attn1.to_out.base_layer.bias, block.attn2.to_out.base_layer.bias)
    wide, wide_biases = held(block.act_fn.proj), block.act_fn.proj.bias.chunk(2)
    values, gate = zip(wide.halves(), wide_biases, strict=True)
    return Frozen(norms, biases, (values, gate), held(block.ff), block.ff.bias)


def _hold(weight: torch.Tensor, eight_bit: bool) -> Held:
    if not eight_bit:
        return Held(weight, None)
    scale = weight.float().abs().amax(-1, keepdim=True).clamp(min=1e-12) / INT8_MAX
    return Held((weight.float() / scale).round().to(torch.int8), scale.to(weight.dtype))


def lora_shapes(stack: TransformerStack) -> Iterator[tuple[int, ...]]:
    """The shape of A, then of B, of each of the stack's groups."""
    for downs, ups in stack.parameters:
        blocks = len(stack.frozen)
        layers = len(downs) // blocks
        yield (blocks, layers * downs[0].shape[0], downs[0].shape[1])
        yield (blocks, layers, *ups[0].shape)
