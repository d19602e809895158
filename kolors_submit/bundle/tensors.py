"""A safetensors file read with numpy alone, every length checked before it is believed."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kolors_submit.bundle.manifest import no_repeats
from kolors_submit.errors import InputError

MAX_HEADER = 16_000_000
MAX_METADATA = 1_000_000
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""What LoRA weights are kept in; bfloat16 is read as the upper half of a float32."""

_LARGEST = 2**63
"""Beyond any file's length; Python takes numbers of thousands of digits, and then does not print their sum."""


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies: dtype by safetensors' name, shape, byte offsets in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """The checked header of a safetensors file."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header: sizes, names, dtypes, shapes, and that the tensors fill the file without overlap.

    Raises InputError with the first thing that is wrong.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise InputError(f"{path} is not a safetensors file with a header of at most {MAX_HEADER:,} bytes")
        text = file.read(length)
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=no_repeats)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the header is not valid JSON: {error}") from error
    if not isinstance(value, dict) or len(value) > MAX_TENSORS:
        raise InputError(f"{path}: the header is not a table of at most {MAX_TENSORS:,} tensors")
    metadata = _metadata(path, value.pop("__metadata__", {}))
    tensors = {name: _info(path, name, entry, 8 + length) for name, entry in value.items()}
    _fill_the_file(path, tensors, 8 + length, size)
    return Header(tensors, metadata)


def read_tensors(path: Path, header: Header) -> Iterator[tuple[str, np.ndarray]]:
    """Each tensor's name and its values; memory-mapped, so that only one is in memory at a time."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    for name, info in header.tensors.items():
        values = data[info.start : info.end].view(DTYPES[info.dtype]).reshape(info.shape)
        yield name, as_float(values, info.dtype)


def as_float(values: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers of a tensor in a float type that numpy has."""
    if dtype != "BF16":
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)


def _metadata(path: Path, value: Any) -> dict[str, str]:
    texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if not texts or sum(len(key) + len(text) for key, text in value.items()) > MAX_METADATA:
        raise InputError(f"{path}: the metadata is not a table of texts with at most {MAX_METADATA:,} characters")
    return value


def _info(path: Path, name: str, entry: Any, data_start: int) -> TensorInfo:
    """One entry of the header; its offsets count from the start of the file in the result."""
    try:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        sound = isinstance(dtype, str) and isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
        sound = sound and all(type(number) is int and 0 <= number < _LARGEST for number in (*shape, *offsets))
    except (TypeError, KeyError):
        sound = False
    if not sound or len(name) > 1000 or len(shape) > MAX_DIMENSIONS:
        raise InputError(f"{path}: the entry of {name[:200]!r} is not valid in a safetensors header")
    if dtype not in DTYPES:
        raise InputError(f"{path}: {name!r} has the type {dtype[:20]!r}; LoRA weights are {', '.join(DTYPES)}")
    (start, end), shape = offsets, tuple(shape)
    if end - start != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise InputError(f"{path}: {name!r} has {end - start} bytes, which is not what its shape {shape} needs")
    return TensorInfo(dtype, shape, data_start + start, data_start + end)


def _fill_the_file(path: Path, tensors: Mapping[str, TensorInfo], data_start: int, size: int) -> None:
    position = data_start
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start != position:
            raise InputError(f"{path}: {name!r} overlaps another tensor or leaves a hole")
        position = info.end
    if position != size:
        raise InputError(f"{path} has {size:,} bytes, its header describes {position:,}")
