"""Weights from a repository on 127.0.0.1, with the hubs' real clients."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kolors_submit.errors import InputError, OutsideError
from kolors_submit.report import quiet
from kolors_submit.weights import download, fetch, find_weights, open_base
from kolors_submit.weights.digests import read_record, record_path, verify
from kolors_submit.weights.download import _inside, gigabytes
from kolors_submit.weights.known import FOR_KOLORS, KNOWN, KOLORS, TAGGER
from tests.weights.server import COMMIT, Repository, serve

FILES = {
    "README.md": b"not wanted",
    "model_index.json": b"{}",
    "scheduler/scheduler_config.json": b"{}",
    "text_encoder/config.json": b"{}",
    "text_encoder/modeling_chatglm.py": b"raise SystemExit('code is never fetched')",
    "text_encoder/pytorch_model-00001-of-00001.bin": b"b" * 4000,
    "tokenizer/tokenizer.model": b"t" * 100,
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"h" * 300_000,
    "unet/diffusion_pytorch_model.safetensors": b"f" * 600_000,
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.fp16.safetensors": b"v" * 2000,
}
WANTED = sorted(
    set(FILES) - {"README.md", "text_encoder/modeling_chatglm.py", "unet/diffusion_pytorch_model.safetensors"}
)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A served repository that both clients are pointed at, and a weights folder below tmp_path."""
    import huggingface_hub.constants

    with serve(Repository(dict(FILES))) as served:
        monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", served.address)
        monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope"))
        monkeypatch.setenv("MODELSCOPE_DOWNLOAD_INTRA_CLOUD", "false")
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        # The client waits longer and longer between its attempts; the attempts themselves stay.
        monkeypatch.setattr("modelscope_hub._download_control._DownloadControl.sleep", lambda one, _: one.check())
        yield served


def fetched():
    """Files below Kolors' folder, hidden ones included."""
    folder = KNOWN[KOLORS].folder
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_the_wanted_files_are_fetched_once_and_their_digests_recorded(repository, hub):
    kolors = KNOWN[KOLORS]
    assert not kolors.is_here()
    folder = fetch(kolors, quiet(), hub)
    assert fetched() == WANTED
    assert (folder / WANTED[-1]).read_bytes() == FILES[WANTED[-1]]
    record = read_record(folder)
    assert record["source"] == f"{hub}:Kwai-Kolors/Kolors"
    assert record["revision"] == ("master" if hub == "modelscope" else COMMIT)
    assert {name: entry["sha256"] for name, entry in record["files"].items()} == {
        name: hashlib.sha256(FILES[name]).hexdigest() for name in WANTED
    }
    assert kolors.is_here()
    asked = len(repository.requests)
    fetch(kolors, quiet(), hub)
    assert len(repository.requests) == asked
    assert (
        open_base(folder).digests["unet/diffusion_pytorch_model.fp16.safetensors"]
        == record["files"]["unet/diffusion_pytorch_model.fp16.safetensors"]["sha256"]
    )


def test_hugging_face_is_asked_where_modelscope_has_it_not(repository):
    repository.modelscope = False
    fetch(KNOWN[KOLORS], quiet())
    assert read_record(KNOWN[KOLORS].folder)["source"].startswith("huggingface:")


PINNED = {"model.onnx": b"m" * 1000, "selected_tags.csv": b"tag_id,name,category,count\n", "config.json": b"{}"}


def pinned():
    """The tagger as it would be if its repository held PINNED."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in PINNED.items() if name != "config.json"}
    assert KNOWN[TAGGER].sha256.keys() == digests.keys()
    return dataclasses.replace(KNOWN[TAGGER], sha256=digests)


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_weights_of_a_known_revision_are_fetched_from_it(repository, hub):
    repository.files = dict(PINNED)
    folder = fetch(pinned(), quiet(), hub)
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "selected_tags.csv"]
    revision = KNOWN[TAGGER].revisions["huggingface"]
    assert len(revision) == 40 and (hub == "modelscope") != any(revision in path for path in repository.paths)
    assert read_record(folder)["revision"] == (revision if hub == "huggingface" else "master")
    assert find_weights(TAGGER) == folder and find_weights(str(folder)) == folder


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_other_bytes_than_the_pinned_ones_are_refused_whatever_the_hub_says(repository, hub):
    repository.files = PINNED | {"model.onnx": b"x" * 1000}
    with pytest.raises(OutsideError, match=r"model\.onnx|sha256|hash"):
        fetch(pinned(), quiet(), hub)
    assert not (KNOWN[TAGGER].folder / "model.onnx").exists()
    with pytest.raises(OutsideError, match="is not here; `kolors-submit weights fetch"):
        find_weights(TAGGER)


def test_nothing_but_what_kolors_needs_is_fetched_unasked():
    assert set(FOR_KOLORS) < set(KNOWN) and TAGGER not in FOR_KOLORS


def test_neither_hub_answering_is_one_sentence(repository):
    repository.modelscope = repository.huggingface = False
    with pytest.raises(OutsideError, match=r"kolors cannot be fetched: .*on ModelScope.*on Hugging Face.*[Rr]un again"):
        fetch(KNOWN[KOLORS], quiet())


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_a_token_is_in_no_message_of_a_download(repository, hub, monkeypatch):
    """As in a listing that quotes the request."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's tries
    for variable in ("MODELSCOPE_API_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(variable, "tok-secret")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1/tok-secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1/tok-secret")
    with pytest.raises(OutsideError, match="cannot be fetched") as raised:
        fetch(KNOWN[KOLORS], quiet(), hub)
    assert "tok-secret" not in str(raised.value)


