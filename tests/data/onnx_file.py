"""A WD tagger in a kilobyte, as a real ONNX file written byte by byte (the package onnx is not installed).

It takes the mean of each of the picture's three channels, and each tag's probability is a sigmoid of a weighted sum of
them. The numbers are the field numbers of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

Row = tuple[str, str, tuple[float, float, float], float]
"""A tag: name, category, the weights of the model's channels 0, 1 and 2 (means from 0 to 255), and the bias."""

SIDE = 16
BLUE, GREEN, RED = (0.1, -0.05, -0.05), (-0.05, 0.1, -0.05), (-0.05, -0.05, 0.1)
"""Weights of a tag that is likely where one channel is larger than the others, for channels in the order BGR."""

FLOAT, INT64, INTS = 1, 7, 7


def write_tagger(folder: Path, rows: Sequence[Row], side: int = SIDE) -> Path:
    """Write model.onnx and selected_tags.csv into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model(rows, side))
    lines = [f"{number},{name},{kind},1" for number, (name, kind, _, _) in enumerate(rows)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *lines]) + "\n", "utf-8")
    return folder


def model(rows: Sequence[Row], side: int = SIDE) -> bytes:
    """ModelProto: mean over height and width, a matrix, a bias, a sigmoid."""
    weights = [row[2][channel] for channel in range(3) for row in rows]
    graph = (
        _node("ReduceMean", ["picture"], "means", axes=[1, 2], keepdims=0)
        + _node("Gemm", ["means", "weights", "bias"], "sums")
        + _node("Sigmoid", ["sums"], "probabilities")
        + _text(2, "tagger")
        + _field(5, _tensor("weights", [3, len(rows)], weights))
        + _field(5, _tensor("bias", [len(rows)], [row[3] for row in rows]))
        + _field(11, _value("picture", [None, side, side, 3]))
        + _field(12, _value("probabilities", [None, len(rows)]))
    )
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 13))


def _node(
    kind: str, inputs: Sequence[str], output: str, keepdims: int | None = None, axes: Sequence[int] = ()
) -> bytes:
    attributes = b""
    if axes:
        attributes += _field(5, _text(1, "axes") + b"".join(_number(8, axis) for axis in axes) + _number(20, INTS))
    if keepdims is not None:
        attributes += _field(5, _text(1, "keepdims") + _number(3, keepdims) + _number(20, 2))
    names = b"".join(_text(1, name) for name in inputs)
    return _field(1, names + _text(2, output) + _text(4, kind) + attributes)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    data = struct.pack(f"<{len(values)}f", *values)
    return b"".join(_number(1, size) for size in shape) + _number(2, FLOAT) + _text(8, name) + _field(9, data)


def _value(name: str, shape: Sequence[int | None]) -> bytes:
    """ValueInfoProto; None is a size that is free."""
    sizes = b"".join(_field(1, _text(2, "batch") if size is None else _number(1, size)) for size in shape)
    return _text(1, name) + _field(2, _field(1, _number(1, FLOAT) + _field(2, sizes)))


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())
