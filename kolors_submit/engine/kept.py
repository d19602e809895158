"""Weights kept in main memory between entries, so that a judge's batch reads a base from disk once.

The device still holds one model after the other: what is kept lies in main memory, and every load copies it from there.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, cast

import torch

Network = TypeVar("Network", bound=torch.nn.Module)
Loader = TypeVar("Loader", bound=Callable[..., torch.nn.Module])
Value = TypeVar("Value")

_shelf: dict[Hashable, Any] | None = None


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Within the block, what the loaders decorated with `kept` have read stays in main memory."""
    global _shelf
    _shelf = {}
    try:
        yield
    finally:
        _shelf = None


def shelved(key: Hashable, make: Callable[[], Value]) -> Value:
    """What `make` gives; within `keeping`, what it gave for this key the first time, which is not to be changed."""
    if _shelf is None:
        return make()
    if key not in _shelf:
        _shelf[key] = make()
    return cast(Value, _shelf[key])


def kept(load: Loader) -> Loader:
    """A loader `(base, device, …) -> network` that reads from disk once within `keeping`, into main memory."""

    @functools.wraps(load)
    def from_shelf(base: Any, device: str, *rest: Any) -> torch.nn.Module:
        if _shelf is None:
            return load(base, device, *rest)
        key = (load.__name__, base.digest, *rest)
        return twin(shelved(key, lambda: load(base, "cpu", *rest))).to(device)

    return cast(Loader, from_shelf)


def twin(network: Network) -> Network:
    """A network of its own that shares its weights' storage with the first.

    Either may be given new weights or another structure; only writing into a weight would be seen by both.
    """
    memo: dict[int, Any] = {
        id(parameter): torch.nn.Parameter(parameter.data, parameter.requires_grad) for parameter in network.parameters()
    }
    memo |= {id(buffer): buffer for buffer in network.buffers()}
    return copy.deepcopy(network, memo)
