"""Repositories that mean harm: nothing of theirs leaves the chosen folder, and no token goes to another host."""

from __future__ import annotations

import json
from urllib.parse import urlparse

import pytest

from kolors_submit.errors import InputError, OutsideError, SubmitError
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from kolors_submit.reproduce.source import fetch, parse
from tests.hub.conftest import entry, hub, packed_entry  # noqa: F401 - fixtures
from tests.hub.server import Hub, serve

NAME = "alice/Rainy-Cat"
HUBS = ("modelscope", "huggingface")
SOUND = {"sha256": "0" * 64, "size": 1}


@pytest.fixture(params=HUBS)
def source(request, hub, entry):
    """A published entry."""
    publish(entry, Target(NAME, request.param), quiet())
    return parse(f"{request.param}:{NAME}")


def change_manifest(hub, name, value):
    files = hub.repositories[NAME].files
    manifest = json.loads(files["manifest.json"])
    manifest["files"][name] = value
    files["manifest.json"] = json.dumps(manifest).encode()


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_harmless_twin_is_fetched(hub, source, entry, tmp_path):
    fetch(source, tmp_path / "out", quiet())
    assert {p.relative_to(tmp_path / "out"): d for p, d in tree(tmp_path / "out").items()} == {
        p.relative_to(entry): d for p, d in tree(entry).items()
    }


@pytest.mark.parametrize(
    "name", ["../outside.md", "/tmp/harm.md", "lora/../../x.md", "setup.py", ".ssh/config", "a\\b.md", "images/x/y.png"]
)
def test_hostile_names_in_a_manifest_are_refused(hub, source, tmp_path, name):
    hub.repositories[NAME].files[name] = b"x"
    change_manifest(hub, name, SOUND)
    before = tree(tmp_path)
    with pytest.raises(InputError):
        fetch(source, tmp_path / "out", quiet())
    out = tmp_path / "out"
    assert {path for path in tree(tmp_path) if out not in path.parents} == set(before)
    assert {path.name for path in out.iterdir()} <= {"manifest.json", ".cache"}


@pytest.mark.parametrize("value", [{"sha256": "0" * 64, "size": 10**12}, {"sha256": "x", "size": 1}, [], "x"])
def test_hostile_entries_of_a_manifest_are_refused(hub, source, tmp_path, value):
    change_manifest(hub, "README.md", value)
    with pytest.raises(InputError):
        fetch(source, tmp_path / "out", quiet())


def test_hostile_change_between_listing_and_download_is_refused(hub, source, tmp_path):
    hub.corrupt = {"story.yaml"}
    with pytest.raises(OutsideError):
        fetch(source, tmp_path / "out", quiet())
    assert not (tmp_path / "out/story.yaml").exists()
    hub.corrupt = set()
    fetch(source, tmp_path / "out", quiet())


def test_hostile_repository_without_a_manifest_or_with_a_huge_one(hub, source, tmp_path):
    hub.repositories[NAME].files["manifest.json"] = b" " * 33_000_000
    with pytest.raises(InputError, match=r"manifest\.json"):
        fetch(source, tmp_path / "out", quiet())
    del hub.repositories[NAME].files["manifest.json"]
    with pytest.raises(InputError, match=r"manifest\.json"):
        fetch(source, tmp_path / "out", quiet())


def test_files_that_no_bundle_has_are_not_fetched(hub, source, tmp_path):
    hub.repositories[NAME].files["run_me.py"] = b"raise SystemExit"
    fetch(source, tmp_path / "out", quiet())
    assert not (tmp_path / "out/run_me.py").exists()


def test_hostile_redirect_gets_no_token(hub, source, tmp_path):
    with serve(Hub()) as other:
        hub.redirect = f"http://localhost:{urlparse(other.address).port}/api/v1/models/a/b/repo?FilePath=x"
        with pytest.raises(SubmitError):
            fetch(source, tmp_path / "out", quiet())
        assert other.asked
        assert all("ms-good" not in json.dumps(headers) for headers in other.headers)
