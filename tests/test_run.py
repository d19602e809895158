"""The run folder: atomic files, the lock, and when a stage has something to do."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kolors_submit.errors import OutsideError
from kolors_submit.run import Run, atomic_path, is_held, keep_only, run_folder, write_json, write_text


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def test_run_folder_names():
    assert run_folder(Path("runs"), Path("stories/ink.yaml"), "kolors").folder == Path("runs/ink/kolors")
    assert run_folder(Path("runs"), Path("stories/ink.yaml"), "tiny", "r32").folder == Path("runs/ink-r32/tiny")


def test_a_stage_is_done_until_an_input_or_an_output_changes(run):
    output = write_text(run.train / "a.txt", "a")
    stage = run.stage("train")
    inputs = {"train": {"rank": 16}, "data": "0123"}
    assert stage.changes(inputs) == ["not done yet"]
    stage.finish(inputs, [output], seconds=1.25)
    assert stage.is_done(inputs) and stage.changes(inputs) == [] and stage.seconds() == 1.25

    assert not stage.is_done({"train": {"rank": 8}, "data": "0123"})
    assert stage.changes({"train": {"rank": 8}, "data": "0123"}) == ["train.rank changed"]
    assert run.stage("train", format=2).changes(inputs) == ["made by another version of this stage"]
    output.write_text("b")
    assert stage.changes(inputs) == ["train/a.txt is missing or was edited"]
    output.unlink()
    assert not stage.is_done(inputs)
    write_text(output, "a")
    assert stage.is_done(inputs)
    stage.path.write_text("{")
    assert not stage.is_done(inputs)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as partial:
        partial.write_text("new")
        1 / 0
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("code", "said"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission")])
def test_a_refused_write_is_a_sentence(tmp_path, code, said):
    with pytest.raises(OutsideError, match=said), atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise OSError(code, os.strerror(code))
    assert os.listdir(tmp_path) == []


def test_a_write_past_the_file_size_limit_leaves_nothing(tmp_path):
    """A real refusal by the kernel, in the middle of a write."""
    program = f"""
import resource, signal
from pathlib import Path
from kolors_submit.run import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_bytes(Path({str(tmp_path)!r}) / "big.bin", b"x" * 5000)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 1 and "OutsideError: cannot write" in result.stderr
    assert os.listdir(tmp_path) == []


def _hold(folder: str) -> None:
    with Run(Path(folder)).hold("train"):
        time.sleep(60)


def test_one_process_holds_a_run_and_a_killed_one_lets_go(run):
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(run.folder),))
    process.start()
    deadline = time.monotonic() + 30
    while not is_held(run.folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    with pytest.raises(OutsideError, match=rf"in use by `train`, process {process.pid} on "), run.hold("render"):
        pass
    (run.folder / "render").mkdir()
    (run.folder / "render" / ".01.png.partial").write_text("half")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not is_held(run.folder)
    with run.hold("render"):
        assert list((run.folder / "render").iterdir()) == []


def test_keep_only_deletes_the_rest(tmp_path):
    keep = write_text(tmp_path / "a" / "keep.txt", "")
    write_text(tmp_path / "b" / "old.txt", "")
    (tmp_path / "link").symlink_to(keep)
    keep_only(tmp_path, [keep])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "keep.txt"]


def test_json_has_one_form(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "中"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "a": "中",\n  "b": 1\n}\n'
