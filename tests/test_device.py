"""Which cards there are for CUDA, as NVIDIA's library would list them: whole ones, and MIG instances."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pynvml
import pytest

from kolors_submit import device
from kolors_submit.device import Cuda, Gpu, find_device, read_cuda, read_machine, visible_cards, why_no_cuda
from kolors_submit.errors import InputError

GB = 10**9
CARDS = {
    "GPU-a0": {"memory": 24 * GB, "capability": (8, 6)},
    "GPU-b0": {"memory": 80 * GB, "capability": (9, 0)},
}
DIVIDED = {
    "GPU-a0": {"memory": 24 * GB, "capability": (8, 6)},
    "GPU-c0": {"memory": 80 * GB, "capability": (9, 0), "mig": {0: "MIG-c1", 2: "MIG-d2"}},
}
INSTANCE = 10 * GB


@pytest.fixture
def machine(monkeypatch):
    """A function that puts cards into the machine: identifier -> memory, capability and, in MIG mode, instances."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # so that it is put back whatever the test does
        monkeypatch.delenv(name)

    def put(cards):
        def memory(handle):
            total = INSTANCE if handle.startswith("MIG-") else cards[handle]["memory"]
            if "mig" in cards.get(handle, {}):
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)  # as in a container given one instance
            return SimpleNamespace(total=total, free=total - GB)

        def mode(handle):
            if "mig" not in cards[handle]:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return [pynvml.NVML_DEVICE_MIG_ENABLE] * 2

        def instance(handle, number):
            if number not in cards[handle]["mig"]:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
            return cards[handle]["mig"][number]

        answers = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: "570.1",
            "nvmlSystemGetCudaDriverVersion_v2": lambda: 12080,
            "nvmlDeviceGetCount": lambda: len(cards),
            "nvmlDeviceGetHandleByIndex": lambda index: list(cards)[index],
            "nvmlDeviceGetUUID": lambda handle: handle,
            "nvmlDeviceGetName": lambda handle: f"card {handle}",
            "nvmlDeviceGetCudaComputeCapability": lambda handle: cards[handle]["capability"],
            "nvmlDeviceGetMemoryInfo": memory,
            "nvmlDeviceGetMigMode": mode,
            "nvmlDeviceGetMaxMigDeviceCount": lambda handle: 7,
            "nvmlDeviceGetMigDeviceHandleByIndex": instance,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(pynvml, name, answer)
        monkeypatch.setattr(device, "_held_here", lambda index: 0)  # of a real card, in a process that used one

    return put


def seen(monkeypatch, visible):
    """What a program would see with this CUDA_VISIBLE_DEVICES: names of its cards, and values for one card each."""
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    return [gpu.name.removeprefix("card ") for gpu in read_cuda().gpus], visible_cards()


@pytest.mark.parametrize(
    ("visible", "names", "values"),
    [
        (None, ["GPU-a0", "GPU-b0"], ["0", "1"]),
        ("", [], []),
        ("-1", [], []),
        ("1", ["GPU-b0"], ["1"]),
        ("GPU-b,0", ["GPU-b0", "GPU-a0"], ["1", "0"]),
        ("0,7,1", ["GPU-a0"], ["0"]),
        ("GPU-", [], []),
    ],
)
def test_cuda_visible_devices_is_honoured(machine, monkeypatch, visible, names, values):
    machine(CARDS)
    assert seen(monkeypatch, visible) == (names, values)


@pytest.mark.parametrize(
    ("visible", "names", "values"),
    [
        ("MIG-d2", ["MIG-d2"], ["MIG-d2"]),
        ("MIG-d", ["MIG-d2"], ["MIG-d2"]),
        ("MIG-d2,MIG-c1", ["MIG-d2"], ["MIG-d2", "MIG-c1"]),
        ("1", ["MIG-c1"], ["MIG-c1"]),
        ("GPU-c", ["MIG-c1"], ["MIG-c1"]),
        ("0", ["GPU-a0"], ["0"]),
        (None, ["MIG-c1"], ["0", "MIG-c1", "MIG-d2"]),
        ("MIG-", [], []),
        ("MIG-nowhere", [], []),
    ],
)
def test_a_program_sees_one_mig_instance_and_many_share_out_all(machine, monkeypatch, visible, names, values):
    machine(DIVIDED)
    assert seen(monkeypatch, visible) == (names, values)


def test_a_plan_is_for_the_instance_and_not_for_its_card(machine, monkeypatch):
    machine(DIVIDED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-d2")
    assert find_device("auto") == "cuda"
    plan = read_machine("cuda")
    assert (plan.device_memory, plan.capability, plan.devices) == (INSTANCE - GB, (9, 0), 1)


def test_a_name_that_is_no_card_is_said(machine, monkeypatch):
    machine(DIVIDED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-nowhere")
    said = "CUDA_VISIBLE_DEVICES=MIG-nowhere names no GPU of this machine; `nvidia-smi -L` lists what there is"
    assert why_no_cuda(read_cuda()) == said
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=MIG-nowhere names no GPU"):
        find_device("cuda")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    machine({"GPU-c0": DIVIDED["GPU-c0"] | {"mig": {}}})
    assert "one in MIG mode needs an instance" in why_no_cuda(read_cuda())


def test_cuda_is_told_to_number_the_cards_as_they_were_read(machine, monkeypatch):
    """Otherwise CUDA's first card is the fastest, and the plan that of another."""
    machine(CARDS)
    read_cuda()
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    read_cuda()
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST", "what a person says holds"


def test_a_library_that_fails_is_no_driver(machine, monkeypatch):
    def fail(*_):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    machine(CARDS)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", fail)
    assert read_cuda() is None
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert read_cuda() is None and visible_cards() == []


def test_free_main_memory_is_the_containers_where_it_has_less(monkeypatch, tmp_path):
    """As the kernel writes it: a limit of 800 MB, 300 of them taken, 100 of these cache that it would give back."""
    machine = device.free_main_memory()
    assert 0 < machine <= device.main_memory()
    for name, text in {
        "max": "800000000\n",
        "current": "300000000\n",
        "stat": "anon 1\ninactive_file 100000000\n",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    real = device.Path
    monkeypatch.setattr(device, "Path", lambda path: real(str(path).replace("/sys/fs/cgroup", str(tmp_path))))
    assert device.free_main_memory() == 600_000_000


def test_cuda_asked_for_and_not_there_is_an_input_error(monkeypatch):
    monkeypatch.setattr(device, "read_cuda", lambda: None)
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(InputError, match="no NVIDIA driver"):
        find_device("cuda")
    monkeypatch.setattr(device, "read_cuda", lambda: Cuda("570", 12080, (Gpu("a card", 1),)))
    assert find_device("auto") == "cuda"
