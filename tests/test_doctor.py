"""The examination: one finding a line, what to do, and never a traceback."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from kolors_submit import doctor, locked_packages
from kolors_submit.cli import run
from kolors_submit.device import Cuda, Gpu
from kolors_submit.run import Run
from tests.pipeline import story_values, write_pictures, write_story


def states(findings, subject):
    return [finding.state for finding in findings if finding.subject == subject]


def said(findings, subject):
    return " / ".join(finding.text for finding in findings if finding.subject == subject)


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch, tiny_base):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope"))
    monkeypatch.setattr(doctor, "PICTUREBOOK", tiny_base)


def test_a_sound_machine_has_no_failure(tmp_path):
    findings = doctor.examine(None, tmp_path / "runs", offline=True)
    assert [finding for finding in findings if finding.state == "fail"] == []
    assert [f.subject for f in findings if f.subject in ("python", "packages", "memory")] == [
        "python",
        "packages",
        "memory",
    ]
    assert said(findings, "packages") == "as uv.lock says"


def test_no_gpu_and_too_old_a_driver_say_what_works(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "read_cuda", lambda: None)
    assert "the picture book works" in said(doctor.examine(None, tmp_path, offline=True), "gpu")
    monkeypatch.setattr(doctor, "read_cuda", lambda: Cuda("470.1", 11040, (Gpu("old", 8_000_000_000),)))
    assert "driver 470.1 knows CUDA 11.4 only" in said(doctor.examine(None, tmp_path, offline=True), "gpu")
    monkeypatch.setattr(doctor, "read_cuda", lambda: Cuda("570.1", 12080, (Gpu("small", 4_000_000_000),)))
    findings = doctor.examine(None, tmp_path, offline=True)
    assert states(findings, "gpu") == ["ok", "warn"]
    assert said(findings, "driver") == "570.1, CUDA 12.8"


def test_too_little_disk_memory_and_another_python(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "free_bytes", lambda folder: 10**9)
    monkeypatch.setattr(doctor, "main_memory", lambda: 10**9)
    monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 0))
    findings = doctor.examine(None, tmp_path, offline=True)
    assert states(findings, "disk") == ["fail", "warn"]
    assert "make room" in said(findings, "disk")
    assert states(findings, "memory") == ["fail"]
    assert states(findings, "python") == ["fail"]


def test_a_token_is_seen_and_never_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-0123456789")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghij")
    run(["doctor", "--offline", "--json"])
    heard = capsys.readouterr()
    findings = json.loads(heard.out)["metrics"]["findings"]
    assert [f["text"] for f in findings if f["subject"] == "token"] == ["modelscope: found", "huggingface: found"]
    assert "0123456789" not in heard.out + heard.err
    assert "abcdefghij" not in heard.out + heard.err


def test_a_hub_that_does_not_answer_is_a_warning(tmp_path, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setattr(doctor, "HUB_TIMEOUT", 0.3)
        findings = doctor.examine(None, tmp_path)
    assert states(findings, "hub") == ["warn", "warn"]


def test_run_folders_and_their_holders(tmp_path):
    held = Run(tmp_path / "runs/ink/tiny")
    with Run(tmp_path / "runs/fox/tiny").hold("train"):
        pass
    with held.hold("render"):
        text = said(doctor.examine(None, tmp_path / "runs", offline=True), "runs")
    assert f"{held.folder}: held by `render`" in text
    assert f"{tmp_path}/runs/fox/tiny: free" in text


def test_a_file_where_run_folders_should_be(tmp_path):
    (tmp_path / "runs").write_text("x")
    findings = doctor.examine(None, tmp_path / "runs", offline=True)
    assert [f.text for f in findings if f.subject == "runs"] == [
        f"{tmp_path / 'runs'} is a file; choose another folder with --runs, or move that file"
    ]


def examined(story, base="auto"):
    """State and text of what is said of a story."""
    findings = doctor.examine(story, Path("runs"), offline=True, base=base)
    return [(finding.state, finding.text) for finding in findings if finding.subject == "story"]


def test_a_story_that_this_machine_cannot_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "read_cuda", lambda: None)
    story = write_story(tmp_path / "story.yaml", story_values(write_pictures(tmp_path / "pictures")))
    assert [state for state, _ in examined(story)] == ["ok", "warn", "ok"]
    assert examined(story)[-1] == ("ok", f"4 training pictures in {tmp_path / 'pictures'}")
    assert [state for state, _ in examined(story, "kolors")] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "broken.yaml: cannot be read (No such file"),
        ("panels: [", "broken.yaml:1: is not YAML"),
        ("titel: x\nrank: 3\n", "(and 5 more: `kolors-submit story check broken.yaml`)"),
    ],
)
def test_a_broken_story_is_exit_2(text, said, capsys):
    if text is not None:
        Path("broken.yaml").write_text(text)
    assert run(["doctor", "--offline", "--story", "broken.yaml"]) == 2
    heard = capsys.readouterr().err
    assert said in heard and ("more: `kolors" in heard) == ("more: `kolors" in said)


def test_a_base_that_nobody_knows_is_exit_2(tmp_path):
    story = write_story(tmp_path / "story.yaml", story_values(write_pictures(tmp_path / "pictures")))
    assert run(["doctor", "--offline", "--story", str(story), "--base", "picturebok"]) == 2


@pytest.mark.parametrize(
    ("dataset", "said", "status"),
    [
        ({"source": "gone"}, "dataset.source gone is not a folder here", 2),
        ({"source": "empty"}, "dataset.source empty has no pictures in empty", 2),
        ({"source": "bare"}, "2 of 2 pictures have no caption that can be used (0.png, 1.png); write NAME.txt", 2),
        ({"source": "picturebook:oil"}, "picturebook:oil is no style of the picture book", 2),
        ({"source": "bare", "captions": "vlm"}, "no model to ask: set DASHSCOPE_API_KEY", 2),
        ({"source": "bare", "captions": "wd14"}, "wd-vit-tagger-v3 is not here; `kolors-submit weights fetch", 3),
        ({"source": "bare", "captions": "a cat"}, None, 0),
        ({"source": "pictures", "captions": "wd14"}, None, 0),
    ],
)
def test_what_a_storys_pictures_need_is_looked_for(dataset, said, status, tmp_path, capsys, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("empty").mkdir()
    write_pictures(tmp_path / "pictures")
    for path in write_pictures(tmp_path / "bare", 2).glob("*.txt"):
        path.unlink()
    story = write_story(tmp_path / "story.yaml", story_values(tmp_path) | {"dataset": dataset})
    assert run(["doctor", "--offline", "--story", "story.yaml", "--base", "kolors"]) == status
    heard = capsys.readouterr().err
    assert "fail" not in heard if said is None else f"fail    story     {said}" in heard, story


def test_a_source_for_another_machine_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "read_cuda", lambda: None)
    values = story_values(tmp_path) | {"dataset": {"source": "./mine"}}
    values["bases"] = {"picturebook": {"dataset": {"source": "picturebook:ink", "size": 256}}}
    story = write_story(tmp_path / "story.yaml", values)
    replaced, used, other = examined(story)[1:]
    assert replaced == ("warn", "dataset.source is picturebook:ink (bases.picturebook), not ./mine")
    assert used == ("ok", "training pictures from picturebook:ink")
    assert other[0] == "warn" and other[1].startswith("on Kolors: dataset.source ./mine is not a folder here")
    assert examined(story, "kolors")[-1][0] == "fail"


def test_pictures_too_large_for_the_embedded_base_are_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "read_cuda", lambda: None)
    values = story_values(tmp_path) | {"render": {"width": 1024, "height": 768, "steps": 2}}
    values["bases"] = {"picturebook": {"dataset": {"source": "picturebook:ink"}}}
    said = [text for state, text in examined(write_story(tmp_path / "story.yaml", values)) if state == "warn"]
    assert any(
        text.startswith("dataset.size is 1024, but picturebook draws 256x256: training takes 16 times") for text in said
    )
    assert any(
        "render is 1024x768, but picturebook draws 256x256: figures" in text and "such as 256x256 in" in text
        for text in said
    )


def test_what_is_wrong_with_a_caption_is_said_once_for_all_pictures(tmp_path):
    folder = write_pictures(tmp_path / "pictures")
    for number in (0, 2):
        (folder / f"{number}.txt").write_bytes("一只猫在湖边".encode("gb18030"))
    (folder / "3.txt").unlink()
    said = examined(write_story(tmp_path / "story.yaml", story_values(folder)), "kolors")
    assert ("warn", "0.png, 2.png: has a caption file that is not UTF-8; save it as UTF-8") in said
    assert any(
        text.startswith("1 of 4 pictures have no caption that can be used (3.png); write NAME") for _, text in said
    )


def test_a_template_is_not_ready(tmp_path):
    story = write_story(tmp_path / "story.yaml", story_values(tmp_path) | {"title": "（标题）"})
    ((state, said),) = examined(story)
    assert state == "fail" and "is still a template: title" in said


def test_a_broken_examination_is_a_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "differences", lambda: 1 / 0)
    findings = doctor.examine(None, tmp_path, offline=True)
    assert said(findings, "packages") == "cannot be examined: ZeroDivisionError: division by zero"
    assert run(["doctor", "--offline"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_packages_are_compared_with_the_lock(tmp_path):
    locked = tmp_path / "uv.lock"
    locked.write_text(
        """
