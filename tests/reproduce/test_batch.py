"""A judge's list of entries: each gets a verdict of its own, whatever is wrong with the others."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace as replace_fields
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kolors_submit import cli
from kolors_submit.bundle import archive
from kolors_submit.errors import InputError, Interrupted, OutsideError
from kolors_submit.files import read_json, write_error
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request, batch, judging, reproduce_list
from kolors_submit.reproduce.batch import share, work
from kolors_submit.reproduce.judging import MAX_DEATHS, Call, call_for
from kolors_submit.weights import open_base
from tests.bundle.spoil import edit_json, rebuild, replace, rewrite
from tests.reproduce.test_reproduce import change_the_lora, edit_the_scores, flip_a_pixel
from tests.reproduce.test_table import table


def judge(made, sources, **options) -> dict:
    path = made.out.parent / "entries.txt"
    path.write_text("# the entries\n\n" + "\n".join(map(str, sources)) + "\n", "utf-8")
    chosen = {"base": str(made.base), "device": "cpu", "out": made.out, "sample": 1, **options}
    return reproduce_list(path, Request("", **chosen), quiet())


def tampered(made, name: str, change, rebuilt: bool = True) -> Path:
    folder = shutil.copytree(made.bundle, made.bundle.parents[1] / name)
    change(folder)
    if rebuilt:
        rebuild(folder)
    return folder


def test_each_entry_gets_its_verdict_and_none_stops_the_rest(hub, made, tmp_path, capsys):
    publish(made.bundle, Target("alice/Rainy-Day", demonstration=True), quiet())
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK no zip")
    sources = {
        "modelscope:alice/Nobody": "fetch failed",
        str(tmp_path / "nothing"): "fetch failed",
        str(broken): "invalid",
        str(tampered(made, "unsealed", flip_a_pixel, rebuilt=False)): "invalid",
        str(tampered(made, "lora", change_the_lora)): "invalid",
        str(tampered(made, "scores", edit_the_scores)): "not reproduced",
        "modelscope:alice/Rainy-Day": "identical",
        str(archive.write_zip(made.bundle, tmp_path / "entry.zip")): "identical",
    }
    capsys.readouterr()
    with pytest.raises(OutsideError, match="2 of 8 entries were not fetched"):
        judge(made, sources)
    assert capsys.readouterr() == ("", ""), "a quiet one says nothing"
    rows = table(made.out)
    assert {row["entry"]: row["status"] for row in rows} == sources
    assert [row["rank"] for row in rows] == ["1", "1", *[""] * 6]
    assert [row["status"] for row in rows] == sorted(
        sources.values(), key=["identical", "not reproduced", "invalid", "fetch failed"].index
    )
    page = (made.out / "table.html").read_text("utf-8")
    headings = ("Reproduced", "Not reproduced", "Invalid", "Fetch failed")
    places = [page.index(f"<h2>{heading}</h2>") for heading in headings]
    assert places == sorted(places)
    problems = {row["entry"]: row["problems"] for row in rows}
    assert "scores.json claims" in problems[str(tmp_path / "scores")]
    assert "not a valid zip archive" in problems[str(broken)]


def test_it_goes_on_and_tries_again_what_could_not_be_fetched(hub, made):
    sources = [made.bundle, "modelscope:alice/Rainy-Day"]
    with pytest.raises(OutsideError, match="1 of 2"):
        judge(made, sources)
    first = next((made.out / "entries").glob("*/result.json"))
    done = {path: path.stat().st_mtime_ns for path in (made.out / "entries").glob("*/result.json")}
    publish(made.bundle, Target("alice/Rainy-Day", demonstration=True), quiet())
    assert judge(made, sources) == {"entries": 2, "statuses": {"identical": 2}, "failed": []}
    again = {path: path.stat().st_mtime_ns for path in done}
    assert sum(again[path] == done[path] for path in done) == 1 and first in done
    assert judge(made, [*sources, made.bundle])["entries"] == 2


def test_an_entry_that_ends_the_program_is_left_out(made):
    judge(made, [made.bundle])
    folder = next((made.out / "entries").iterdir())
    (folder / "result.json").unlink()
    (folder / "begun.json").write_text(json.dumps({"times": MAX_DEATHS}))
    with pytest.raises(OutsideError):
        judge(made, [made.bundle])
    assert read_json(folder / "result.json")["status"] == "failed here"
    assert judge(made, [made.bundle])["statuses"] == {"identical": 1}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("entries/*/result.json")}


def test_another_option_is_another_question(made):
    """A verdict holds for a call with the same options; another call's is not taken for done."""
    judge(made, [made.bundle])
    (first,) = times(made.out).items()
    judge(made, [made.bundle], yes=True)
    assert dict([first]) == times(made.out), "whether a download is agreed to is no question"
    judge(made, [made.bundle], sample=2)
    assert dict([first]) != times(made.out)
    (row,) = table(made.out)
    assert row["panels"].startswith("2 identical (panels")
    assert read_json(next(made.out.glob("entries/*/result.json")))["options"]["sample"] == 2


