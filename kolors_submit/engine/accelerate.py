"""A UNet's forward on a GPU with the same arithmetic in fewer and larger kernels.

The blocks are `fused`'s, and the text's keys and values are computed once for all steps. Where kernels can be compiled,
pictures lie channels last and the transformer blocks are compiled one by one. Where launching kernels takes longer than
running them the whole forward is one CUDA graph. It is for inference: the LoRA is merged before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from diffsynth.models.sd_unet import BasicTransformerBlock
from torch.nn.attention import SDPBackend, sdpa_kernel

from kolors_submit.engine.cuda_graph import Graph
from kolors_submit.engine.eightbit import hold_in_8_bits
from kolors_submit.engine.fused import CrossAttention, fuse

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder

    from kolors_submit.engine.plan import RenderPlan

SHAPES = 64
"""Kinds of transformer blocks that may be compiled: widths, picture sizes, batches, devices."""

# Two devices' threads must not compile or capture at the same time.
_building = threading.RLock()


class Accelerated:
    """A UNet to be called as DiffSynth's own; the text's keys and values are computed when it changes."""

    def __init__(self, unet: SDXLUNet, plan: RenderPlan) -> None:
        """Rebuild `unet` in place, which must not be used afterwards."""
        fuse(unet, kernels=plan.compile_blocks)
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
            cross.remember(projected, in_place=self._graphed)
        self._text = text


def accelerate_decoder(decoder: SDXLVAEDecoder, plan: RenderPlan) -> SDXLVAEDecoder:
    """The VAE's decoder, rebuilt in place where kernels can be compiled; its dtype stays."""
    if plan.compile_blocks:
        fuse(decoder, kernels=True)
        decoder.to(memory_format=torch.channels_last)
    return decoder


@contextlib.contextmanager
def fast_attention() -> Iterator[None]:
    """Within the block, attention is cuDNN's where that can be, else the fastest that can."""
    backends = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(backends, set_priority=True):
        yield


def _compile(unet: torch.nn.Module) -> None:
    """Compile the transformer blocks: those of one width are compiled once for all their places."""
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)
    for module in unet.modules():
        if isinstance(module, BasicTransformerBlock):
            module.compile(dynamic=False)