[[package]]
name = "kolors-submit"
version = "0.1.0"
dependencies = [
    { name = "one" },
    { name = "two", version = "2.0", marker = "python_version >= '3'" },
    { name = "four", marker = "sys_platform == 'win32'" },
]
[[package]]
name = "one"
version = "1.0"
dependencies = [{ name = "three", extra = ["more"] }]
[[package]]
name = "two"
version = "1.0"
[[package]]
name = "two"
version = "2.0"
[[package]]
name = "three"
version = "3.0"
[package.optional-dependencies]
more = [{ name = "five" }]
[[package]]
name = "four"
version = "4.0"
[[package]]
name = "five"
version = "5.0"
[[package]]
name = "tool"
version = "6.0"
"""
    )
    sound = {"one": "1.0", "two": "2.0+local", "three": "3.0", "five": "5.0", "unknown": "9"}
    assert locked_packages.differences(locked, sound) == []
    assert locked_packages.differences(locked, sound | {"two": "1.0", "tool": "5.0"}) == [
        "tool is 5.0, locked is 6.0",
        "two is 1.0, locked is 2.0",
    ]
    assert locked_packages.differences(locked, {name: v for name, v in sound.items() if name != "five"}) == [
        "five 5.0 is not installed"
    ]
    assert locked_packages.differences(tmp_path / "none") is None
