"""A LoRA's .ckpt read without torch: a pickle is a program, so only the few instructions a table of tensors needs run.

What `torch.save` writes for a dict of tensors is a zip file: `data.pkl` builds the dict by calling
`torch._utils._rebuild_tensor_v2` on storages that lie beside it as `data/0`, `data/1` … Here no name is imported and
nothing is called: two functions, four storage types and some twenty kinds of instruction are known by name, and a file
that needs any other is refused.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kolors_submit.bundle.archive import UNREADABLE, chunks, open_zip
from kolors_submit.bundle.tensors import DTYPES, MAX_DIMENSIONS, MAX_TENSORS, as_float
from kolors_submit.errors import InputError

MAX_TABLE = 256 * MAX_TENSORS
"""Bytes of the archive's table of contents: torch.save gives each tensor an entry of about a hundred."""

MAX_PICKLE = 16_000_000
MAX_STORAGE = 256_000_000
"""Bytes of one tensor; the largest of a Kolors LoRA at rank 1024 has 42 MB."""

_STORAGES = {"DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"}
_REBUILD = ("torch._utils", "_rebuild_tensor_v2")
_ORDERED_DICT = ("collections", "OrderedDict")
_GLOBALS = {_REBUILD, _ORDERED_DICT, *(("torch", name) for name in _STORAGES)}

_PUSH = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Mark:
    """Where a tuple or a run of dict items starts on the stack."""


@dataclass(frozen=True)
class _Global:
    module: str
    name: str


@dataclass(frozen=True)
class _Storage:
    """A file of numbers inside the archive."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class _Tensor:
    """A contiguous part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]


def read_ckpt(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Each tensor's name and its values, of a zip file that `torch.save` wrote for a dict of tensors.

    Raises InputError where the file is anything else, or where its pickle has an instruction outside the closed list.
    """
    try:
        with open_zip(path, most=MAX_TABLE) as archive:
            prefix = _prefix(path, archive)
            tensors = _table(path, _run(path, _member(path, archive, f"{prefix}/data.pkl", MAX_PICKLE)))
            for name, tensor in tensors.items():
                yield name, _values(path, archive, prefix, name, tensor)
    except UNREADABLE as error:
        raise InputError(f"{path} is not a .ckpt that torch.save wrote as a zip file: {error}") from error


def _prefix(path: Path, archive: zipfile.ZipFile) -> str:
    """The folder inside the archive that everything lies in."""
    names = archive.namelist()
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1 or len(names) > MAX_TENSORS + 10 or len(set(names)) != len(names):
        raise InputError(f"{path} is not a .ckpt with one table of tensors")
    prefix = pickles[0].removesuffix("/data.pkl")
    order = f"{prefix}/byteorder"
    if order in names and _member(path, archive, order, 10) != b"little":
        raise InputError(f"{path} was written on a big-endian machine; save it again on another")
    return prefix


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One file of the archive, no longer than `limit` and no longer than it says."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise InputError(f"{path} lacks {name}") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit or info.flag_bits & 0x1:
        raise InputError(f"{path}: {name} is compressed, encrypted or larger than {limit:,} bytes")
    data = b"".join(chunks(archive, info))
    if len(data) != info.file_size:
        raise InputError(f"{path}: {name} does not have the length it states")
    return data


def _run(path: Path, program: bytes) -> Any:
    """What the pickle builds, by a stack machine that knows the closed list of instructions and nothing else."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return stack.pop()
            _step(opcode.name, argument, stack, memo)
    except _Refused as why:
        raise InputError(f"{path}: its pickle {why}; it is not a plain table of tensors and was not loaded") from None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, UnicodeError) as error:
        raise InputError(f"{path}: its pickle is damaged ({error})") from error
    raise InputError(f"{path}: its pickle ends too early")


class _Refused(Exception):
    """An instruction, a name or a call outside the closed list."""


