"""How well a picture agrees with its prompt: the cosine of CLIP's embeddings of both."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.decoders import open_picture
from kolors_submit.errors import InputError
from kolors_submit.metrics.spread import devices_of, spread


def agreement(folder: Path, pictures: Sequence[Path], prompts: Sequence[str], device: str = "cpu") -> Iterator[float]:
    """The cosine, -1 to 1, of each picture with its prompt by the CLIP or Chinese-CLIP model in `folder`, in float32.

    This is CLIPScore without its factor (Hessel et al. 2021). A prompt longer than the model reads is cut. Raises
    InputError where the folder holds no such model.
    """
    import torch

    from kolors_submit.engine.kept import twin

    read, processor = _load(folder)
    limit = read.config.text_config.max_position_embeddings
    models = {where: twin(read).to(where) for where in devices_of(device, len(pictures))}
    tokenizing = threading.Lock()  # a tokenizer serves one thread at a time

    def measure(where: str, pair: tuple[Path, str]) -> float:
        path, prompt = pair
        with open_picture(path) as file, torch.no_grad():
            picture = file.convert("RGB")
            with tokenizing:
                inputs = processor(text=prompt, images=picture, truncation=True, max_length=limit, return_tensors="pt")
            embeddings = models[where](**inputs.to(where))
            return float((embeddings.image_embeds * embeddings.text_embeds).sum())

    yield from spread(measure, list(models), list(zip(pictures, prompts, strict=True)))


def _load(folder: Path) -> tuple[Any, Any]:
    """The model on the CPU and its processor; a missing weight is an error, not a random number."""
    import torch
    from transformers import AutoModel, AutoProcessor

    try:
        model, loading = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        processor = AutoProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=False
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{folder} holds no CLIP model with its processor: {error}") from error
    lacking = [*loading["missing_keys"], *loading["mismatched_keys"]]
    if lacking or not hasattr(model, "get_text_features"):
        raise InputError(f"{folder} is not a whole CLIP model: {len(lacking)} weights missing, or it reads no text")
    return model.eval(), processor
