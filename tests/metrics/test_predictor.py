"""The score against the real classes, called as the contest's scorer calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolors_submit.errors import InputError
from kolors_submit.metrics.predictor import predictor_digest, score_pictures


def pictures(folder: Path, count: int = 4) -> list[Path]:
    """Pictures of several sizes and modes."""
    random = np.random.default_rng(1)
    paths = []
    for number, mode in zip(range(count), ("RGB", "L", "RGBA", "P"), strict=True):
        pixels = random.integers(0, 255, (9 + number, 7, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((70 + 9 * number, 50)).convert(mode)
        paths.append(folder / f"{number}.png")
        image.save(paths[-1])
    return paths


def test_scores_are_the_official_procedures(tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from aesthetics_predictor import AestheticsPredictorV2Linear
    from transformers import CLIPProcessor

    folder, paths = tiny_base / "predictor", pictures(tmp_path)
    predictor = AestheticsPredictorV2Linear.from_pretrained(folder)
    processor = CLIPProcessor.from_pretrained(folder)
    expected = []
    for path in paths:
        inputs = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")
        with torch.no_grad():
            outputs = predictor(**inputs)
        expected.append(outputs.logits.squeeze().item())
    assert len(set(expected)) == len(paths)
    assert list(score_pictures(folder, paths)) == pytest.approx(expected, abs=1e-5)


def test_several_devices_share_the_pictures(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, paths = tiny_base / "predictor", pictures(tmp_path)
    alone = list(score_pictures(folder, paths))
    used = []

    def two(device: str, items: int) -> list[str]:
        used.append((device, items))
        return ["cpu", "cpu:0"]

    monkeypatch.setattr("kolors_submit.metrics.predictor.devices_of", two)
    assert list(score_pictures(folder, paths, "cuda")) == alone
    assert used == [("cuda", 4)]


def test_digest_changes_with_a_weight(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiny_base / "predictor", tmp_path / "predictor")
    before = predictor_digest(folder)
    assert before == predictor_digest(tiny_base / "predictor")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert predictor_digest(folder) != before


def test_what_is_no_predictor_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    paths = pictures(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no AestheticsPredictorV2Linear"):
        list(score_pictures(tmp_path / "empty", paths))


def test_missing_weights_are_no_random_numbers(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny_base / "predictor", tmp_path / "predictor")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in tensors.items() if name != "layers.7.weight"}, folder / "model.safetensors"
    )
    with pytest.raises(InputError, match=r"1 weights missing, first layers\.7\.weight"):
        list(score_pictures(folder, pictures(tmp_path)))
