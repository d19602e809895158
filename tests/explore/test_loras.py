"""Checkpoints as LoRAs: equal to a training that ends there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolors_submit.engine import lora_files
from kolors_submit.errors import InputError
from kolors_submit.explore.loras import loras_for
from kolors_submit.train import train
from tests.engine.parts import same
from tests.tiny import UNET
from tests.train.jobs import make_job


def test_a_checkpoint_is_the_lora_of_a_shorter_training(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "six", tiny_base)
    train(job)
    shorter = make_job(tmp_path / "four", tiny_base, steps_per_epoch=4)
    train(shorter)
    found = loras_for(job, ("last", "4", "last"))
    assert list(found) == ["last", "4"] and found["last"] == job.run.lora
    at_four = lora_files.read(found["4"], UNET)
    assert same(at_four, lora_files.read(shorter.run.lora, UNET))
    assert not same(at_four, lora_files.read(job.run.lora, UNET))
    before = found["4"].read_bytes()
    assert loras_for(job, ("4",))["4"].read_bytes() == before
    with pytest.raises(InputError, match="--checkpoints 5: training kept no checkpoint .*, but last, 2, 4, 6"):
        loras_for(job, ("5",))
