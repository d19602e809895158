"""The examination: one finding a line, what to do, and never a traceback."""

from __future__ import annotations

import json
import socket

import pytest

from kolors_submit import doctor, locked_packages
from kolors_submit.cli import run
from kolors_submit.device import Cuda, Gpu
from kolors_submit.run import Run
from tests.pipeline import story_values, write_story


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
    assert "the embedded base works" in said(doctor.examine(None, tmp_path, offline=True), "gpu")
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


def test_a_story_that_this_machine_cannot_serve(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "read_cuda", lambda: None)
    story = write_story(tmp_path / "story.yaml", story_values(tmp_path))
    findings = doctor.examine(story, tmp_path, offline=True)
    assert states(findings, "story") == ["ok", "warn"]
    (tmp_path / "broken.yaml").write_text("panels: [")
    assert states(doctor.examine(tmp_path / "broken.yaml", tmp_path, offline=True), "story") == ["fail"]


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
