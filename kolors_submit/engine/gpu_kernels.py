"""Which of torch's kernels a GPU runs: attention's, and those that are compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

Compilable = TypeVar("Compilable", bound=Callable[..., Any])

SHAPES = 1024
"""Kinds of blocks that may be compiled in a process: widths, picture sizes, batches, devices, entries of a list that is
reproduced. torch gives up at 8.
"""

COMPILATION: dict[str, Any] = {
    "dynamic": False,
    "fullgraph": True,
    "options": {
        # Kernels that sum up are chosen by torch's rule: of several it would take the one that was fastest when it
        # tried them, on every device anew, and their sums differ. At Kolors' full size there is one anyway.
        "deterministic": True,
        # Of the two for a layer norm the one that keeps its row in registers, which is the second (torch's own
        # comment has it the other way round); by torch's rule rows of more than 1024 values are read twice.
        "triton.multi_kernel": 3,
    },
}


@contextlib.contextmanager
def fast_attention() -> Iterator[None]:
    """Within the block, attention is cuDNN's where that can be, else the fastest that can.

    torch has one such choice for all threads: one that left the block while others compute would change their bytes.
    """
    backends = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(backends, set_priority=True):
        yield


def compiled(block: Compilable) -> Compilable:
    """A function, or a module in place, compiled once for each shape it meets; to the same bits on every device."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = SHAPES
    if isinstance(block, torch.nn.Module):
        block.compile(**COMPILATION)
        return block
    made: Compilable = torch.compile(block, **COMPILATION)  # type: ignore[assignment]
    return made
