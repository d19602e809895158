"""How well a picture agrees with its prompt: the cosine of CLIP's embeddings of both."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.decoders import open_picture
from kolors_submit.errors import InputError
from kolors_submit.metrics.pretrained import load
from kolors_submit.metrics.spread import devices_of, spread


def agreement(folder: Path, pictures: Sequence[Path], prompts: Sequence[str], device: str = "cpu") -> Iterator[float]:
    """The cosine, -1 to 1, of each picture with its prompt by the CLIP or Chinese-CLIP model in `folder`, in float32.

    This is CLIPScore without its factor (Hessel et al. 2021). A prompt longer than the model reads is cut. Raises
    InputError where the folder holds no such model.
    """
    import torch

    from kolors_submit.engine.kept import twin

    model, processor = _load(folder)
    limit = model.config.text_config.max_position_embeddings
    models = {where: twin(model).to(where) for where in devices_of(device, len(pictures))}
    tokenizing = threading.Lock()  # a tokenizer serves one thread at a time

    def measure(where: str, pair: tuple[Path, str]) -> float:
        path, prompt = pair
        with open_picture(path) as file, torch.no_grad():
            seen = processor.image_processor(images=file.convert("RGB"), return_tensors="pt")
            with tokenizing:
                read = processor.tokenizer(prompt, truncation=True, max_length=limit, return_tensors="pt")
            embeddings = models[where](**read.to(where), **seen.to(where))
            return float((embeddings.image_embeds * embeddings.text_embeds).sum())

    yield from spread(measure, list(models), list(zip(pictures, prompts, strict=True)))


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    model, processor = load(folder, AutoModel, AutoProcessor, "CLIP model", use_fast=False)
    if not hasattr(model, "get_text_features"):
        raise InputError(f"{folder} holds no CLIP model: it reads no text")
    return model, processor
