"""What `torch.save` wrote, read as data: it may be a stranger's, or damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch


def load(path: Path, *, mapped: bool = False) -> Any:
    """The value in a file of torch's, on the CPU, made of torch's closed list of types.

    With `mapped` its tensors are read when they are used, from a file that has to stay as it is.

    Raises OSError where the file cannot be read, ValueError where it is damaged or holds anything else.
    """
    try:
        # Only the zip format can be mapped into memory; older pickles are read whole.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # torch's reader takes a file at its word: a wrong byte may raise any error
        raise ValueError(f"no plain file of torch's ({type(error).__name__})") from error


def load_tensors(path: Path, *, mapped: bool = False) -> dict[str, torch.Tensor]:
    """The tensors in a file that holds them by name and nothing else; raises as `load` does."""
    value = load(path, mapped=mapped)
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items()
    ):
        raise ValueError("no plain dict of tensors")
    return value
