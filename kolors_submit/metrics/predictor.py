"""The contest's aesthetic score: simple-aesthetics-predictor's linear head on CLIP, one picture at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kolors_submit.decoders import open_picture
from kolors_submit.files import digest
from kolors_submit.metrics.pretrained import load
from kolors_submit.metrics.spread import devices_of, spread
from kolors_submit.weights import choose_files
from kolors_submit.weights.digests import digests_of


def predictor_digest(folder: Path) -> str:
    """One SHA-256 for a predictor: over the digests of its settings and weights."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return digest(digests_of(folder, choose_files(path.relative_to(folder).as_posix() for path in found)))


def score_pictures(folder: Path, pictures: Sequence[Path], device: str = "cpu") -> Iterator[float]:
    """The aesthetic score (about 0 to 10) of each picture, by the predictor in `folder`, in float32.

    This is the procedure of the contest's scorer: CLIPProcessor and AestheticsPredictorV2Linear on one RGB picture at
    a time, the logit as it comes. Raises InputError where the folder holds no such predictor.
    """
    import torch
    from aesthetics_predictor import AestheticsPredictorV2Linear as Predictor
    from transformers import CLIPProcessor

    from kolors_submit.engine.kept import shelved, twin

    read, processor = shelved(("predictor", folder), lambda: load(folder, Predictor, CLIPProcessor, Predictor.__name__))
    models = {where: twin(read).to(where) for where in devices_of(device, len(pictures))}

    def measure(where: str, path: Path) -> float:
        with open_picture(path) as picture, torch.no_grad():
            inputs = processor(images=picture.convert("RGB"), return_tensors="pt").to(where)
            return float(models[where](**inputs).logits.squeeze())

    yield from spread(measure, list(models), pictures)
