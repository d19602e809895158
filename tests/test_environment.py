"""What a result was made with: the cards that a program sees, and none where it computed on the processor."""

from __future__ import annotations

import pytest

from kolors_submit import environment
from kolors_submit.device import Cuda, Gpu


def test_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda("570.1", 12080, (Gpu("a card", 24 * 2**30, free=2**30, capability=(8, 9)),))
    monkeypatch.setattr(environment, "read_cuda", lambda: cuda)
    found = environment.describe("cuda")
    assert (found["device"], found["driver"]) == ("cuda", "570.1")
    assert found["gpus"] == [{"name": "a card", "memory_mib": 24576}]


def test_the_processor_needs_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_cuda", lambda: 1 / 0)
    found = environment.describe("cpu")
    assert (found["device"], found["driver"], found["gpus"]) == ("cpu", None, [])
    assert found["packages"]["torch"]