def test_a_cut_body_is_resumed(repository):
    name = "unet/diffusion_pytorch_model.fp16.safetensors"
    repository.cut = {name}
    fetch(KNOWN[KOLORS], quiet(), "modelscope")
    ranges = [asked for path, asked in repository.requests if path == name]
    assert ranges[0] is None
    assert ranges[1] == "bytes=150000-"


def test_a_fetch_that_failed_goes_on_with_what_is_missing(repository):
    repository.refuse = {"vae/config.json"}
    with pytest.raises(InputError, match="does not let this account read Kwai-Kolors/Kolors"):
        fetch(KNOWN[KOLORS], quiet(), "huggingface")
    repository.refuse = set()
    before = len(repository.requests)
    fetch(KNOWN[KOLORS], quiet())
    assert [path for path, _ in repository.requests[before:]] == [name for name in WANTED if name >= "vae/config.json"]
    assert read_record(KNOWN[KOLORS].folder)["source"].startswith("huggingface:")


def test_other_bytes_than_listed_are_refused(repository):
    repository.corrupt = {"unet/config.json"}
    with pytest.raises(OutsideError, match=r"did not arrive as the hub lists it"):
        fetch(KNOWN[KOLORS], quiet(), "huggingface")
    assert "unet/config.json" not in fetched()
    assert not KNOWN[KOLORS].is_here()


def test_a_repository_that_changed_in_between_is_noticed(repository):
    repository.refuse = {"vae/config.json"}
    with pytest.raises(InputError):
        fetch(KNOWN[KOLORS], quiet(), "huggingface")
    repository.refuse = set()
    repository.files["unet/config.json"] = b"[]"
    with pytest.raises(OutsideError, match="changed since the download began: unet/config.json"):
        fetch(KNOWN[KOLORS], quiet(), "huggingface")


def test_a_full_disk_is_noticed_before_the_download(repository, monkeypatch):
    monkeypatch.setattr("kolors_submit.weights.download.free_bytes", lambda folder: 2**30)
    with pytest.raises(OutsideError, match="to fetch and 1.1 GB free"):
        fetch(KNOWN[KOLORS], quiet(), "modelscope")
    assert repository.requests == []


def test_no_is_an_answer(repository):
    asked = []
    with pytest.raises(OutsideError, match="was not downloaded"):
        fetch(KNOWN[KOLORS], quiet(), "modelscope", ask=lambda question: bool(asked.append(question)))
    assert asked == ["Download 0.3 MB?"]
    assert repository.requests == []


def test_a_second_process_waits_and_downloads_nothing_again(repository, monkeypatch):
    """Two threads hold a lock as two processes do; the second is told for whom it waits."""
    monkeypatch.setattr("kolors_submit.weights.download.PAUSE", 0.02)
    gate, said = threading.Event(), []
    real = download._download

    def slow(*args, **options):
        gate.wait(10)
        return real(*args, **options)

    monkeypatch.setattr(download, "_download", slow)
    report = dataclasses.replace(quiet())
    monkeypatch.setattr(type(report), "note", lambda self, text: (said.append(text), gate.set()))
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: fetch(KNOWN[KOLORS], report, "huggingface"), range(2)))
    assert folders == [KNOWN[KOLORS].folder] * 2 and fetched() == WANTED
    assert sorted(repository.downloads()) == WANTED, "each file once"
    assert len(said) == 1 and "kolors is being fetched by `fetch`, process" in said[0]


def test_verify_reads_every_byte(repository):
    folder = fetch(KNOWN[KOLORS], quiet(), "modelscope")
    assert verify(folder) == []
    (folder / "unet/config.json").write_bytes(b"[]")
    (folder / "vae/config.json").unlink()
    assert verify(folder) == [
        f"{folder}/unet/config.json is not what was fetched",
        f"{folder}/vae/config.json is missing",
    ]
    assert not KNOWN[KOLORS].is_here()
    assert json.loads(record_path(folder).read_text())["complete"] is True


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", "", "a\\b", "a\0b"])
def test_a_listing_cannot_name_a_file_outside(path):
    with pytest.raises(OutsideError, match="outside its repository"):
        _inside(path)
    assert _inside("unet/config.json") == "unet/config.json"


def test_sizes_for_people():
    assert gigabytes(17_800_000_000) == "17.8 GB"
    assert gigabytes(306_110) == "0.3 MB"
