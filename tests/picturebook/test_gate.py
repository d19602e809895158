"""The gate means something: the shipped story passes it on the real base, and fails as soon as its pictures are bad."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kolors_submit.weights.base import PICTUREBOOK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STORY = Path(__file__).parents[2] / "stories" / "watercolor.yaml"


def submit(runs: Path, run: str, *options: str) -> tuple[int, float]:
    """Exit status and mean score of a whole submission of the shipped story on the CPU."""
    place = ["--runs", str(runs), "--device", "cpu", *options]
    command = [sys.executable, "-m", "kolors_submit", "submission", str(STORY), *place]
    result = subprocess.run(command, capture_output=True, text=True)
    scores = runs / run / "picturebook/score/scores.json"
    assert scores.is_file(), result.stderr
    mean = json.loads(scores.read_text())["mean"]
    print(run, *options, mean)
    return result.returncode, mean


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the story was submitted on the picture book."""
    folder = tmp_path_factory.mktemp("gate")
    status, mean = submit(folder, "watercolor", "--base", "picturebook")
    assert status == 0 and mean >= 6
    return folder


def test_the_same_panels_in_three_steps_fail(runs: Path) -> None:
    shutil.copytree(runs / "watercolor", runs / "watercolor-hasty")
    trained = (runs / "watercolor-hasty/picturebook/stages/train.json").stat().st_mtime_ns
    hasty = ("--name", "hasty", "--set", "render.steps=3")
    status, mean = submit(runs, "watercolor-hasty", "--base", "picturebook", *hasty)
    assert (runs / "watercolor-hasty/picturebook/stages/train.json").stat().st_mtime_ns == trained
    assert status == 1 and mean < 6


def test_an_untrained_base_fails(tmp_path: Path) -> None:
    base = tmp_path / "picturebook"
    shutil.copytree(PICTUREBOOK, base)
    torch.manual_seed(0)
    for path in (base / "unet").glob("*.safetensors"):
        weights = {name: 0.02 * torch.randn(value.shape) for name, value in load_file(path).items()}
        save_file(weights, path)
    status, mean = submit(tmp_path / "runs", "watercolor", "--base", str(base), "--set", "train.steps_per_epoch=2")
    assert status == 1 and mean < 6
