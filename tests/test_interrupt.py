"""Ctrl-C and SIGTERM stop a command wherever it is: nothing takes them for one more failure and goes on."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from kolors_submit import doctor
from kolors_submit.data import filtering, pictures
from kolors_submit.device import Cuda, Gpu
from kolors_submit.engine.memory import compute_all
from kolors_submit.errors import Interrupted
from kolors_submit.interrupt import held, interruptible
from kolors_submit.metrics.spread import spread
from kolors_submit.picturebook.samples import sample_set
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request, reproduce_list
from kolors_submit.threads import in_threads
from kolors_submit.weights import find_base
from tests import loopback
from tests.weights.test_download import repository

__all__ = ["repository"]


def stop(*_, **__):
    raise Interrupted("stopped by SIGINT")


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
ENDED = "stopped by SIG"


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


@BOTH
def test_a_held_signal_comes_at_the_blocks_end(number):
    before, past = handlers(), []
    with pytest.raises(Interrupted, match=ENDED), interruptible(), held() as hold:
        os.kill(os.getpid(), number)
        past.append(hold.requested)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "a person who asks twice does not wait"
    assert past == [True]
    assert handlers() == before


def test_whoever_holds_a_signal_may_say_where_it_ended():
    with pytest.raises(Interrupted, match="after step 3"), interruptible(), held() as hold:
        os.kill(os.getpid(), signal.SIGTERM)
        if hold.requested:
            raise Interrupted("after step 3")


@BOTH
def test_a_signal_waits_for_the_end_of_an_import(tmp_path, number, monkeypatch):
    """Where C code calls Python, as the class statement of a model does, an exception may be lost."""
    lines = [
        "try:",
        f"    os.kill(os.getpid(), {int(number)})",
        "    time.sleep(0.1)",
        "except BaseException:",
        "    pass",
    ]
    (tmp_path / "loses_exceptions.py").write_text("\n".join(["import os, time", *lines]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "loses_exceptions", raising=False)
    with pytest.raises(Interrupted, match=f"stopped by {signal.Signals(number).name}"), interruptible():
        importlib.import_module("loses_exceptions")
        time.sleep(10)
    assert "loses_exceptions" in sys.modules


def test_the_outer_of_two_holds_has_the_signal():
    with pytest.raises(Interrupted, match=ENDED), interruptible(), held() as outer:
        with held() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (outer.requested, inner.requested) == (True, False)


@BOTH
def test_what_is_ignored_stays_so(number):
    """As in a process that trains beside the first, whose threads would be told to end."""
    before = signal.signal(number, signal.SIG_IGN)
    other = signal.SIGINT + signal.SIGTERM - number
    try:
        with pytest.raises(Interrupted, match=ENDED), interruptible():
            signal.signal(number, signal.SIG_IGN)
            with held() as hold:
                os.kill(os.getpid(), number)
                assert signal.getsignal(number) is signal.SIG_IGN and not hold.requested
                hold.install()
                os.kill(os.getpid(), number)
                assert not hold.requested
                os.kill(os.getpid(), other)
                assert signal.getsignal(number) is signal.SIG_IGN and hold.requested
    finally:
        signal.signal(number, before)


def test_without_a_signal_nothing_changes():
    before = handlers()
    with held() as hold:
        assert handlers() != before
    assert handlers() == before and not hold.requested


def share_out_pictures(work):
    in_threads(work, range(200))


def share_out_batches(work):
    compute_all("cpu", lambda item, go_on: (go_on(), work(item)), range(200))


def share_out_measures(work):
    list(spread(lambda device, item: work(item), ["cpu", "cpu"], range(200)))


@pytest.mark.parametrize("share_out", [share_out_pictures, share_out_batches, share_out_measures])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_threads_end_wherever_a_signal_comes(share_out, after, monkeypatch):
    """An exception between a lock and the `with` that gives it back would leave the threads waiting for ever."""
    take, main, taking, done = threading.Condition.__enter__, threading.get_ident(), [], []

    def signalled(self):
        taken = take(self)
        if threading.get_ident() == main and done:
            taking.append(self)
            if len(taking) == after:
                signal.raise_signal(signal.SIGTERM)
        return taken

    def work(item):
        time.sleep(0.05 if item else 0.01)  # so that the second still runs when the first is done
        done.append(item)

    running = set(threading.enumerate())
    with pytest.raises(Interrupted, match=ENDED), interruptible():
        monkeypatch.setattr(threading.Condition, "__enter__", signalled)
        share_out(work)
    assert len(taking) >= after and len(done) < 20
    assert set(threading.enumerate()) <= running


@pytest.mark.timeout(60)
@pytest.mark.parametrize("after", [1, 2, 9])
def test_drawing_ends_wherever_a_signal_comes(after, monkeypatch):
    """The pool's own thread, for which its end waits, takes the lock of whichever picture it has."""
    take, main, taking = threading.Condition.__enter__, threading.get_ident(), []

    def signalled(self):
        taken = take(self)
        if threading.get_ident() == main:
            taking.append(self)
            if len(taking) == after:
                signal.raise_signal(signal.SIGTERM)
        return taken

    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    with pytest.raises(Interrupted, match=ENDED), interruptible():
        monkeypatch.setattr(threading.Condition, "__enter__", signalled)
        list(sample_set("watercolor", 200, 64))
    assert len(taking) >= after and not multiprocessing.active_children()


@BOTH
@pytest.mark.timeout(60)
def test_a_signal_ends_a_process_even_while_its_state_is_read(tmp_path, number, monkeypatch):
    """Popen.poll takes a lock in one line and has it given back by the next; who waits afterwards would wait for it."""
    (tmp_path / "juicer.py").write_text(
        "import os, subprocess, time\n"
        "worker = subprocess.Popen(['sleep', '60'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {worker.pid}')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(filtering, "__file__", str(tmp_path / "filtering.py"))
    pids = tmp_path / "pids"

    class Lock:
        """A process's lock that is taken just when the signal comes."""

        def __init__(self, lock):
            self.release, self.take, self.sent = lock.release, lock.acquire, False

        def acquire(self, *wait):
            taken = self.take(*wait)
            if taken and not self.sent and pids.is_file() and pids.read_text():
                self.sent = True
                signal.raise_signal(number)
            return taken

        def __enter__(self):
            return self.acquire()

        def __exit__(self, *_):
            self.release()

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self._waitpid_lock = Lock(self._waitpid_lock)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(Interrupted, match=ENDED), interruptible():
        filtering.start(tmp_path, 1, "cpu")
    for pid in map(int, pids.read_text().split()):
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@BOTH
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
