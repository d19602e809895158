"""Ctrl-C and SIGTERM stop a command wherever it is: nothing takes them for one more failure and goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from kolors_submit import doctor
from kolors_submit.cli.interrupt import interruptible
from kolors_submit.data import pictures
from kolors_submit.device import Cuda, Gpu
from kolors_submit.errors import Interrupted
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request, reproduce_list
from kolors_submit.weights import find_base
from tests import loopback
from tests.weights.test_download import repository

__all__ = ["repository"]


def stop(*_, **__):
    raise Interrupted("stopped by SIGINT")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_download_is_not_tried_again_and_takes_no_other_base(repository, number, monkeypatch):
    """The client retries what fails, `auto` would go on to the next hub, and then to the picture book."""
    card = Cuda("570.1", 12080, (Gpu("a card", 80_000_000_000),))
    monkeypatch.setattr("kolors_submit.weights.find.read_cuda", lambda: card)
    send, signalled = loopback.Handler.send_file, []

    def send_file(self, data, **options):
        if len(data) > 100_000 and not signalled:
            signalled.append(number)
            time.sleep(0.2)  # until the client waits for its threads
            os.kill(os.getpid(), number)
            time.sleep(0.2)
        return send(self, data[: len(data) // 2], **options) if signalled else send(self, data, **options)

    monkeypatch.setattr(loopback.Handler, "send_file", send_file)
    with pytest.raises(Interrupted, match=f"stopped by {signal.Signals(number).name}"), interruptible():
        find_base("auto", quiet(), yes=True)
    assert signalled == [number]
    assert not any(path.startswith("/api/models/") for path in repository.paths), "no other hub was asked"


def test_an_examination_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "differences", stop)
    with pytest.raises(Interrupted):
        doctor.examine(None, tmp_path, offline=True)


def test_a_picture_is_not_called_corrupt(monkeypatch):
    monkeypatch.setattr(pictures, "_decode", stop)
    with pytest.raises(Interrupted):
        pictures.decode(b"a picture")


def test_a_list_of_entries_stops_and_the_entry_is_not_judged(tmp_path, monkeypatch):
    monkeypatch.setattr("zipfile.ZipFile.__init__", stop)
    (tmp_path / "entry.zip").write_bytes(b"PK")
    listed = tmp_path / "entries.txt"
    listed.write_text(f"{tmp_path / 'entry.zip'}\n", "utf-8")
    with pytest.raises(Interrupted):
        reproduce_list(listed, Request("", "auto", "cpu", out=tmp_path / "out"), quiet())
    assert not list((tmp_path / "out").rglob("result.json"))
