"""Processes that work for this one, when a terminal sends Ctrl-C to all of them and when this one is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from kolors_submit.children import end_with_parent, without_signals
from kolors_submit.errors import Interrupted
from kolors_submit.interrupt import held, interruptible

def work(number):
    print(number, flush=True)
    time.sleep(1)

if __name__ == "__main__":
    try:
        with interruptible(), held() as hold:
            with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), end_with_parent) as pool:
                with without_signals():
                    working = pool.map(work, range(2))
                list(working)
    except Interrupted:
        sys.exit(3)
"""


@pytest.fixture
def parent(tmp_path):
    """A process with two that work for it, in a group of their own, as a terminal starts it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert {process.stdout.readline(), process.stdout.readline()} == {"0\n", "1\n"}
    yield process
    process.communicate()


def are_gone(group, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_is_this_ones_to_deal_with(parent, number):
    os.killpg(parent.pid, number)
    said = parent.communicate(timeout=30)
    assert (parent.returncode, *said) == (3, "", "")
    assert are_gone(parent.pid)


def test_they_end_when_this_one_is_killed(parent):
    parent.kill()
    parent.wait()
    assert are_gone(parent.pid)
