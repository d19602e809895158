"""Datasets through the real clients of Hugging Face and ModelScope, from this disk and from 127.0.0.1."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from kolors_submit.data import hub as hub_data
from kolors_submit.data.dataset import prepare, read_prepared
from kolors_submit.data.hub import _bytes
from kolors_submit.data.pictures import BadPicture
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import read_json
from tests import loopback
from tests.data.jobs import NO_FILTERS, encoded, make_job, picture


@pytest.fixture
def parquet(tmp_path: Path) -> bytes:
    """A dataset of two pictures with prompts in a parquet file, as hubs keep them."""
    import datasets

    rows = {
        "Prompt": ["一只猫", "a dog"],
        "Image": [{"bytes": encoded(picture(number)), "path": None} for number in (1, 2)],
    }
    features = datasets.Features({"Prompt": datasets.Value("string"), "Image": datasets.Image()})
    path = tmp_path / "made.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))
    return path.read_bytes()


@pytest.fixture
def from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real clients read a folder of the dataset's name, which a story's source may not be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub_data, "_refuse_local", lambda repository: None)
    monkeypatch.setattr(hub_data, "_allowed_roots", lambda: [tmp_path])


@pytest.fixture
def on_disk(tmp_path: Path, parquet: bytes, from_disk: None) -> Path:
    """`owner/tiny` below the working folder, where both clients look first; subset Watercolor, split train."""
    folder = tmp_path / "owner" / "tiny"
    (folder / "Watercolor").mkdir(parents=True)
    (folder / "Watercolor" / "train.parquet").write_bytes(parquet)
    files = "  data_files:\n  - split: train\n    path: Watercolor/train.parquet\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: Watercolor\n{files}---\n")
    return folder


def captions(tmp_path: Path, source: str, **dataset: Any) -> list[str]:
    job = make_job(tmp_path, source=source, captions="{prompt}, watercolor style", filters=NO_FILTERS, **dataset)
    assert prepare(job) and not prepare(job)
    entries = read_json(job.run.data / "data.json")["pictures"]
    assert [(entry["original_width"], entry["original_height"]) for entry in entries] == [(96, 80)] * len(entries)
    return [one.caption for one in read_prepared(job.run.data)]


BOTH = ["一只猫, watercolor style", "a dog, watercolor style"]


@pytest.mark.parametrize("hub", ["huggingface", "modelscope"])
def test_a_dataset_on_this_disk(tmp_path: Path, on_disk: Path, hub: str) -> None:
    assert captions(tmp_path, f"{hub}:owner/tiny", subset="Watercolor") == BOTH


def test_a_picture_folder_on_this_disk(tmp_path: Path, from_disk: None) -> None:
    folder = tmp_path / "owner" / "folder"
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    (folder / "metadata.csv").write_text("file_name,prompt\n1.png,one\n2.png,two\n")
    assert captions(tmp_path, "huggingface:owner/folder", limit=1) == ["one, watercolor style"]


@pytest.mark.parametrize(
    ("dataset", "why"),
    [({"split": "test", "subset": "Watercolor"}, "test"), ({"subset": "Oil"}, "Oil")],
)
def test_what_the_dataset_does_not_have(tmp_path: Path, on_disk: Path, dataset: dict[str, str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        captions(tmp_path, "huggingface:owner/tiny", **dataset)


def test_a_dataset_that_brings_code_never_runs_it(tmp_path: Path, from_disk: None) -> None:
    folder = tmp_path / "owner" / "clever"
    folder.mkdir(parents=True)
    (folder / "clever.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    with pytest.raises((InputError, OutsideError)):
        captions(tmp_path, "huggingface:owner/clever")
    assert not (tmp_path / "ran").exists()


def test_a_dataset_without_pictures(tmp_path: Path, from_disk: None) -> None:
    folder = tmp_path / "owner" / "words"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("text,kind\nx,y\n")
    with pytest.raises(InputError, match=r"no column of pictures \(its columns: text, kind\)"):
        captions(tmp_path, "huggingface:owner/words")


@pytest.mark.parametrize("hub", ["huggingface", "modelscope"])
def test_a_folder_of_the_datasets_name_is_not_taken_for_it(
    tmp_path: Path, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "mine").mkdir(parents=True)
    (tmp_path / "owner" / "mine" / "1.png").write_bytes(encoded(picture(1)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is a folder here too"):
        captions(tmp_path, f"{hub}:owner/mine")


@pytest.mark.parametrize(
    "source", ["huggingface:tiny", "modelscope:a/b/c", "modelscope:", "huggingface:./pics", "modelscope:../private"]
)
def test_names_that_are_no_repository(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match="owner/dataset"):
        captions(tmp_path, source)


def test_a_path_in_a_row_leads_nowhere_but_into_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"inside")
    (tmp_path / "b.png").write_bytes(b"outside")
    roots = [tmp_path / "in"]
    assert _bytes({"bytes": b"stored", "path": "/etc/passwd"}, roots) == b"stored"
    assert _bytes({"bytes": None, "path": str(tmp_path / "in/a.png")}, roots) == b"inside"
    for path in (tmp_path / "b.png", tmp_path / "in/../b.png", "/etc/passwd", "", None, 3):
        with pytest.raises(BadPicture):
            _bytes(path if path is None or isinstance(path, int) else str(path), roots)


class _Hub(loopback.Handler):
    """As much of ModelScope's hub as its dataset client asks for."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path, query = self.address()
        type(self).asked.append(path)
        if path == "/api/v1/datasets/owner/tiny":
            self.send_envelope({"Id": 7, "Type": 4, "Name": "tiny", "Namespace": "owner"})
        elif path.endswith("/repo/tree"):
            self.send_envelope({"Files": self._tree(query.get("Root", "/").strip("/")), "TotalCount": len(self.files)})
        elif path == "/api/v1/datasets/owner/tiny/repo" and query.get("FilePath") in self.files:
            self.send(200, self.files[query["FilePath"]])
        else:
            self.send(404, b'{"Code": 404, "Success": false, "Message": "not found"}')

    do_HEAD = do_GET

    def _tree(self, root: str) -> list[dict[str, Any]]:
        found = [name for name in self.files if name.startswith(f"{root}/" if root else "")]
        sizes = {name: len(self.files[name]) for name in found}
        return [{"Path": name, "Name": name, "Type": "blob", "Size": sizes[name], "Sha256": "0"} for name in found]