def _step(opcode: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    match opcode:
        case "PROTO":
            pass
        case "GLOBAL":
            stack.append(_global(*argument.split(" ", 1)))
        case "BINPERSID":
            stack.append(_storage(stack.pop()))
        case "REDUCE":
            arguments = stack.pop()
            stack.append(_call(stack.pop(), arguments))
        case "MARK":
            stack.append(_Mark)
        case "TUPLE":
            stack.append(tuple(_to_mark(stack)))
        case "EMPTY_DICT":
            stack.append({})
        case "SETITEMS":
            _set_items(_to_mark(stack), stack)
        case "SETITEM":
            value, key = stack.pop(), stack.pop()
            _set_items([key, value], stack)
        case "BINPUT" | "LONG_BINPUT":
            memo[argument] = stack[-1]
        case "BINGET" | "LONG_BINGET":
            stack.append(memo[argument])
        case _ if opcode in _PUSH:
            stack.append(argument)
        case _ if opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        case _ if opcode in _TUPLES:
            count = _TUPLES[opcode]
            items = [stack.pop() for _ in range(count)][::-1]
            stack.append(tuple(items))
        case _:
            raise _Refused(f"has the instruction {opcode}")


def _global(module: str, name: str) -> _Global:
    if (module, name) not in _GLOBALS:
        raise _Refused(f"names {module[:80]}.{name[:80]}")
    return _Global(module, name)


def _storage(identifier: Any) -> _Storage:
    """`("storage", torch.FloatStorage, "0", "cpu", 96)`."""
    match identifier:
        case ("storage", _Global("torch", type_name), str(key), str(), int(numel)) if key.isalnum() and key.isascii():
            if type_name in _STORAGES and 0 <= numel <= MAX_STORAGE:
                return _Storage(_STORAGES[type_name], key, numel)
    raise _Refused("refers to something that is not a storage of numbers")


def _call(function: Any, arguments: Any) -> Any:
    """The only two calls: a tensor from its storage (contiguous, without hooks), and an empty dict."""
    match function, arguments:
        case _Global("collections", "OrderedDict"), ():
            return {}
        case (
            _Global("torch._utils", "_rebuild_tensor_v2"),
            (_Storage() as storage, int(offset), tuple(shape), tuple(stride), bool(), dict(hooks)),
        ) if not hooks:
            if _is_contiguous(shape, stride) and offset >= 0 and offset + math.prod(shape) <= storage.numel:
                return _Tensor(storage, offset, shape)
            raise _Refused("has a tensor that does not lie in its storage in one piece")
    raise _Refused("calls something")


def _is_contiguous(shape: tuple[Any, ...], stride: tuple[Any, ...]) -> bool:
    numbers = all(type(number) is int and 0 <= number <= MAX_STORAGE for number in (*shape, *stride))
    if not numbers or len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
        return False
    step = 1
    for size, given in zip(reversed(shape), reversed(stride), strict=True):
        if size != 1 and given != step:
            return False
        step *= size
    return True


def _to_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _Mark:
        items.append(item)
    return items[::-1]


def _set_items(items: list[Any], stack: list[Any]) -> None:
    target = stack[-1]
    if not isinstance(target, dict):
        raise _Refused("puts items into something that is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str) or key in target:
            raise _Refused("has a key twice, or one that is not text")
        target[key] = value


def _table(path: Path, value: Any) -> Mapping[str, _Tensor]:
    if not isinstance(value, dict) or not value or len(value) > MAX_TENSORS:
        raise InputError(f"{path} holds no table of 1 to {MAX_TENSORS:,} tensors")
    others = [name for name, item in value.items() if not isinstance(item, _Tensor)]
    if others:
        raise InputError(f"{path}: {others[0][:200]!r} is not a tensor; expected a plain table of LoRA weights")
    if len({tensor.storage.key for tensor in value.values()}) != len(value):
        raise InputError(f"{path} has several tensors in one storage; save each as a tensor of its own")
    return value


def _values(path: Path, archive: zipfile.ZipFile, prefix: str, name: str, tensor: _Tensor) -> np.ndarray:
    storage = tensor.storage
    dtype = np.dtype(DTYPES[storage.dtype])
    data = _member(path, archive, f"{prefix}/data/{storage.key}", MAX_STORAGE)
    if len(data) != storage.numel * dtype.itemsize:
        raise InputError(
            f"{path}: the storage of {name[:200]!r} has {len(data)} bytes, not {storage.numel * dtype.itemsize}"
        )
    count = math.prod(tensor.shape)
    values = np.frombuffer(data, dtype, count, tensor.offset * dtype.itemsize).reshape(tensor.shape)
    return as_float(values, storage.dtype)
