"""What every test gets: a home of its own, a network that ends at 127.0.0.1, and a tiny base."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import build_tiny_base

_HOME = Path(tempfile.mkdtemp(prefix="kolors-submit-tests-"))
_ENVIRONMENT = {
    "HOME": str(_HOME),
    "XDG_CACHE_HOME": str(_HOME / ".cache"),
    "XDG_CONFIG_HOME": str(_HOME / ".config"),
    "HF_HOME": str(_HOME / "huggingface"),
    "HF_HUB_OFFLINE": "1",
    "MODELSCOPE_CACHE": str(_HOME / "modelscope"),
    "TORCH_HOME": str(_HOME / "torch"),
    "MPLCONFIGDIR": str(_HOME / "matplotlib"),
    "DATA_JUICER_CACHE_HOME": str(_HOME / "data-juicer"),
    "SWANLAB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
}
_TOKENS = ("MODELSCOPE_API_TOKEN", "MODELSCOPE_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SWANLAB_API_KEY")

# Libraries read these when they are imported, which is before any fixture runs.
os.environ.update(_ENVIRONMENT)
for _name in _TOKENS:
    os.environ.pop(_name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete the tests' home."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh HOME for each test, so that nothing is read from or written to the user's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    return folder


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anything but this machine fails the test that makes it."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
            raise PermissionError(f"a test tried to connect to {address}")

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random base; tests that change it copy it first."""
    return build_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")
