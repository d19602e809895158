"""A network's forward captured as one CUDA graph, which the processor launches at once."""

from __future__ import annotations

from typing import Any

import torch

WARM_UP = 2
"""Forwards before a graph is captured: libraries choose their kernels and allocate in the first."""


class Graph:
    """A captured forward at one shape."""

    def __init__(
        self, unet: torch.nn.Module, inputs: tuple[torch.Tensor, ...], pool: Any, stream: torch.cuda.Stream
    ) -> None:
        """Graphs of one `pool` (`torch.cuda.graph_pool_handle`), captured on one `stream` of their own device, share
        their memory; they may not run at once.
        """
        self.inputs = tuple(value.clone() for value in inputs)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                unet(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # torch's own stream for captures belongs to the device that captured first. Other devices' threads go on
        # allocating meanwhile.
        with torch.cuda.graph(self.graph, pool, stream, capture_error_mode="thread_local"):
            self.output = unet(*self.inputs)

    def __call__(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The forward's result, in a buffer that the next call writes to."""
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.graph.replay()
        return self.output
