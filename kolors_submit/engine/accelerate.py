"""A UNet's forward on a GPU with the same arithmetic in fewer and larger kernels.

The blocks are `fused`'s, and the text's keys and values are computed once for all steps. Where kernels can be compiled,
pictures lie channels last and the transformer blocks are compiled one by one. The whole forward is one CUDA graph,
unless the network has to make room for the decoder. It is for inference: the LoRA is merged before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import torch
from diffsynth.models.sd_unet import BasicTransformerBlock

from kolors_submit.engine.cuda_graph import Graph
from kolors_submit.engine.fused import CrossAttention, fuse
from kolors_submit.engine.gpu_kernels import compiled
from kolors_submit.engine.half_decoder import to_half

if TYPE_CHECKING:
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder

    from kolors_submit.engine.plan import RenderPlan

# Two devices' threads must not compile or capture at the same time.
_building = threading.RLock()


class Accelerated:
    """A UNet to be called as DiffSynth's own; the text's keys and values are computed when it changes."""

    def __init__(self, unet: SDXLUNet, plan: RenderPlan) -> None:
        """Rebuild `unet` in place, which must not be used afterwards and may come in main memory."""
        compute = plan.compute
        fuse(unet, compute.device_kind, kernels=plan.compile_blocks, eight_bit=compute.eight_bit is not None)
        # torch's own group norm knows channels first only.
        self._layout = torch.channels_last if plan.compile_blocks else torch.contiguous_format
        self.unet = unet.to(memory_format=self._layout)
        self.crosses = [module for module in unet.modules() if isinstance(module, CrossAttention)]
        if plan.compile_blocks:
            for module in unet.modules():
                if isinstance(module, BasicTransformerBlock):
                    compiled(module)
        self._graphs: dict[torch.Size, Graph] = {}
        self._graphed = plan.cuda_graph
        if plan.cuda_graph:
            self._memory = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
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
        if text is not self._text:
            self._remember(text)
        if shape in self._built:
            return self._forward(shape, inputs)
        with _building:
            if self._graphed:
                self._graphs[shape] = Graph(self.unet, inputs, *self._memory)
            self._built.add(shape)
            return self._forward(shape, inputs)

    def _forward(self, shape: torch.Size, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return self._graphs[shape](inputs) if self._graphed else self.unet(*inputs)

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
    """The VAE's decoder, rebuilt in place as the plan says; one that is in half precision already stays so."""
    if plan.compute.decoder == "float16" and decoder.conv_in.weight.dtype == torch.float32:
        to_half(decoder)
    if plan.compile_blocks:
        fuse(decoder, plan.compute.device_kind, kernels=True)
        decoder.to(memory_format=torch.channels_last)
    return decoder
