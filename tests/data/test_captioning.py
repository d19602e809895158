"""Captions that a model writes: kept in files for a person to correct, never overwritten, part of the fingerprint."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolors_submit.data import account, prepare
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import read_json
from kolors_submit.run import Job
from tests.chat import KEY, Chat, failing, serve, without_schemas
from tests.data.jobs import NO_FILTERS, encoded, make_job, picture
from tests.data.onnx_file import BLUE, RED, write_tagger
from tests.pipeline import story_values, write_story

ROWS = (("blue_sky", "0", BLUE, 0.0), ("red_dress", "0", RED, 0.0), ("outdoors", "0", (0.0, 0.0, 0.0), 1.0))


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    return write_tagger(tmp_path / "tagger", ROWS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A red and a blue picture without captions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("red", "blue"):
        Image.new("RGB", (90, 80), name).save(folder / f"{name}.png")
    return folder


def tagged(tmp_path: Path, source: object, tagger: Path, **settings: Any) -> Job:
    captions = {"by": "wd14", "model": str(tagger), **settings}
    return make_job(tmp_path, source=str(source), filters=NO_FILTERS, captions=captions)


def captions(job: Job) -> dict[str, str]:
    """Captions of the prepared pictures, by their names at the source."""
    return {entry["name"]: entry["caption"] for entry in read_json(job.run.data / "data.json")["pictures"]}


def left_out(job: Job) -> dict[str, str]:
    return {name: why for name, _, why in account.left_out(read_json(job.run.data / "report.json"))}


def test_sidecars_are_written_beside_the_pictures_and_the_stage_is_done_once(tmp_path, folder, tagger):
    job = tagged(tmp_path, folder, tagger, trigger="水彩画风格")
    assert prepare(job)
    assert captions(job) == {"red.png": "水彩画风格, red dress, outdoors", "blue.png": "水彩画风格, blue sky, outdoors"}
    assert (folder / "red.txt").read_text("utf-8") == "水彩画风格, red dress, outdoors\n"
    assert sorted(path.name for path in folder.iterdir()) == ["blue.png", "blue.txt", "red.png", "red.txt"]
    steps = [(row["step"], row["left"]) for row in read_json(job.run.data / "report.json")["steps"]]
    assert steps == [("source", 2), ("readable", 2), ("captions", 2)]
    assert not prepare(job), "what it wrote itself is no change"


def test_a_corrected_sidecar_is_used_and_never_overwritten(tmp_path, folder, tagger):
    (folder / "red.txt").write_text("my own words", "utf-8")
    job = tagged(tmp_path, folder, tagger, trigger="x")
    assert prepare(job)
    assert captions(job) == {"red.png": "my own words", "blue.png": "x, blue sky, outdoors"}
    (folder / "blue.txt").write_text("a blue square", "utf-8")
    assert prepare(job) and not prepare(job)
    assert captions(job)["blue.png"] == "a blue square"
    other = tagged(tmp_path, folder, tagger, threshold=0.99)
    assert prepare(other), "the settings are part of the fingerprint"
    assert captions(other) == {"red.png": "my own words", "blue.png": "a blue square"}
    (folder / "blue.txt").unlink()
    assert prepare(other) and not prepare(other)
    assert captions(other)["blue.png"] == "blue sky"
    assert (folder / "red.txt").read_text("utf-8") == "my own words"


def test_no_model_is_needed_where_every_picture_has_its_file(tmp_path, folder, tagger):
    job = tagged(tmp_path, folder, tagger)
    assert prepare(job)
    shutil.rmtree(tagger)
    shutil.rmtree(job.run.folder)
    assert prepare(job)
    (folder / "red.txt").unlink()
    with pytest.raises(InputError, match=r"neither known weights nor a folder; known are kolors"):
        prepare(job)


def test_known_weights_that_are_not_here_say_how_to_get_them(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))
    job = make_job(tmp_path, source=str(folder), filters=NO_FILTERS, captions="wd14")
    with pytest.raises(OutsideError, match="`kolors-submit weights fetch wd-vit-tagger-v3` gets it .379.0 MB."):
        prepare(job)


def test_pictures_of_no_folder_have_their_files_in_the_data_folder(tmp_path, tagger):
    job = tagged(tmp_path, "picturebook:plain", tagger)
    job = Job(job.story.model_copy(update={"dataset": job.story.dataset.model_copy(update={"limit": 2})}),
              job.base, job.run, job.device, job.report)  # fmt: skip
    assert prepare(job) and not prepare(job)
    files = sorted((job.run.data / "captions").iterdir())
    assert [path.name[:9] for path in files] == ["plain-01-", "plain-02-"]
    entries = read_json(job.run.data / "data.json")["pictures"]
    assert [path.stem.split("-")[-1] for path in files] == [entry["sha256"][:12] for entry in entries]
    files[0].write_text("corrected by hand", "utf-8")
    files[1].write_text("\xff", "latin-1")
    assert prepare(job) and not prepare(job)
    assert captions(job) == {"plain-01.png": "corrected by hand"} and "not UTF-8" in left_out(job)["plain-02.png"]
    files[1].unlink()
    assert prepare(job) and not prepare(job)
    assert len(captions(job)) == 2 and files[0].read_text("utf-8") == "corrected by hand"


def test_only_pictures_that_the_filters_keep_are_captioned(tmp_path, folder, tagger):
    Image.new("RGB", (30, 30), "red").save(folder / "small.png")
    filters = NO_FILTERS | {"shape": {"min_width": 64, "min_height": 64}}
    settings = {"by": "wd14", "model": str(tagger)}
    job = make_job(tmp_path, source=str(folder), filters=filters, captions=settings)
    assert prepare(job) and not prepare(job)
    assert set(captions(job)) == {"red.png", "blue.png"} and not (folder / "small.txt").exists()
    steps = [(row["step"], row["left"]) for row in read_json(job.run.data / "report.json")["steps"]]
    assert steps == [("source", 3), ("readable", 3), ("image_shape_filter", 2), ("captions", 2)]


def test_pictures_without_a_caption_are_left_out_and_say_why(tmp_path, folder, tagger):
    for name in ("twin.png", "twin.jpg", "grey.png"):
        (folder / name).write_bytes(encoded(Image.new("RGB", (90, 80), "gray"), "JPEG" if "jpg" in name else "PNG"))
    (folder / "blue.txt").write_bytes(b"")
    job = tagged(tmp_path, folder, tagger, drop=["outdoors"], threshold=0.6)
    assert prepare(job)
    assert list(captions(job)) == ["red.png"]
    assert left_out(job) == {
        "blue.png": "has an empty caption",
        "grey.png": "got no caption; write one in grey.txt",
        "twin.jpg": "shares twin.txt with another picture; rename one of them",
        "twin.png": "shares twin.txt with another picture; rename one of them",
    }
    assert not (folder / "grey.txt").exists() and not (folder / "twin.txt").exists()
    row = read_json(job.run.data / "report.json")["steps"][-1]
    assert (row["step"], row["entered"], row["failed"], row["left"]) == ("captions", 4, 3, 1)


# -------------------------------------------------------------------------------------------- a vision endpoint


@pytest.fixture
def chat(monkeypatch):
    with serve(Chat(["一只红色的方块"])) as served:
        monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield served


def described(tmp_path: Path, source: object, **settings: Any) -> Job:
    captions = {"by": "vlm", "model": "test", **settings}
    return make_job(tmp_path, source=str(source), filters=NO_FILTERS, captions=captions)


def test_a_vision_model_is_sent_the_picture_and_answers_its_caption(tmp_path, chat):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(picture(1, (400, 200))))
    job = described(tmp_path, folder, side=100, trigger="水彩")
    assert prepare(job) and not prepare(job)
    assert captions(job) == {"a.png": "水彩，一只红色的方块"} and len(chat.requests) == 1
    (message,) = chat.requests[0]["messages"]
    image, text = message["content"]
    assert "用一句中文描述" in text["text"]
    kind, data = image["image_url"]["url"].split(",")
    with Image.open(io.BytesIO(base64.b64decode(data))) as sent:
        assert (kind, sent.format, sent.size) == ("data:image/jpeg;base64", "JPEG", (100, 50))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_ones_own_words_ask_and_an_answer_that_is_no_caption_leaves_the_picture_out(tmp_path, folder, chat):
    chat.answers = ["<think>hm</think>a blue\n square ", "x" * 5000]
    job = described(tmp_path, folder, prompt="What is it?")
    assert prepare(job)
    assert captions(job) == {"blue.png": "a blue square"} and "got no caption" in left_out(job)["red.png"]
    assert "What is it?" in chat.words(0)


def test_an_endpoint_that_fails_half_way_is_asked_for_the_rest_only(tmp_path, folder, chat):
    chat.answers = ["the first", failing(401)]
    job = described(tmp_path, folder)
    with pytest.raises(InputError, match=r"red\.png: test at .* refuses the key"):
        prepare(job)
    assert (folder / "blue.txt").read_text("utf-8") == "the first\n" and not (folder / "red.txt").exists()
    chat.answers = ["the second"]
    assert prepare(job) and not prepare(job)
    assert captions(job) == {"blue.png": "the first", "red.png": "the second"} and len(chat.requests) == 3


def test_without_an_endpoint_it_says_what_to_set(tmp_path, folder, monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="set DASHSCOPE_API_KEY"):
        prepare(described(tmp_path, folder))


def test_a_killed_run_goes_on_with_the_captions_that_are_there(tmp_path, folder, chat):
    asked, never = threading.Event(), threading.Event()

    def hang(handler):
        asked.set()
        never.wait(60)

    chat.answers = ["the first", hang]
    values = story_values(folder) | {"gate": {"threshold": 0}}
    values["dataset"] |= {"captions": {"by": "vlm", "model": "test"}, "filters": NO_FILTERS}
    story = write_story(tmp_path / "story.yaml", values)
    command = [sys.executable, "-m", "kolors_submit", "data", str(story), "--base", "picturebook", "--json"]
    command += ["--runs", str(tmp_path / "runs"), "--device", "cpu"]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asked.wait(120)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (folder / "blue.txt").read_text("utf-8") == "the first\n" and not (folder / "red.txt").exists()
    never.set()
    chat.answers = [without_schemas("the second")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and json.loads(result.stdout)["metrics"] == {"worked": True}, result.stderr
    assert (folder / "red.txt").read_text("utf-8") == "the second\n" and len(chat.requests) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["blue.png", "blue.txt", "red.png", "red.txt"]