@pytest.mark.parametrize("stop", [Interrupted, KeyboardInterrupt])
def test_whoever_is_stopped_at_an_entry_has_not_died_of_it(made, monkeypatch, stop):
    def stopped(*rest):
        raise stop("by a person")

    with monkeypatch.context() as patched:
        patched.setattr(judging, "examine", stopped)
        for _ in range(MAX_DEATHS + 1):
            with pytest.raises(stop):
                judge(made, [made.bundle])
    begun = next(made.out.glob("entries/*/begun.json"))
    assert read_json(begun) == {"times": 0}
    assert judge(made, [made.bundle])["statuses"] == {"identical": 1}


def test_an_entry_without_a_verdict_is_tried_once_a_call(made, monkeypatch):
    tried = []
    monkeypatch.setattr(judging, "obtain", lambda *rest: tried.append(rest) or 1 / 0)
    entry = Request(str(made.bundle), out=made.out / "entries/one")
    one, other = call_for(entry), call_for(entry)
    told = []
    for call in (one, one, other):
        work([entry], call, lambda name: None, told.append)
    assert len(tried) == len(told) == 2 and {result["status"] for result in told} == {"failed here"}
    assert one.id != other.id and one.settled(entry) is None and other.settled(entry) == told[1]


def test_a_newer_format_is_for_a_newer_program_to_judge(made):
    newer = tampered(made, "newer", lambda folder: edit_json(folder, "data.json", lambda value: value.update(format=9)))
    with pytest.raises(OutsideError):
        judge(made, [newer])
    (row,) = table(made.out)
    assert row["status"] == "failed here" and "update kolors-submit" in row["problems"]


def test_an_error_that_nobody_thought_of_is_kept_for_one_entry(made, monkeypatch):
    real = judging.examine

    def examine(path, *rest):
        if path.name == "odd":
            raise ZeroDivisionError("nobody thought of this")
        return real(path, *rest)

    monkeypatch.setattr(judging, "examine", examine)
    odd = tampered(made, "odd", lambda folder: None)
    with pytest.raises(OutsideError):
        judge(made, [odd, made.bundle])
    assert {row["status"] for row in table(made.out)} == {"identical", "failed here"}
    assert "ZeroDivisionError" in next((made.out / "entries").glob("*/failure.txt")).read_text()


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [("", {}, "names no entry"), ("# only this\n", {}, "names no entry"), (None, {}, "not a list"),
     ("x", {"sample": 0}, "at least one"), ("x", {"base": "nowhere"}, "no such folder")],
)  # fmt: skip
def test_a_call_that_cannot_be_is_said_once(tmp_path, text, options, said):
    if text is not None:
        (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match=said):
        reproduce_list(tmp_path / "list", Request("", device="cpu", out=tmp_path / "out", **options), quiet())
    assert not (tmp_path / "out").exists()


