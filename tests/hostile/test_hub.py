"""Repositories that mean harm: nothing of theirs leaves the chosen folder, and no token goes to another host."""

from __future__ import annotations

import json
from urllib.parse import urlparse

import pytest

from kolors_submit.errors import InputError, SubmitError
from kolors_submit.hub.guard import is_own
from kolors_submit.hub.source import parse
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from kolors_submit.reproduce.source import fetch
from tests.hub.conftest import entry, hub, packed_entry  # noqa: F401 - fixtures
from tests.hub.server import Hub, Stored, serve

NAME = "alice/Rainy-Cat"
HUBS = ("modelscope", "huggingface")
SOUND = {"sha256": "0" * 64, "size": 1}


@pytest.fixture(params=HUBS)
def source(request, hub, entry):
    """An entry on a hub, as publishing leaves it there."""
    hub.repositories[NAME] = Stored({path.relative_to(entry).as_posix(): data for path, data in tree(entry).items()})
    found = parse(f"{request.param}:{NAME}")
    found.open()  # at their first request the clients write what they remember below their homes
    return found


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


def zeros(hub):
    hub.corrupt = {"story.yaml"}


def another_story(hub):
    hub.swapped = {"story.yaml": b"title: another\n"}


def a_longer_lora(hub):
    name = next(name for name in hub.repositories[NAME].files if name.endswith(".ckpt"))
    hub.swapped = {name: hub.repositories[NAME].files[name] * 3}


def a_file_that_is_gone(hub):
    hub.gone = {"images/03.png"}


def another_manifest(hub):
    manifest = json.loads(hub.repositories[NAME].files["manifest.json"])
    manifest["files"]["scores.json"]["sha256"] = "0" * 64
    hub.swapped = {"manifest.json": json.dumps(manifest).encode()}


CHANGES = (zeros, another_story, a_longer_lora, a_file_that_is_gone, another_manifest)


@pytest.mark.parametrize("change", CHANGES)
def test_hostile_change_between_listing_and_download_is_refused(hub, source, entry, tmp_path, change):
    change(hub)
    before = tree(tmp_path)
    with pytest.raises(SubmitError) as raised:
        fetch(source, tmp_path / "out", quiet())
    assert 0 < len(str(raised.value)) < 2000 and raised.value.exit_status in (2, 3)
    out = tmp_path / "out"
    sound = tree(entry)
    for path in (path for path in tree(out) if ".cache" not in path.parts and path.name != "manifest.json"):
        assert path.read_bytes() == sound[entry / path.relative_to(out)], f"{path} was kept"
    assert {path: data for path, data in tree(tmp_path).items() if out not in path.parents} == before
    hub.corrupt, hub.gone = set(), set()
    hub.swapped.clear()
    fetch(source, out, quiet())
    assert {path.relative_to(out): data for path, data in tree(out).items()} == {
        path.relative_to(entry): data for path, data in sound.items()
    }


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


REDIRECTS = (("localhost", 302, False), ("localhost", 307, True), ("127.0.0.1", 308, False), ("127.0.0.1", 301, True))
"""Host, status, and whether HEAD requests are redirected too; on 127.0.0.1 only the port is another."""


def test_hostile_repositories_are_whole():
    assert min(len(CHANGES), len(REDIRECTS)) >= 4


@pytest.mark.parametrize(("host", "status", "heads"), REDIRECTS)
def test_hostile_redirect_gets_no_token(hub, source, tmp_path, host, status, heads):
    with serve(Hub()) as other:
        hub.redirect = f"http://{host}:{urlparse(other.address).port}/api/v1/models/a/b/repo?FilePath=x"
        hub.redirect_status, hub.redirect_heads = status, heads
        with pytest.raises(SubmitError) as raised:
            fetch(source, tmp_path / "out", quiet())
        assert not other.was_sent("ms-good")
        # Hugging Face's client follows no HEAD to another host, and says so.
        assert other.asked or (heads and source.hub == "huggingface")
    assert "ms-good" not in str(raised.value)
    hub.redirect = None
    fetch(source, tmp_path / "out", quiet())


@pytest.mark.parametrize("where", HUBS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_hostile_upload_address_gets_no_token(hub, entry, where, host):
    with serve(Hub(blobs=hub.blobs)) as other:
        hub.uploads_at = f"http://{host}:{urlparse(other.address).port}"
        publish(entry, Target(NAME, where), quiet())
        assert other.count("PUT") > 0 and other.unknown == []
        assert other.count("POST", "verify") > 0 or where == "modelscope"
        assert hub.was_sent("ms-good") and not other.was_sent("ms-good")
    held = {path: data for path, data in hub.repositories[NAME].files.items() if path != ".gitattributes"}
    assert held == {path.relative_to(entry).as_posix(): data for path, data in tree(entry).items()}


@pytest.mark.parametrize("where", HUBS)
def test_harmless_upload_address_of_the_hub_itself_gets_the_token(hub, entry, where):
    publish(entry, Target(NAME, where), quiet())
    assert any(b"PUT /blob" in request and b"ms-good" in request for request in hub.received) == (where == "modelscope")


@pytest.mark.parametrize(
    ("endpoint", "address", "own"),
    [
        ("https://modelscope.cn", "https://modelscope.cn/api", True),
        ("https://modelscope.cn", "https://www.modelscope.cn:443/api", True),
        ("https://www.modelscope.cn", "https://lfs.modelscope.cn/x", True),
        ("https://modelscope.cn", "http://modelscope.cn/x", False),
        ("https://modelscope.cn", "https://modelscope.cn:8443/x", False),
        ("https://modelscope.cn", "https://lfs.modelscope.cn.example.com/x", False),
        ("https://modelscope.cn", "https://notmodelscope.cn/x", False),
        ("https://modelscope.cn", "https://bucket.oss-cn-beijing.aliyuncs.com/x", False),
        ("https://huggingface.co", "https://cdn-lfs.hf.co/x", False),
        ("http://127.0.0.1:80", "http://localhost:80/x", False),
        ("", "https://modelscope.cn", False),
    ],
)
def test_own_hosts(endpoint, address, own):
    assert is_own(endpoint, address) is own
