"""How work is shared out: recorded threads everywhere, the first error stops the rest."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kolors_submit.device import Machine
from kolors_submit.engine import memory
from kolors_submit.engine.memory import (
    THREADS,
    arithmetic,
    compute_all,
    compute_for,
    keep_compiled,
    keep_within,
    on_gpu_or_cpu,
    stepping_down,
)
from kolors_submit.errors import OutsideError
from kolors_submit.metrics.spread import spread


def test_threads_are_the_recorded_ones_and_put_back() -> None:
    before = torch.get_num_threads()
    with arithmetic():
        assert torch.get_num_threads() == THREADS == compute_for("cpu").threads
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("cores", [1, 3])
def test_every_item_is_done_with_the_recorded_threads(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    done: dict[int, int] = {}
    workers: set[int] = set()

    def work(item: int, go_on: Callable[[], None]) -> None:
        go_on()
        time.sleep(0.02)
        workers.add(threading.get_ident())
        done[item] = torch.get_num_threads()

    compute_all("cpu", work, range(7))
    assert done == dict.fromkeys(range(7), THREADS)
    assert len(workers) <= cores


def test_the_first_error_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    finished: list[int] = []

    def work(item: int, go_on: Callable[[], None]) -> None:
        if item == 0:
            raise ValueError("item 0")
        for _ in range(200):
            go_on()
            time.sleep(0.01)
        finished.append(item)

    with pytest.raises(ValueError, match="item 0"):
        compute_all("cpu", work, range(6))
    assert finished == []


def test_out_of_memory_goes_on_with_the_next_plan_and_says_so() -> None:
    notes: list[str] = []
    tried: list[int] = []

    def attempt(images: int) -> str:
        tried.append(images)
        if images > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return f"done with {images}"

    assert stepping_down([16, 8, 4, 2], attempt, notes.append) == "done with 4"
    assert tried == [16, 8, 4]
    assert notes[0].startswith("the GPU's memory was not enough for 16; going on with 8")
    with pytest.raises(OutsideError, match="not enough for 8, the leanest"):
        stepping_down([16, 8], attempt, notes.append)


def test_what_a_gpu_has_no_room_for_is_done_on_the_cpu() -> None:
    notes: list[str] = []

    def attempt(device: str) -> str:
        if device == "cuda":
            raise torch.OutOfMemoryError
        return f"done on {device}"

    assert on_gpu_or_cpu("cuda", "scoring", attempt, notes.append) == "done on cpu"
    assert notes == ["the GPU's memory was not enough for scoring on the GPU; going on with scoring on the CPU"]
    assert on_gpu_or_cpu("cuda", "scoring", str.upper, pytest.fail) == "CUDA"
    assert on_gpu_or_cpu("cpu", "scoring", attempt, pytest.fail) == "done on cpu"


def test_the_gpu_is_given_back_what_measuring_took(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[str] = []
    monkeypatch.setattr(memory, "release", released.append)
    for device in ("cuda", "cpu"):
        on_gpu_or_cpu(device, "scoring", str.upper, pytest.fail)
    assert released == ["cuda", "cpu"]


def test_measuring_rounds_nothing_to_tf32() -> None:
    seen: list[tuple[bool, str]] = []

    def measure(where: str, item: int) -> int:
        seen.append((torch.backends.cudnn.allow_tf32, where))
        return item

    assert torch.backends.cudnn.allow_tf32
    assert list(spread(measure, ["cuda:0", "cuda:1"], range(4))) == list(range(4))
    assert sorted(seen) == [(False, "cuda:0")] * 2 + [(False, "cuda:1")] * 2
    assert torch.backends.cudnn.allow_tf32


CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


@pytest.fixture
def no_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has said where torch and Triton are to keep what they compile."""
    for name in CACHES:
        monkeypatch.setenv(name, "")  # so that it is put back whatever the test does
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_caches")
def test_what_is_compiled_is_kept_unless_the_person_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", "/where/the/person/says")
    keep_compiled(tmp_path / "out" / ".compiled")
    assert [os.environ[name] for name in CACHES] == [f"{tmp_path}/out/.compiled/inductor", "/where/the/person/says"]


@pytest.mark.usefixtures("no_caches")
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep_compiled(tmp_path / "file" / ".compiled")
    monkeypatch.setattr(os, "access", lambda *_: False)
    keep_compiled(tmp_path / "another's")
    assert not any(name in os.environ for name in CACHES)


def test_each_device_gets_as_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    together = threading.Barrier(6, timeout=30)
    monkeypatch.setattr("torch.cuda.set_device", begun.append)
    compute_all("cuda", lambda item, go_on: together.wait() and None, range(6), devices=2, threads=3)
    assert sorted(begun) == [0, 0, 0, 1, 1, 1]


def test_other_errors_are_not_mistaken_for_memory() -> None:
    def attempt(images: int) -> None:
        raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        stepping_down([16, 8], attempt, print)


def test_without_vram_an_earlier_hold_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[int, float] = {}
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=16 * 10**9))
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", lambda share, card: held.update({card: share}))
    keep_within(Machine("cuda", device_memory=5_500_000_000, capped=True))
    assert held == {0: pytest.approx(0.25)}
    keep_within(Machine("cuda", device_memory=5_500_000_000))
    assert held == {0: 1.0}
