"""Image towers: the predictor's own, and DINOv2 as transformers writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kolors_submit.errors import InputError
from kolors_submit.metrics.tower import features
from tests.metrics.test_predictor import pictures


def build_dino(folder: Path) -> Path:
    """A tiny random DINOv2 with its processor."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def test_a_predictor_is_seen_through_its_own_tower(tiny_base: Path, tmp_path: Path) -> None:
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    folder, paths = tiny_base / "predictor", pictures(tmp_path)
    tower = CLIPVisionModelWithProjection.from_pretrained(folder).vision_model.eval()
    processor = CLIPImageProcessor.from_pretrained(folder)
    found = list(features(folder, paths))
    for path, vector in zip(paths, found, strict=True):
        with torch.no_grad():
            inputs = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")
            pooled = tower(**inputs).pooler_output[0].numpy()
        assert vector == pytest.approx(pooled / np.linalg.norm(pooled), abs=1e-5)
    assert len({vector.tobytes() for vector in found}) == len(paths)


def test_dinov2(tmp_path: Path) -> None:
    found = list(features(build_dino(tmp_path / "dino"), pictures(tmp_path)))
    assert [vector.shape for vector in found] == [(32,)] * 4
    assert [float(vector @ vector) for vector in found] == pytest.approx([1] * 4, abs=1e-5)


def test_several_devices_share_the_pictures(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, paths = tiny_base / "predictor", pictures(tmp_path)
    alone = list(features(folder, paths))
    monkeypatch.setattr("kolors_submit.metrics.tower.devices_of", lambda device, items: ["cpu", "cpu:0"])
    assert np.array_equal(list(features(folder, paths, "cuda")), alone)


def test_what_is_no_tower_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image tower"):
        list(features(tmp_path, pictures(tmp_path)))


def test_a_missing_weight_is_no_random_number(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = build_dino(tmp_path / "dino") / "model.safetensors"
    tensors = load_file(weights)
    tensors.pop("layernorm.weight")
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 weights missing, first layernorm\.weight"):
        list(features(tmp_path / "dino", pictures(tmp_path)))
