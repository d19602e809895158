"""The VAE's decoder on a CPU with idle cores: two of them share the wide convolutions, where nearly all its time goes.

A picture has the bytes that one core gives it: each part of a convolution's channels is computed as within the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

PARTS = 2

WIDE = 32
"""Channels that a convolution makes; half of fewer would not fill a processor's vectors."""


class SharedConvolutions(TorchFunctionMode):
    """Within the block, `cores` compute the thread's wide convolutions, a part each.

    Those of the decoder: with a bias, and not in groups.
    """

    def __init__(self, cores: Executor) -> None:
        super().__init__()
        self.cores = cores

    def __torch_function__(
        self,
        function: Callable[..., torch.Tensor],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> torch.Tensor:
        """Called by torch for each of its functions."""
        if function is not torch.conv2d or len(args[1]) < WIDE:
            return function(*args, **(kwargs or {}))
        pixels, weight, bias, *how = args
        compute = partial(_convolution, pixels, how)
        return torch.cat(list(self.cores.map(compute, weight.chunk(PARTS), bias.chunk(PARTS))), dim=1)


@torch.inference_mode()
def _convolution(pixels: torch.Tensor, how: list[Any], weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.conv2d(pixels, weight, bias, *how)
