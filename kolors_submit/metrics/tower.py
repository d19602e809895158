"""What an image tower (CLIP's or DINOv2's) sees in a picture: one vector for what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kolors_submit.decoders import open_picture
from kolors_submit.metrics.palette import Array
from kolors_submit.metrics.pretrained import load
from kolors_submit.metrics.spread import devices_of, spread


def features(folder: Path, pictures: Sequence[Path], device: str = "cpu") -> Iterator[Array]:
    """The pooled output of the tower in `folder` for each picture by itself: a unit vector, float32.

    Raises InputError where the folder holds no such tower.
    """
    import torch
    from transformers import AutoImageProcessor, AutoModel

    from kolors_submit.engine.kept import twin

    read, processor = load(folder, AutoModel, AutoImageProcessor, "image tower", use_fast=False)
    models = {where: twin(read).to(where) for where in devices_of(device, len(pictures))}

    def measure(where: str, path: Path) -> Array:
        with open_picture(path) as file, torch.no_grad():
            inputs = processor(images=file.convert("RGB"), return_tensors="pt").to(where)
            pooled = models[where](**inputs).pooler_output[0]
            return np.asarray((pooled / pooled.norm()).cpu())

    yield from spread(measure, list(models), pictures)
