"""What every verb has in common: help, --json, exit statuses, no tracebacks, an orderly end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from kolors_submit.cli import VERBS, run, verbs
from kolors_submit.errors import InputError, Interrupted, OutsideError, RuleError
from kolors_submit.weights import KNOWN
from tests.pipeline import story_values, write_pictures, write_story

ROOT = Path(__file__).parents[2]


def commands():
    """Every command, as the words that call it."""
    context = click.Context(verbs)
    for name in VERBS:
        command = verbs.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((name, sub) for sub in command.commands)
        else:
            yield (name,)


@pytest.fixture
def story(tmp_path):
    return write_story(tmp_path / "story.yaml", story_values(write_pictures(tmp_path / "pictures")))


def answer(capsys, *arguments):
    """Exit status, the object on stdout, and stderr of one call with --json."""
    status = run([*map(str, arguments), "--json"])
    heard = capsys.readouterr()
    return status, json.loads(heard.out), heard.err


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_verb_has_help_and_stands_in_the_readme(words, capsys):
    assert run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.split("Options:")[0].splitlines()) > 3, "no sentence on what it does"
    for option in ("--json", "--quiet", "--debug"):
        assert option in text
    assert f"`{words[0]}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("verb", ["submission", "data", "train", "render", "score", "bundle", "check"])
def test_verbs_on_a_story_share_their_options(verb, capsys):
    assert run([verb, "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--base", "--runs", "--set", "--name", "--device", "--yes"):
        assert option in text


def test_no_verb_lists_them(capsys):
    assert run([]) == 2
    text = capsys.readouterr().err
    assert all(f"  {verb} " in text for verb in VERBS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["paint"], "No such command 'paint'"),
        (["subission", "story.yaml"], "No such command 'subission'. Did you mean 'submission'?"),
        (["render"], "Missing argument 'STORY'"),
        (["render", "x.yaml", "--device", "tpu"], "Invalid value for '--device'"),
        (["score"], "name a story, or a folder with --images"),
        (["score", "x.yaml", "--images", "y"], "name a story, or a folder with --images"),
        (["score", "x.yaml", "--predictor", "y"], "--predictor goes with --images"),
        (["score", "--images", ".", "--set", "a=1"], "--set: no use here; the pictures of --images"),
        *[
            (arguments, said)
            for verb in ("check", "publish")
            for arguments, said in (
                ([verb], "name a bundle, or a story with --story"),
                ([verb, "b", "--story", "s.yaml"], "name a bundle or a story with --story, not both"),
                ([verb, "b", "--set", "foo=1", "--name", "q"], "--set, --name: no use here; a bundle is taken as it"),
                ([verb, "b", "--base", "auto"], "--base: no use here"),
                ([verb, "nowhere"], "nowhere does not exist; name a bundle's folder or its zip file"),
                ([verb, "modelscope:owner/Name"], "is on a hub; `kolors-submit reproduce modelscope:owner/Name`"),
            )
        ],
        (["score", "--images", "nowhere"], "--images nowhere: no such folder"),
        (["score", "--images", ".", "--predictor", "owner/name"], "--predictor owner/name: no such folder"),
        (["explore", "x.yaml", "--lora-strength", "0.5,nan"], "'nan' is not a finite number"),
        (["submission", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["story", "check", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["weights", "fetch", "sdxl"], "sdxl: unknown weights; choose from kolors"),
        (["weights", "fetch"], "cannot ask without a terminal; pass --yes"),
        (["weights", "verify", "kolors"], "has no recorded digests"),
        (["weights", "verify", "nosuch"], "nosuch: unknown weights; choose from kolors"),
        (["compare", "nowhere"], "compare needs two runs"),
        (["compare", "nowhere", "nowhere"], "nowhere does not exist; name a run folder"),
        (["compare", "a", "b", "--html", "."], "File '.' is a directory"),
        (["story", "schema", "."], "File '.' is a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_exit_2_and_one_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, value, heard = answer(capsys, *arguments)
    assert status == 2
    assert said in heard
    assert "Traceback" not in heard
    assert value["ok"] is False
    assert value["verb"] == arguments[0]
    assert said in value["problems"][0]["text"]
    assert set(value) == {"verb", "ok", "run", "outputs", "metrics", "problems"}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuleError("the score is too low"), 1, "the score is too low"),
        (InputError("no such picture"), 2, "no such picture"),
        (OutsideError("the hub is away"), 3, "the hub is away"),
        (Interrupted("stopped"), 3, "stopped"),
        (MemoryError("1 GB"), 3, "memory ran out (1 GB); close other programs"),
        (OSError(28, "No space left on device", "a.png"), 3, "a.png: No space left on device; fix this and run again"),
        (KeyboardInterrupt(), 3, "stopped; run the same command again"),
        (
            ZeroDivisionError("x"),
            3,
            "unexpected ZeroDivisionError: x. This is a bug in kolors-submit; run it again with",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_error_has_its_exit_status_and_a_traceback_only_with_debug(error, status, said, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("kolors_submit.weights.known.weights_folder", fail)
    assert answer(capsys, "weights", "list")[0] == status
    assert run(["weights", "list"]) == status
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.lstrip().startswith("error: ")
    assert said in heard.err
    assert "Traceback" not in heard.err
    assert run(["weights", "list", "--debug"]) == status
    assert "Traceback" in capsys.readouterr().err


def test_a_stage_before_its_turn_says_which_to_run_first(story, tiny_base, tmp_path, capsys):
    status, value, heard = answer(capsys, "render", story, "--base", tiny_base, "--runs", tmp_path / "runs")
    assert status == 2
    assert "has no finished data stage; run `kolors-submit data` first" in heard
    assert value["run"] == str(tmp_path / "runs/story/tiny")


def test_publishing_takes_what_the_submission_was_made_with(story, tiny_base, tmp_path, capsys):
    """`make submission ARGS='--vram 8' PUSH=1` hands its ARGS to both."""
    made_with = ("--vram", "8", "--price", "7", "--budget", "2")
    place = ("--base", tiny_base, "--runs", tmp_path / "runs")
    assert "run `kolors-submit submission" in answer(capsys, "publish", "--story", story, *place, *made_with)[2]
    assert "--vram, --price, --budget: no use here" in answer(capsys, "publish", story, *made_with)[2]
    assert run(["publish", "--help"]) == 0
    assert "--vram" not in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["check", "publish"])
def test_a_story_without_a_bundle_says_what_makes_one_and_leaves_nothing(verb, story, tiny_base, tmp_path, capsys):
    status, _, heard = answer(capsys, verb, "--story", story, "--base", tiny_base, "--runs", tmp_path / "runs")
    assert status == 2
    again = f"{story} --base {tiny_base} --runs {tmp_path / 'runs'}"
    assert f"does not exist; run `kolors-submit submission {again}` first" in heard
    assert not (tmp_path / "runs").exists()


def test_a_bundle_is_found_without_the_base_that_it_was_made_on(story, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "story/kolors/bundle does not exist" in answer(capsys, "check", "--story", story, "--base", "kolors")[2]
    assert "story/kolors/bundle or runs/story/picturebook/bundle" in answer(capsys, "check", "--story", story)[2]
    for base in ("picturebook", "kolors"):
        shutil.copytree(ROOT / "tests/golden/bundle-1", tmp_path / f"runs/story/{base}/bundle")
        for named in (base, "auto"):
            status, value, _ = answer(capsys, "check", "--story", story, "--base", named)
            assert (status, value["run"]) == (0, f"runs/story/{base}")


def test_a_file_where_the_run_folders_should_be(story, tiny_base, tmp_path, capsys):
    heard = answer(capsys, "render", story, "--base", tiny_base, "--runs", story)[2]
    assert "a file stands where a folder has to be; choose another folder" in heard


def test_weights_are_listed_by_the_names_that_fetch_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard = answer(capsys, "weights", "list")[2]
    assert all(f" {name} (" in heard for name in KNOWN)
    status, _, heard = answer(capsys, "weights", "verify")
    assert status == 0 and "nothing to verify" in heard


def test_a_variant_has_a_run_folder_of_its_own(story, tiny_base, tmp_path, capsys):
    place = ("--base", tiny_base, "--runs", tmp_path / "runs", "--set", "train.rank=2")
    value, heard = answer(capsys, "render", story, *place, "--name", "r2")[1:]
    assert value["run"].endswith("runs/story-r2/tiny")
    assert "note:" not in heard
    value, heard = answer(capsys, "render", story, *place)[1:]
    assert value["run"].endswith("runs/story/tiny")
    assert "--set without --name changes this story's usual run folder" in heard
    assert answer(capsys, "render", story, *place, "--name", "../up")[0] == 2
    assert answer(capsys, "render", story, *place, "--set", "train.rang=2")[0] == 2


@pytest.mark.parametrize("name", ["文件", "b\udcffd"])
def test_json_is_utf8_whatever_the_terminal_and_the_files_name_are(name, tmp_path):
    program = [sys.executable, "-m", "kolors_submit", "check", name, "--json"]
    env = _env() | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(program, capture_output=True, cwd=tmp_path, env=env)
    assert result.returncode == 2, result.stderr
    assert json.loads(result.stdout.decode("utf-8"))["outputs"]["bundle"] == name
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("stream", "call", "status"),
    [
        ("stdout", ["weights", "list", "--json"], 0),
        ("stderr", ["weights", "list", "--json"], 3),
        ("stderr", ["story", "check", "missing.yaml", "--json"], 2),
        ("stderr", ["nonsense"], 2),
        ("stderr", [], 2),
    ],
)
def test_a_reader_who_has_gone_is_no_traceback(stream, call, status, tmp_path):
    """Nor Python's own 120 for what it cannot write out at its end, which PYTHONUNBUFFERED would hide."""
    program = [sys.executable, "-m", "kolors_submit", *call]
    reading, writing = os.pipe()
    os.close(reading)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: writing}
    env = {name: value for name, value in _env().items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(program, text=True, cwd=tmp_path, env=env, **pipes)
    os.close(writing)
    assert result.returncode == status
    assert "Traceback" not in (result.stdout or "") + (result.stderr or "")
    if call[:1] == ["story"]:
        assert json.loads(result.stdout)["ok"] is False


def test_quiet_is_silent_but_for_errors(story, tiny_base, tmp_path, capsys):
    assert run(["story", "check", str(story), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["render", str(story), "--base", str(tiny_base), "--runs", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_score_of_any_folder_needs_the_official_predictor_or_a_named_one(tiny_base, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures = write_pictures(tmp_path / "pictures", 2)
    status, value, heard = answer(capsys, "score", "--images", pictures)
    assert status == 3
    assert "weights fetch aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE" in heard
    status, value, heard = answer(capsys, "score", "--images", pictures, "--predictor", tiny_base / "predictor")
    assert status == 0
    assert value["metrics"]["predictor"]["name"] == "predictor"
    assert len(value["metrics"]["panels"]) == 2
    assert "left out, not readable as pictures: 0.txt, 1.txt" in heard


@pytest.mark.parametrize("verb", ["check", "publish", "reproduce"])
def test_what_is_no_bundle_is_told_what_it_is(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests/golden/bundle-1", "runs/ink/kolors/bundle")
    for folder in ("runs/ink/kolors/stages", "runs/fox/kolors/stages", "stories"):
        Path(folder).mkdir(parents=True)
    for file in ("stories/ink.yaml", "notes.txt"):
        Path(file).write_text("title: x")
    said = {
        "runs/ink/kolors": "runs/ink/kolors is a run folder; its bundle is runs/ink/kolors/bundle",
        "runs/fox/kolors": "is a run folder; it has no bundle yet: run `kolors-submit submission`",
        "runs/ink": "holds a story's run folders; name a bundle: runs/ink/kolors/bundle",
        "stories/ink.yaml": f"is a story; name {'a bundle' if verb == 'reproduce' else 'it with --story stories/ink'}",
        "stories": "stories is no bundle, for it has neither manifest.json nor images/ nor lora/",
        "notes.txt": "notes.txt is neither a folder nor a zip file",
    }
    for path, words in said.items():
        assert answer(capsys, verb, path)[0] == 2
        heard = answer(capsys, verb, path)[2]
        assert words in heard and heard.count("\n") == 1, "one sentence"
    assert answer(capsys, "check", "runs/ink/kolors/bundle")[0] == 0
    Path("broken.zip").write_bytes(b"PK")
    assert answer(capsys, "check", "broken.zip")[0] == 1, "a bundle, and a bad one"


def test_check_says_each_finding_once_with_its_level(tmp_path, capsys):
    shutil.copytree(ROOT / "tests/golden/bundle-1", tmp_path / "bundle")
    (tmp_path / "bundle/notes.txt").write_text("x")
    status, value, heard = answer(capsys, "check", tmp_path / "bundle")
    lines = heard.splitlines()
    assert status == 1 and len(lines) == len(set(lines))
    assert {line.split(":")[0] for line in lines} == {"note", "error", lines[-3].split(":")[0]}
    assert all(line.startswith("note: warn ") for line in lines if line.startswith("note"))
    assert [line for line in lines if line.startswith("error")] == [
        "error: fail files: notes.txt is not a bundle file; remove it",
        "error: fail manifest: notes.txt is not in the manifest",
    ]
    assert {one["level"] for one in value["problems"]} == {"warn", "fail"}, "JSON has both"


def test_check_reports_findings_without_torch(tmp_path):
    (tmp_path / "bundle/images").mkdir(parents=True)
    program = (
        "import sys; from kolors_submit.cli import run; status = run(['check', 'bundle', '--json']); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=_env())
    assert result.returncode == 1, result.stderr
    assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_with_exit_3_and_a_folder_to_go_on_with(name, story, tiny_base, tmp_path):
    arguments = ["data", str(story), "--base", str(tiny_base), "--runs", str(tmp_path / "runs"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kolors_submit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_env(),
        cwd=tmp_path,
    )
    lock = tmp_path / "runs/story/tiny/.lock"
    end = time.monotonic() + 60
    while not (lock.is_file() and lock.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    out, heard = process.communicate(timeout=60)
    assert process.returncode == 3, heard
    assert f"stopped by {name}; what was done is kept" in heard
    assert "Traceback" not in heard
    assert json.loads(out)["ok"] is False
    assert not list((tmp_path / "runs").rglob("*.partial"))


def test_module_and_command_are_one(tmp_path):
    for program in ([sys.executable, "-m", "kolors_submit"], [str(Path(sys.executable).with_name("kolors-submit"))]):
        result = subprocess.run([*program, "--version"], capture_output=True, text=True, cwd=tmp_path, env=_env())
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("kolors-submit, version ")


def _env():
    return os.environ | {"PYTHONPATH": str(ROOT)}
