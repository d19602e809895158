"""What pictures of the picture book show, as networks that have seen drawn pictures alone read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from kolors_submit.picturebook.pretrain import predictor
from kolors_submit.picturebook.pretrain.reader import ATTRIBUTES, labels
from kolors_submit.picturebook.scenes import Scene

READ = {"hair": "hair_left", "clothes": "clothes_left", "animal": "animal", "place": "place", "time": "time"}
"""What is read of a picture with one person, and the classifier's head that reads it."""


def known(scenes: Sequence[Scene], where: torch.device) -> dict[str, torch.Tensor]:
    """The right answer of each head for each scene; -100 where nobody can tell."""
    rows = [labels(scene) for scene in scenes]
    return {name: torch.tensor([row[name] for row in rows], device=where) for name in ATTRIBUTES}


@torch.no_grad()
def scores(folder: Path, pictures: torch.Tensor, where: torch.device) -> torch.Tensor:
    """The aesthetic score of pictures (n, 3, h, w) in 0..1 by the base's own predictor in `folder`, on the CPU."""
    from aesthetics_predictor import AestheticsPredictorV2Linear

    model = AestheticsPredictorV2Linear.from_pretrained(folder).float().to(where).eval()
    side = model.config.image_size
    parts = [model(pixel_values=predictor.pixels(one.to(where), side)).logits[:, 0].cpu() for one in pictures.split(64)]
    return torch.cat(parts)