def test_an_entry_that_asks_for_days_is_left_out(made):
    for old, new in (("steps: 2", "steps: 1000"), ("width: 64", "width: 2048"), ("height: 64", "height: 2048")):
        replace(made.bundle, "story.yaml", old, new)
    rebuild(made.bundle)
    (made.out.parent / "list").write_text(f"{made.bundle}\n")
    reproduce_list(made.out.parent / "list", Request("", str(made.base), "cpu", out=made.out), quiet())
    (row,) = table(made.out)
    assert row["status"] == "invalid" and "80 times the work of a contest entry" in row["problems"]
    assert "images/01.png is 64x64 pixels, the story renders 2048x2048" in row["problems"], "which makes it invalid"


def test_a_sound_entry_that_asks_for_days_may_be_reproduced_on_its_own(made, monkeypatch):
    monkeypatch.setattr(batch, "MAX_WORK", 0.0)
    with pytest.raises(OutsideError):
        judge(made, [made.bundle])
    (row,) = table(made.out)
    assert row["status"] == "failed here" and "reproduce it on its own" in row["problems"]


def drawn_on_a_gpu(folder: Path) -> None:
    """What the bundle would say had its noise been drawn on a GPU."""
    replace(folder, "story.yaml", "noise: cpu-float32", "noise: cuda-float16")
    for path in (*folder.glob("images/*.png"), *folder.glob("before/*.png")):
        with Image.open(path) as picture:
            info = PngInfo()
            for key, text in picture.info.items():
                info.add_text(key, text.replace('"noise": "cpu-float32"', '"noise": "cuda-float16"'))
            picture.save(path, pnginfo=info)
    rewrite(folder)


def test_what_this_machine_cannot_do_is_no_fault_of_the_entry(made):
    """It is tried again; an entry that breaks a rule too is invalid whatever this machine can do."""
    sound, broken = (tampered(made, name, drawn_on_a_gpu, rebuilt=False) for name in ("sound", "broken"))
    flip_a_pixel(broken)
    for _ in range(2):
        with pytest.raises(OutsideError, match="1 of 2 entries"):
            judge(made, [sound, broken])
        rows = {Path(row["entry"]).name: row for row in table(made.out)}
        assert {name: row["status"] for name, row in rows.items()} == {"sound": "failed here", "broken": "invalid"}
        assert all("needs a CUDA device" in row["problems"] for row in rows.values())
        assert "manifest: images/03.png" in rows["broken"]["problems"]


def test_a_line_that_is_too_long_for_a_path_is_one_entry(made):
    long = f"{made.bundle}/{'长' * 100}.zip"
    with pytest.raises(OutsideError, match="1 of 2 entries"):
        judge(made, [long, made.bundle])
    rows = {row["entry"]: row for row in table(made.out)}
    assert rows[long]["status"] == "fetch failed" and f"{long} cannot be looked at" in rows[long]["problems"]
    assert rows[str(made.bundle)]["status"] == "identical"


def test_a_long_chinese_path_has_a_folder_of_its_own(made):
    place = made.bundle.parents[1] / ("长" * 80)
    ones = [shutil.copytree(made.bundle, place / f"{'作品' * 20}{end}") for end in "甲乙"]
    assert judge(made, ones)["statuses"] == {"identical": 2}
    names = [path.name for path in (made.out / "entries").iterdir()]
    assert len(names) == 2 and all(len(name.encode()) <= 220 and "长长" in name for name in names)


def test_an_entry_whose_folder_cannot_be_had_is_one_entry(made):
    lost = tampered(made, "lost", lambda folder: None)
    (made.out / "entries").mkdir(parents=True)
    in_the_way = made.out / "entries" / batch._name(str(lost))
    in_the_way.touch()
    with pytest.raises(OutsideError, match="1 of 2 entries") as raised:
        judge(made, [lost, made.bundle])
    assert raised.value.value["statuses"] == {"identical": 1, "failed here": 1}
    assert raised.value.problems[1].startswith(f"{lost}: failed here: cannot write {in_the_way}")
    rows = {row["entry"]: row for row in table(made.out)}
    assert rows[str(lost)]["status"] == "failed here" and "a file stands where" in rows[str(lost)]["problems"]
    assert rows[str(made.bundle)]["status"] == "identical"
    in_the_way.unlink()
    assert judge(made, [lost, made.bundle])["statuses"] == {"identical": 2}


