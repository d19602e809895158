"""What an image tower (CLIP's or DINOv2's) sees in a picture: one vector for what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kolors_submit.decoders import open_picture
from kolors_submit.metrics.palette import Array
from kolors_submit.metrics.pretrained import load


def features(folder: Path, pictures: Sequence[Path], device: str = "cpu") -> Iterator[Array]:
    """The pooled output of the tower in `folder` for each picture, one at a time: a unit vector, float32.

    Raises InputError where the folder holds no such tower.
    """
    import torch
    from transformers import AutoImageProcessor, AutoModel

    model, processor = load(folder, AutoModel, AutoImageProcessor, "image tower", use_fast=False)
    model = model.to(device)
    for path in pictures:
        with open_picture(path) as file, torch.no_grad():
            inputs = processor(images=file.convert("RGB"), return_tensors="pt").to(device)
            pooled = model(**inputs).pooler_output[0]
            yield (pooled / pooled.norm()).cpu().numpy()
