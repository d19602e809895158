"""Running out of a real card's memory, and keeping to a smaller one's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kolors_submit.device import read_machine
from kolors_submit.engine.memory import WORKSPACE, keep_within, stepping_down
from kolors_submit.errors import OutsideError

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_out_of_memory_steps_down() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    notes: list[str] = []

    def attempt(size: int) -> int:
        return torch.empty(size, dtype=torch.uint8, device="cuda").numel()

    assert stepping_down([2 * total, 1_000_000], attempt, notes.append) == 1_000_000
    assert len(notes) == 1
    with pytest.raises(OutsideError, match="nvidia-smi"):
        stepping_down([2 * total], attempt, notes.append)


def test_vram_is_kept_to() -> None:
    machine = read_machine("cuda", vram=8)
    assert machine.device_memory <= 7_500_000_000
    try:
        keep_within(machine)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(machine.device_memory, dtype=torch.uint8, device="cuda")
        assert torch.empty(machine.device_memory - 2 * WORKSPACE, dtype=torch.uint8, device="cuda").numel()
    finally:
        total = torch.cuda.get_device_properties(0).total_memory
        keep_within(replace(machine, device_memory=total + WORKSPACE))
