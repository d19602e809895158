"""What an image tower (CLIP's or DINOv2's) sees in a picture: one vector for what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.decoders import open_picture
from kolors_submit.errors import InputError
from kolors_submit.metrics.palette import Array


def features(folder: Path, pictures: Sequence[Path], device: str = "cpu") -> Iterator[Array]:
    """The pooled output of the tower in `folder` for each picture, one at a time: a unit vector, float32.

    Raises InputError where the folder holds no such tower.
    """
    import torch

    model, processor = _load(folder, device)
    for path in pictures:
        with open_picture(path) as file, torch.no_grad():
            inputs = processor(images=file.convert("RGB"), return_tensors="pt").to(device)
            pooled = model(**inputs).pooler_output[0]
            yield (pooled / pooled.norm()).cpu().numpy()


def _load(folder: Path, device: str) -> tuple[Any, Any]:
    """The tower and its image processor; a missing weight is an error, not a random number."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    try:
        model, loading = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        processor = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=False
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{folder} holds no image tower of transformers with its processor: {error}") from error
    lacking = [*loading["missing_keys"], *loading["mismatched_keys"]]
    if lacking:
        raise InputError(f"{folder} is not a whole image tower: {len(lacking)} weights missing, first {lacking[0]}")
    return model.eval().to(device), processor