@pytest.fixture
def address(parquet: bytes) -> Iterator[str]:
    _Hub.files, _Hub.asked = {"README.md": b"---\nlicense: other\n---\n", "train.parquet": parquet}, []
    with loopback.serve(_Hub) as served:
        yield served


_ASK = """
import sys
from kolors_submit.data.hub import read_hub
from kolors_submit.errors import SubmitError
from kolors_submit.story import Dataset
for name in sys.argv[1:]:
    try:
        rows = read_hub("modelscope", name, Dataset(source=f"modelscope:{name}"))
        print(name, [row.columns["Prompt"] for row in rows], [len(row.read()) for row in rows])
    except SubmitError as error:
        print(name, type(error).__name__, error)
"""


def test_modelscopes_client_over_loopback(tmp_path: Path, address: str) -> None:
    """In a process of its own, because the client reads where its hub is only once."""
    places = {"HOME": str(tmp_path), "MODELSCOPE_CACHE": str(tmp_path / "ms"), "HF_HOME": str(tmp_path / "hf")}
    where = {"MODELSCOPE_ENDPOINT": address, "MODELSCOPE_DOMAIN": urlsplit(address).netloc, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", _ASK, "owner/tiny", "owner/absent"]
    unwanted = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name.upper() not in unwanted}
    ran = subprocess.run(command, env=environment | places | where, capture_output=True, text=True, timeout=120)
    found, absent = [line for line in ran.stdout.splitlines() if line.startswith("owner/")]
    sizes = [len(encoded(picture(number))) for number in (1, 2)]
    assert found == f"owner/tiny ['一只猫', 'a dog'] {sizes}", ran.stderr[-2000:]
    assert absent.startswith("owner/absent InputError modelscope:owner/absent"), absent
    assert "/api/v1/datasets/owner/tiny/repo" in _Hub.asked
