"""Kolors' UNet as a LoRA is trained in it on a GPU: DiffSynth's layers, run in fewer and larger pieces.

The LoRA's float32 weights are one vector, whose views are what peft injected; one cast brings them to the network's
dtype, one tensor is what the optimizer, the gradient's clipping and several GPUs' exchange have to see to.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.models.sd_unet import AttentionBlock, DownSampler, PopBlock, PushBlock, ResnetBlock, UpSampler
from torch.nn.functional import conv2d, silu

from kolors_submit.engine.fused import OWN, resnet
from kolors_submit.engine.gpu_kernels import compiled, fast_attention
from kolors_submit.engine.lora_block import Blocks, bare_block, kept_block
from kolors_submit.engine.lora_stack import TransformerStack, lora_shapes
from kolors_submit.engine.norm import norm_silu

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet


class LoraUNet:
    """A UNet in which `lora.inject` has put a LoRA on the attentions' four projections."""

    def __init__(
        self, unet: SDXLUNet, device: str, *, compile_blocks: bool, checkpointing: bool, eight_bit: bool
    ) -> None:
        """Rebuild `unet`'s weights in place: it shares them, but is not to be called any more.

        It may come in main memory: its parts go to the device one by one, where `eight_bit` makes them smaller.
        """
        blocks = Blocks(kept_block, bare_block)
        if compile_blocks:
            blocks = Blocks(*(compiled(block) for block in blocks))
        self.room: dict[int, torch.Tensor] = {}
        """Where all stacks put their products' gradients aside."""
        self.stacks = {}
        for part in unet.blocks:
            part.to(device)
            if isinstance(part, AttentionBlock):
                self.stacks[part] = TransformerStack(part, blocks, self.room, eight_bit=eight_bit)
        self.unet = unet.to(device, memory_format=torch.channels_last)
        self.checkpointing = checkpointing
        self.dtype = unet.conv_in.weight.dtype
        self.scale = next(iter(self.stacks.values())).scale
        self.shapes = [shape for stack in self.stacks.values() for shape in lora_shapes(stack)]
        parameters = [p for stack in self.stacks.values() for group in stack.parameters for side in group for p in side]
        self.vector = torch.nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
        views = self.vector.detach().split([p.numel() for p in parameters])
        for parameter, view in zip(parameters, views, strict=True):
            parameter.data = view.view_as(parameter)
            parameter.requires_grad_(False)

    def __call__(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
        sizes: torch.Tensor,
        pooled: torch.Tensor,
        vector: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The noise in `sample` [n, 4, h, w]; timestep [n] or [1], text [n, 256, C], sizes [n, 6], pooled [n, C].

        `vector` is the LoRA, this one's own where none is given.
        """
        unet = self.unet
        time = unet.time_embedding(unet.time_proj(timestep).to(self.dtype))
        told = torch.cat([pooled, unet.add_time_proj(sizes).flatten(1)], -1).to(self.dtype)
        time = silu(time + unet.add_time_embedding(told))
        text = unet.text_intermediate_proj(text.to(self.dtype))
        vector = self.vector if vector is None else vector
        pieces = _Cast.apply(vector, self.dtype, self.scale).split([math.prod(shape) for shape in self.shapes])
        lora = iter([piece.view(shape) for piece, shape in zip(pieces, self.shapes, strict=True)])
        hidden = unet.conv_in(sample.to(self.dtype).contiguous(memory_format=torch.channels_last))
        skipped = [hidden]
        for block in unet.blocks:
            if isinstance(block, PushBlock):
                skipped.append(hidden)
            elif isinstance(block, PopBlock):
                hidden = torch.cat([hidden, skipped.pop()], 1)
            elif isinstance(block, ResnetBlock):
                hidden = resnet(block, hidden, block.time_emb_proj(time) + block.conv1.bias, OWN)
            elif isinstance(block, DownSampler | UpSampler):
                hidden = block(hidden, None, None, None)[0]
            else:
                stack = self.stacks[block]
                hidden = self._attention(block, stack, hidden, text, [next(lora) for _ in lora_shapes(stack)])
        return conv2d(norm_silu(hidden, unet.conv_norm_out), unet.conv_out.weight, unet.conv_out.bias, padding=1)

    def _attention(
        self,
        block: AttentionBlock,
        stack: TransformerStack,
        hidden: torch.Tensor,
        text: torch.Tensor,
        lora: list[torch.Tensor],
    ) -> torch.Tensor:
        height, width = hidden.shape[2:]
        tokens = norm_silu(hidden, block.norm, silu=False).permute(0, 2, 3, 1).flatten(1, 2)
        tokens = block.proj_in(tokens)
        if not torch.is_grad_enabled():  # a picture in between, whose shape is not compiled for
            tokens = stack.bare(bare_block, tokens, text, *lora)
        else:
            if not tokens.requires_grad:
                tokens.requires_grad_()  # nothing before has a gradient, but the compiled block is the same for all
            run = partial(_Recomputed.apply, stack) if self.checkpointing else stack
            tokens = run(tokens, text, *lora)
        return block.proj_out(tokens).unflatten(1, (height, width)).permute(0, 3, 1, 2) + hidden


class _Cast(torch.autograd.Function):
    """The LoRA in the network's dtype; the factor s of its gradient is put in once here for all."""

    @staticmethod
    def forward(ctx: Any, vector: torch.Tensor, dtype: torch.dtype, scale: float) -> torch.Tensor:
        """The float32 vector."""
        ctx.scale = scale
        return vector.to(dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """To float32."""
        return gradient.float() * ctx.scale, None, None


class _Recomputed(torch.autograd.Function):
    """A stack that keeps its inputs alone and is run again in the backward pass.

    torch's own checkpointing either refuses `autograd.grad`, which graph capture needs, or keeps what the stack puts
    aside for the LoRA's gradients.
    """

    @staticmethod
    def forward(ctx: Any, stack: TransformerStack, *tensors: torch.Tensor) -> torch.Tensor:
        """Tokens, text, and A and B of each group."""
        ctx.stack = stack
        ctx.save_for_backward(*tensors)
        return stack.bare(stack.blocks_by.bare, *tensors)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """The text has no gradient."""
        hidden, text, *lora = ctx.saved_tensors
        inputs = [value.detach().requires_grad_() for value in (hidden, *lora)]
        with torch.enable_grad(), fast_attention():
            result = ctx.stack(inputs[0], text, *inputs[1:])
        first, *rest = torch.autograd.grad(result, inputs, gradient)
        return None, first, None, *rest