def test_a_full_disk_ends_the_batch(made, monkeypatch):
    def full(run, verb):
        error = OSError(errno.ENOSPC, "No space left on device")
        raise write_error(run.folder, error) from error

    monkeypatch.setattr(judging.Run, "hold", full)
    with pytest.raises(OutsideError, match="the disk is full"):
        judge(made, [made.bundle, made.bundle.parent])


def kill_who_is_at_an_entry(out: Path) -> None:
    """SIGKILL for the first process that is seen at work on an entry."""
    while not (begun := [path for path in out.glob("entries/*/begun.json") if (path.parent / "render").is_dir()]):
        time.sleep(0.01)
    os.kill(json.loads((begun[0].parent / ".lock").read_text())["pid"], signal.SIGKILL)


def shared(made, sources, out: Path) -> tuple[list[Request], Call]:
    """Entries to be judged by several processes, and the call that does it."""
    request = Request("", str(made.base), "cpu", sample=1)
    entries = [replace_fields(request, source=str(one), out=out / "entries" / Path(one).name) for one in sources]
    return entries, call_for(request)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True])
def test_processes_share_a_list(hub, made, tmp_path, monkeypatch, kill):
    """On a GPU machine each process sees a card of its own; here none of them sees one. One may die.

    What cannot be fetched is tried once and told once, not once by every process.
    """
    folders = [tampered(made, f"copy{n}", lambda folder: None) for n in range(4)]
    out = tmp_path / "results"
    entries, call = shared(made, [*folders[:2], "modelscope:alice/Nobody", *folders[2:], tmp_path / "nothing"], out)
    told = []
    monkeypatch.setattr(batch.time, "sleep", threading.Event().wait)  # the hub's fixture has nobody sleep
    if kill:
        threading.Thread(target=kill_who_is_at_an_entry, args=(out,), daemon=True).start()
    bases = {str(made.base): open_base(made.base)}
    share(entries, ["-1", "-1"], call, bases, lambda result: told.append((result["source"], result["status"])))
    expected = [(str(folder), "identical") for folder in folders]
    expected += [("modelscope:alice/Nobody", "fetch failed"), (str(tmp_path / "nothing"), "fetch failed")]
    assert sorted(told) == sorted(expected)
    assert sum("alice/Nobody" in path for _, path in hub.asked) == 1
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_leaves_no_trace_of_it(made, tmp_path):
    entries, call = shared(made, [made.bundle], tmp_path / "results")
    bases = {str(made.base): open_base(made.base)}
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=batch._work_on, args=("-1", entries, call, bases), daemon=True)
    process.start()
    begun = entries[0].out / "begun.json"
    while not begun.is_file() and process.is_alive():
        time.sleep(0.005)
    process.terminate()
    process.join(60)
    assert process.exitcode == 0 and read_json(begun) == {"times": 0}


