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

from kolors_submit.engine.eightbit import in_8_bits
from kolors_submit.engine.lora_gradients import lora_gradients
from kolors_submit.engine.merge import merge

GROUPS = (
    ("attn1", ("to_q", "to_k", "to_v")),
    ("attn1", ("to_out",)),
    ("attn2", ("to_q",)),
    ("attn2", ("to_out",)),
    ("attn2", ("to_k", "to_v")),
)
"""LoRA'd layers with the same input, which are one product; the last one's input is the text. Of DiffSynth's
projections only `to_out` has a bias."""


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
    """`inputs · weightᵀ`, which puts its output's gradient into `kept`; the weight is frozen.

    `order` has no part in it but in the graph: what it came from is gone back through after every product.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor, order: torch.Tensor
    ) -> torch.Tensor:
        """Inputs [..., in], weight [out, in], kept [..., out]."""
        ctx.save_for_backward(weight, kept)
        return linear(inputs, weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """The inputs' gradient alone."""
        weight, kept = ctx.saved_tensors
        kept.copy_(gradient.view(kept.shape))
        return gradient @ weight if ctx.needs_input_grad[0] else None, None, None, None


class Afterwards(torch.autograd.Function):
    """Gives the products their `order`; its backward pass comes after theirs, and makes the LoRA's gradients."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], *lora: torch.Tensor
    ) -> torch.Tensor:
        """Each group's inputs and gradients, which are filled until backward; A and B of each group."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*lora)
        ctx.kept = inputs, gradients
        return lora[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Any) -> Any:
        """Nothing came back: what matters was put aside."""
        lora = ctx.saved_tensors
        rows = ([kept.flatten(1, 2) for kept in side] for side in ctx.kept)
        each = zip(*rows, lora[::2], lora[1::2], strict=True)
        return None, None, *(gradient for group in each for gradient in lora_gradients(*group))


def transformer_block(
    hidden: torch.Tensor,
    key_value: torch.Tensor,
    weights: Sequence[torch.Tensor],
    inputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    order: torch.Tensor,
    frozen: Frozen,
    heads: int,
) -> torch.Tensor:
    """One block on tokens [n, tokens, width] and the text's keys and values [n, 256, 2 * width].

    The inputs of the four products with `weights`, and later their outputs' gradients, are put aside.
    """
    norm1, bias1, norm2, bias2, norm3, bias3 = frozen.norms
    width = hidden.shape[-1]

    def product(number: int, values: torch.Tensor) -> torch.Tensor:
        inputs[number].copy_(values.detach())
        return Product.apply(values, weights[number], gradients[number], order)

    q, k, v = product(0, layer_norm(hidden, (width,), norm1, bias1)).chunk(3, -1)
    hidden = hidden + (product(1, attention(q, k, v, heads)) + frozen.biases[0])
    k, v = key_value.chunk(2, -1)
    asked = product(2, layer_norm(hidden, (width,), norm2, bias2))
    hidden = hidden + (product(3, attention(asked, k, v, heads)) + frozen.biases[1])
    # Two products, since one whose output is cut in two makes the compiler compute GELU's gradient twice.
    fed = layer_norm(hidden, (width,), norm3, bias3)
    values, gate = (linear(fed, held.full(), bias) for held, bias in frozen.widen)
    return hidden + linear(values * gelu(gate), frozen.narrow.full(), frozen.narrow_bias)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of [n, tokens, width] with so many heads."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class TransformerStack:
    """The blocks of an AttentionBlock in which peft has put a LoRA; their weights become views of this one's."""

    def __init__(self, source: AttentionBlock, block: Callable[..., torch.Tensor], *, eight_bit: bool) -> None:
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
        weights = [self._merged(*group) for group in zip(self.weights, lora[::2], lora[1::2], strict=True)]
        blocks, width = len(self.frozen), hidden.shape[-1]
        tokens, of_text = (blocks, *hidden.shape[:2]), (blocks, *text.shape[:2])
        outputs = (3 * width, width, width, width)
        inputs = [hidden.new_empty(*tokens, width) for _ in outputs]
        gradients = [hidden.new_empty(*tokens, out) for out in outputs]
        about_text = hidden.new_empty(*of_text, 2 * width)
        order = Afterwards.apply([*inputs, text.expand(*of_text, -1)], [*gradients, about_text], *lora)
        together = about_text.permute(1, 2, 0, 3)
        key_values = Product.apply(text, weights[4].flatten(0, 1), together, order).unflatten(2, (blocks, -1))
        block = self.block if torch.is_grad_enabled() else transformer_block  # a picture in between is not compiled for
        for number, (key_value, frozen) in enumerate(zip(key_values.unbind(2), self.frozen, strict=True)):
            merged, seen = ([each[number] for each in group] for group in (weights[:4], inputs))
            later = [each[number].data for each in gradients]  # autograd takes writing to one for writing to all
            hidden = block(hidden, key_value, merged, seen, later, order, frozen, self.heads)
        return hidden

    def _merged(self, held: Held, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """W + s·B·A of a group, [blocks, layers * out, in]; its gradient goes another way."""
        with torch.no_grad():
            return merge(*held, down, up, self.scale)


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
    return Held(*in_8_bits(weight)) if eight_bit else Held(weight, None)


def lora_shapes(stack: TransformerStack) -> Iterator[tuple[int, ...]]:
    """The shape of A, then of B, of each of the stack's groups."""
    for downs, ups in stack.parameters:
        blocks = len(stack.frozen)
        layers = len(downs) // blocks
        yield (blocks, layers * downs[0].shape[0], downs[0].shape[1])
        yield (blocks, layers, *ups[0].shape)
