"""One transformer block with a LoRA merged into its weights: what it computes, and what it puts aside for the LoRA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

FLEX_TOKENS, FLEX_WIDTH = 128, 16
"""Tokens and values a head from which torch's flex attention has a kernel for the way back."""


class Blocks(NamedTuple):
    """The two functions that compute a block, compiled or as they are."""

    kept: Callable[..., torch.Tensor]
    bare: Callable[..., torch.Tensor]


class Held(NamedTuple):
    """Weights [..., out, in] as they are kept: in the network's dtype, or as int8 with a scale for each output."""

    values: torch.Tensor
    scale: torch.Tensor | None

    def full(self) -> torch.Tensor:
        """In the network's dtype."""
        return self.values if self.scale is None else self.values.to(self.scale.dtype) * self.scale

    def linear(self, inputs: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Inputs [..., in] to [..., out]; the weights are frozen."""
        if self.scale is None:
            return linear(inputs, self.values, bias)
        return _Dequantised.apply(inputs, self.values, self.scale, bias)

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


class _Dequantised(torch.autograd.Function):
    """A product with int8 weights, made full again on the way back: autograd would keep them in full until then."""

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, values: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(values, scale)
        return linear(inputs, Held(values, scale).full(), bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient @ Held(*ctx.saved_tensors).full(), None, None, None


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


def bare_block(
    hidden: torch.Tensor, key_value: torch.Tensor, weights: Sequence[torch.Tensor], frozen: Frozen, heads: int
) -> torch.Tensor:
    """One block on tokens [n, tokens, width] and the text's keys and values [n, 256, 2 * width]."""
    return _block(hidden, key_value, frozen, heads, lambda number, values: linear(values, weights[number]))


def kept_block(
    hidden: torch.Tensor,
    key_value: torch.Tensor,
    weights: Sequence[torch.Tensor],
    inputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    order: torch.Tensor,
    frozen: Frozen,
    heads: int,
) -> torch.Tensor:
    """`bare_block` that puts aside the inputs of the products with `weights`, and later their outputs' gradients."""

    def product(number: int, values: torch.Tensor) -> torch.Tensor:
        inputs[number].copy_(values.detach())
        return Product.apply(values, weights[number], gradients[number], order)

    return _block(hidden, key_value, frozen, heads, product)


def _block(
    hidden: torch.Tensor,
    key_value: torch.Tensor,
    frozen: Frozen,
    heads: int,
    product: Callable[[int, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    norm1, bias1, norm2, bias2, norm3, bias3 = frozen.norms
    width = hidden.shape[-1]
    q, k, v = product(0, layer_norm(hidden, (width,), norm1, bias1)).chunk(3, -1)
    hidden = hidden + (product(1, attention(q, k, v, heads)) + frozen.biases[0])
    k, v = key_value.chunk(2, -1)
    asked = product(2, layer_norm(hidden, (width,), norm2, bias2))
    hidden = hidden + (product(3, attention(asked, k, v, heads)) + frozen.biases[1])
    # Two products, since one whose output is cut in two makes the compiler compute GELU's gradient twice.
    fed = layer_norm(hidden, (width,), norm3, bias3)
    values, gate = (held.linear(fed, bias) for held, bias in frozen.widen)
    return hidden + frozen.narrow.linear(values * gelu(gate), frozen.narrow_bias)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of [n, tokens, width] with so many heads."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    attend: Callable[..., Any] = flex_attention if _in_order(q) else scaled_dot_product_attention
    attended: torch.Tensor = attend(q, k, v)
    return attended.transpose(1, 2).flatten(2)


def _in_order(q: torch.Tensor) -> bool:
    """Whether the gradients of queries [n, heads, tokens, width] have to be the same every time, and flex's can be.

    cuDNN's are sums in any order. Flash attention's and flex's have one, and flex takes a third to a half less time.
    """
    if not (torch.compiler.is_compiling() and torch.are_deterministic_algorithms_enabled()):
        return False
    return q.dtype == torch.bfloat16 and q.shape[2] >= FLEX_TOKENS and q.shape[3] >= FLEX_WIDTH
