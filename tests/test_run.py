"""The run folder: the lock, and when a stage has something to do."""

import fcntl
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from kolors_submit.errors import OutsideError
from kolors_submit.files import write_text
from kolors_submit.hold import is_held
from kolors_submit.run import Run, run_folder


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def test_run_folder_names():
    assert run_folder(Path("runs"), Path("stories/ink.yaml"), "kolors").folder == Path("runs/ink/kolors")
    assert run_folder(Path("runs"), Path("stories/ink.yaml"), "tiny", "r32").folder == Path("runs/ink-r32/tiny")


def test_what_is_compiled_lies_beside_the_runs_or_in_a_folder_that_lies_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = run_folder(Path("runs"), Path("stories/ink.yaml"), "kolors")
    assert beside.compiled == beside.explore.compiled == tmp_path / "runs" / ".compiled"
    assert Run(Path("/data/out")).compiled == Path("/data/out/.compiled")
    assert Run(Path("out")).compiled == tmp_path / "out" / ".compiled"


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


def _hold(folder: str) -> None:
    with Run(Path(folder)).hold("train"):
        time.sleep(60)


def test_somebody_who_only_looks_takes_it_from_nobody(run):
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / ".lock").open("a+") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with run.hold("render"):
            assert is_held(run.folder)


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


def test_half_written_files_of_a_run_further_down_are_its_own(run):
    inner = Run(run.folder / "imports" / "x")
    with inner.hold("import"):
        half = inner.folder / ".page.partial"
        half.write_text("half")
        with run.hold("render"):
            assert half.exists()
