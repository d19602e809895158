"""The transformer blocks of one AttentionBlock with a LoRA merged in, in few and large products.

A LoRA'd layer as peft computes it is three products, two of them as thin as the rank, and six more on the way back:
on a fast card they cost more than the layer. Here W + s·B·A is formed once a step, so that forward and backward are
those of a network without a LoRA; q, k and v are one product; and what A and B need, each product's input and its
output's gradient, is put aside, and comes to their gradients in four batched products for all blocks of the stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from diffsynth.models.sd_unet import AttentionBlock
from torch.nn.functional import linear

from kolors_submit.engine.eightbit import in_8_bits
from kolors_submit.engine.lora_block import Blocks, Frozen, Held, Product
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
        lora, both = ctx.saved_tensors, ctx.kept
        del ctx.kept  # or it would live as long as the loss does, which a graph keeps for ever
        rows = ([kept.flatten(1, 2) for kept in side] for side in both)
        each = zip(*rows, lora[::2], lora[1::2], strict=True)
        return None, None, *(gradient for group in each for gradient in lora_gradients(*group))


class TransformerStack:
    """The blocks of an AttentionBlock in which peft has put a LoRA; their weights become views of this one's."""

    def __init__(
        self, source: AttentionBlock, blocks_by: Blocks, room: dict[int, torch.Tensor], *, eight_bit: bool
    ) -> None:
        """`room` is where gradients are put aside; stacks and shapes share it, since they go backward in turn."""
        self.blocks_by, self.room = blocks_by, room
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

    def bare(
        self, block: Callable[..., torch.Tensor], hidden: torch.Tensor, text: torch.Tensor, *lora: torch.Tensor
    ) -> torch.Tensor:
        """What a call gives, and nothing kept for gradients; `block` is `bare_block`, compiled or as it is."""
        *weights, of_text = self._merged(lora)
        key_values = linear(text, of_text.flatten(0, 1)).unflatten(2, (len(self.frozen), -1))
        for number, (key_value, frozen) in enumerate(zip(key_values.unbind(2), self.frozen, strict=True)):
            hidden = block(hidden, key_value, [each[number] for each in weights], frozen, self.heads)
        return hidden

    def __call__(self, hidden: torch.Tensor, text: torch.Tensor, *lora: torch.Tensor) -> torch.Tensor:
        """Tokens [n, tokens, width] through all blocks; `lora` is A and B of each group, of the network's dtype."""
        weights = self._merged(lora)
        blocks, width = len(self.frozen), hidden.shape[-1]
        tokens, of_text = (blocks, *hidden.shape[:2]), (blocks, *text.shape[:2])
        outputs = (3 * width, width, width, width)
        inputs = [hidden.new_empty(*tokens, width) for _ in outputs]
        gradients = [self._room(hidden, number, *tokens, out) for number, out in enumerate(outputs)]
        about_text = self._room(hidden, len(outputs), *of_text, 2 * width)
        order = Afterwards.apply([*inputs, text.expand(*of_text, -1)], [*gradients, about_text], *lora)
        together = about_text.data.permute(1, 2, 0, 3)  # autograd takes writing to it for another stack to one for this
        key_values = Product.apply(text, weights[4].flatten(0, 1), together, order).unflatten(2, (blocks, -1))
        for number, (key_value, frozen) in enumerate(zip(key_values.unbind(2), self.frozen, strict=True)):
            merged, seen = ([each[number] for each in group] for group in (weights[:4], inputs))
            later = [each[number].data for each in gradients]  # autograd takes writing to one for writing to all
            hidden = self.blocks_by.kept(hidden, key_value, merged, seen, later, order, frozen, self.heads)
        return hidden

    def _room(self, like: torch.Tensor, group: int, *shape: int) -> torch.Tensor:
        """Memory of a shape for a group, whose values nobody needs after a backward pass.

        It is the beginning of the largest that was asked for so far, whose place a larger one takes. Autograd keeps
        what it was given before; a captured graph keeps nothing, so who captures one keeps what is in `room` then.
        """
        numel = math.prod(shape)
        if group not in self.room or self.room[group].numel() < numel:
            self.room[group] = like.new_empty(numel)
        return self.room[group][:numel].view(shape)

    def _merged(self, lora: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """W + s·B·A of each group, [blocks, layers * out, in]; its gradient goes another way."""
        with torch.no_grad():
            groups = zip(self.weights, lora[::2], lora[1::2], strict=True)
            return [merge(*held, down, up, self.scale) for held, down, up in groups]


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
