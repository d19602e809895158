"""The process that Data-Juicer runs in: closed, and believed only when it accounts for every picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kolors_submit.data import filtering
from kolors_submit.data.filtering import Candidate, environment, run_filters, write_inputs
from kolors_submit.errors import OutsideError
from kolors_submit.story import Filters
from tests.data.jobs import NO_FILTERS, encoded, picture


def candidates(folder: Path, count: int = 3) -> list[Candidate]:
    (folder / "pictures").mkdir(parents=True)
    made = []
    for number in range(1, count + 1):
        path = folder / "pictures" / f"{number}.png"
        path.write_bytes(encoded(picture(number)))
        made.append(Candidate(number, f"{number}.png", "text", path, str(number)))
    return made


@pytest.mark.slow
def test_a_broken_predictor_is_an_error_and_not_an_empty_dataset(tmp_path: Path) -> None:
    predictor = tmp_path / "predictor"
    predictor.mkdir()
    (predictor / "config.json").write_text("{}")
    filters = Filters(**NO_FILTERS | {"aesthetics": {"min_score": 1}})
    with pytest.raises(OutsideError, match="Data-Juicer ended with status 1") as error:
        run_filters(filters, candidates(tmp_path / "work"), tmp_path / "work", predictor, "cpu")
    assert "could not read a single picture" in str(error.value) or "Error" in str(error.value)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; print('the last words'); sys.exit(3)", "ended with status 3(.|\n)*the last words"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("print('did nothing')", "does not account for every picture"),
        ("open('result.json', 'w').write('{')", "does not account"),
        (
            "import json; json.dump([{'operator': 'image_shape_filter', 'entered': [1, 2, 3], 'kept': [1, 9],"
            "'values': {'1': 0, '2': 0}}], open('result.json', 'w'))",
            "does not account",
        ),
    ],
)
def test_a_crash_of_data_juicer_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    """A process that stands in for juicer.py ends in each way that the real one might."""
    (tmp_path / "juicer.py").write_text(program)
    monkeypatch.setattr(filtering, "__file__", str(tmp_path / "filtering.py"))
    filters = Filters(**NO_FILTERS | {"shape": {"min_width": 1, "min_height": 1}})
    with pytest.raises(OutsideError, match=why):
        run_filters(filters, candidates(tmp_path / "work"), tmp_path / "work", None, "cpu")


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "juicer.py").write_text("import time; print('waiting', flush=True); time.sleep(60)")
    monkeypatch.setattr(filtering, "__file__", str(tmp_path / "filtering.py"))
    monkeypatch.setattr(filtering, "STARTUP_SECONDS", 1)
    with pytest.raises(OutsideError, match=r"did not end within 2 s.*(\n.*)*waiting"):
        filtering.start(tmp_path, 1, "cpu")


def test_what_comes_later_is_imported_while_data_juicer_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for juicer.py ends only when the module has been imported."""
    (tmp_path / "juicer.py").write_text(
        "import pathlib, time\n"
        "while not pathlib.Path('imported').exists():\n"
        "    time.sleep(0.01)\n"
        "pathlib.Path('result.json').write_text('[]')\n"
    )
    (tmp_path / "wanted_later.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    monkeypatch.setattr(filtering, "__file__", str(tmp_path / "filtering.py"))
    monkeypatch.syspath_prepend(tmp_path)
    assert filtering.start(tmp_path, 1, "cpu", ["wanted_later"]) == []


def test_a_module_that_cannot_be_imported_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "juicer.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(filtering, "__file__", str(tmp_path / "filtering.py"))
    before = {process.pid for process in psutil.Process().children()}
    with pytest.raises(ModuleNotFoundError):
        filtering.start(tmp_path, 1, "cpu", ["no_such_module"])
    assert {process.pid for process in psutil.Process().children()} <= before


def test_a_picture_that_an_operator_cannot_read_is_failed_and_not_lost(tmp_path: Path) -> None:
    asked = candidates(tmp_path / "work", 4)
    asked[1].file.write_bytes(b"damaged after it was checked")
    filters = Filters(exact_duplicates=False, near_duplicates=False)
    shape, ratio = run_filters(filters, asked, tmp_path / "work", None, "cpu")
    assert (shape.entered, shape.kept, shape.dropped, shape.failed) == ((1, 2, 3, 4), (1, 3, 4), (), (2,))
    assert (ratio.entered, ratio.kept) == ((1, 3, 4), (1, 3, 4))


@pytest.mark.slow
def test_several_processes_meet_below_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data-Juicer's processes meet at sockets, whose paths Linux bounds."""
    folder = tmp_path / ("a folder with a long name, as they are in people's homes" * 2)
    asked = candidates(folder, 420)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    (step,) = run_filters(Filters(**NO_FILTERS | {"shape": {"min_width": 90}}), asked, folder, None, "cpu")
    assert len(step.kept) == 420


def test_no_filter_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a process"))
    assert run_filters(Filters(**NO_FILTERS), candidates(tmp_path / "work"), tmp_path / "work", None, "cpu") == []
    assert run_filters(Filters(), [], tmp_path / "work", None, "cpu") == []


def test_the_closed_environment_has_no_tokens_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "OPENAI_API_KEY", "PYTHONPATH", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "secret")
    closed = environment(tmp_path, "cpu")
    assert "secret" not in closed.values()
    assert {closed[name] for name in ("UV_OFFLINE", "PIP_NO_INDEX", "HF_HUB_OFFLINE")} == {"1"}
    assert closed["CUDA_VISIBLE_DEVICES"] == "" and closed["HOME"].startswith(str(tmp_path))
    monkeypatch.delenv("USER", raising=False)
    assert environment(tmp_path, "cpu")["USER"] == str(os.getuid()), "a container's user may have no name"


@pytest.mark.slow
def test_dj_process_takes_the_recipe_and_keeps_the_same_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    asked = candidates(folder, 6)
    asked[3] = Candidate(4, "4.png", "text", asked[0].file, asked[0].sha256)
    (folder / "pictures/6.png").write_bytes(encoded(picture(6, (40, 200))))
    filters = Filters(shape={"min_width": 20, "min_height": 20})  # type: ignore[arg-type]
    kept = run_filters(filters, asked, folder, None, "cpu")[-1].kept
    assert kept == (1, 2, 3, 5)
    write_inputs(filters, asked, folder, None)
    command = [Path(sys.executable).with_name("dj-process"), "--config", "recipe.yaml"]
    ran = subprocess.run(command, cwd=folder, env=environment(folder, "cpu"), capture_output=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    rows = [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]
    assert tuple(row["id"] for row in rows) == kept