def test_the_command_line(made, tmp_path, capsys):
    (tmp_path / "list").write_text(f"{made.bundle}\n")
    words = [
        "reproduce",
        "--list",
        str(tmp_path / "list"),
        "--base",
        str(made.base),
        "--device",
        "cpu",
        "--sample",
        "1",
    ]
    assert cli.run([*words, "--out", str(made.out), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["metrics"] == {"entries": 1, "statuses": {"identical": 1}, "failed": []}
    tables = {"table": str(made.out / "table.html"), "csv": str(made.out / "table.csv")}
    assert told["run"] == str(made.out) and told["outputs"] == tables
    assert "1 identical" in captured.err and f"1 of 1, {made.bundle}: identical" in captured.err
    assert cli.run(["reproduce"]) == cli.run([*words, str(made.bundle)]) == cli.run([*words, "--retrain"]) == 2
    assert cli.run([*words, "--panels", "1"]) == 2
    assert cli.run(["reproduce", str(made.bundle), "--data", "x"]) == 2


ENTRIES = 200


@pytest.mark.slow
def test_two_hundred_entries_three_of_them_broken_and_one_kill(made, tmp_path):
    """Copies of one entry; one has another prompt, one is no zip file, one is not there."""
    from tests.reproduce.test_reproduce import change_the_prompt

    folder = tmp_path / "entries"
    sources = [shutil.copytree(made.bundle, folder / f"{n:03d}") for n in range(ENTRIES - 3)]
    change_the_prompt(sources[50])
    rebuild(sources[50])
    (folder / "broken.zip").write_bytes(b"PK no zip")
    sources += [folder / "broken.zip", folder / "nothing", shutil.copytree(made.bundle, folder / "last")]
    (tmp_path / "list").write_text("".join(f"{source}\n" for source in sources))
    out = tmp_path / "results"
    command = [sys.executable, "-m", "kolors_submit", "reproduce", "--list", str(tmp_path / "list"), "--out", str(out)]
    command += ["--base", str(made.base), "--device", "cpu", "--sample", "1", "--json"]

    def finished() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in out.glob("entries/*/result.json")}

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(finished()) < ENTRIES // 2:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = finished()
    assert ENTRIES // 2 <= len(before) < ENTRIES
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 3, result.stderr
    after = finished()
    assert {path: after[path] for path in before} == before, "what was done is not done again"
    rows = table(out)
    assert {row["entry"] for row in rows} == set(map(str, sources)) and len(rows) == ENTRIES
    odd = {Path(row["entry"]).name: row["status"] for row in rows if row["status"] != "identical"}
    assert odd == {"050": "invalid", "broken.zip": "invalid", "nothing": "fetch failed"}
    assert "1 of 200 entries were not fetched" in result.stderr


def test_every_reason_is_told_whole_and_in_json(made, capsys):
    from kolors_submit.report import Reporter

    many = tampered(made, "many", lambda folder: [(folder / f"stray-{n:02d}{'x' * 60}").touch() for n in range(30)])
    (made.out.parent / "list").write_text(f"{many}\n")
    request = Request("", str(made.base), "cpu", out=made.out)
    value = reproduce_list(made.out.parent / "list", request, Reporter())
    heard = " ".join(capsys.readouterr().err.split())
    (failed,) = value["failed"]
    assert failed["status"] == "invalid" and len(failed["problems"]) == 30
    assert all(problem in heard for problem in failed["problems"]), "none is left out or cut"
    (row,) = table(made.out)
    folder = next((made.out / "entries").iterdir()).name
    assert row["problems"].endswith(f"… (all of it: entries/{folder}/result.json)") and len(row["problems"]) <= 1000
    assert read_json(made.out / "entries" / folder / "result.json")["problems"] == failed["problems"]


def test_what_has_no_verdict_is_named_in_the_error(made):
    with pytest.raises(OutsideError) as raised:
        judge(made, ["modelscope:alice/Nothing"])
    said, reason = raised.value.problems
    assert said.startswith("1 of 1 entries") and reason.startswith("modelscope:alice/Nothing: fetch failed: ")


def test_an_answer_has_the_tables_of_a_list_that_is_not_done(made, capsys):
    (made.out.parent / "list").write_text(f"nothing/here.zip\n{made.bundle}\n")
    words = ["reproduce", "--list", str(made.out.parent / "list"), "--base", str(made.base), "--device", "cpu"]
    assert cli.run([*words, "--sample", "1", "--out", str(made.out), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(made.out) and told["metrics"]["statuses"] == {"fetch failed": 1, "identical": 1}
    assert all(Path(path).is_file() for path in told["outputs"].values()) and len(told["outputs"]) == 2
