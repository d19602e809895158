"""The tiny base is a base: our loader's layout, diffusers' pipeline and the real predictor all read it."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_it_has_the_published_layout(tiny_base: Path) -> None:
    from kolors_submit.weights import open_base

    base = open_base(tiny_base)
    assert base.predictor == tiny_base / "predictor"
    assert "unet/diffusion_pytorch_model.safetensors" in base.digests


def test_one_seed_gives_one_base(tiny_base: Path, tmp_path: Path) -> None:
    from kolors_submit.weights import open_base
    from tests.tiny import build_tiny_base

    again = open_base(build_tiny_base(tmp_path / "tiny")).digests
    assert again == open_base(tiny_base).digests


def test_the_real_predictor_loads_it(tiny_base: Path) -> None:
    import torch
    from aesthetics_predictor import AestheticsPredictorV2Linear
    from PIL import Image
    from transformers import CLIPProcessor

    model = AestheticsPredictorV2Linear.from_pretrained(tiny_base / "predictor").eval()
    processor = CLIPProcessor.from_pretrained(tiny_base / "predictor")
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "navy", "white")]
    with torch.no_grad():
        scores = model(**processor(images=pictures, return_tensors="pt")).logits.flatten()
    assert scores.shape == (3,)
    assert all(5 < float(score) < 8 for score in scores)
    assert float(scores.max() - scores.min()) > 1e-3


def test_no_test_reaches_the_network() -> None:
    import socket

    with pytest.raises(PermissionError, match="tried to connect"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
