"""A hub that both real clients are pointed at, and a sound bundle to publish."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolors_submit.bundle.pack import pack
from tests.bundle.runs import make_run
from tests.hub.server import Hub, serve


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A served hub with the account alice, whose token is in the environment."""
    import huggingface_hub.constants
    import huggingface_hub.file_download
    import modelscope_hub._download_control as downloads
    import modelscope_hub._upload as upload

    with serve(Hub()) as served:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", served.address)
        monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope"))
        monkeypatch.setenv("MODELSCOPE_DOWNLOAD_INTRA_CLOUD", "false")
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-good")
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HF_TOKEN", "ms-good")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        # HF_ENDPOINT is read when huggingface_hub is imported, which other tests may have done.
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.address)
        monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # The client waits longer and longer between its attempts; the attempts themselves stay.
        monkeypatch.setattr(upload.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(downloads._DownloadControl, "sleep", lambda control, seconds: control.check())
        yield served
        assert served.unknown == []


@pytest.fixture(scope="session")
def packed_entry(tmp_path_factory) -> Path:
    """A sound bundle on Kolors; not to be changed."""
    job = make_run(tmp_path_factory.mktemp("published"))
    assert pack(job)
    return job.run.bundle


@pytest.fixture
def entry(packed_entry, tmp_path) -> Path:
    """A copy of the sound bundle in a folder of its own."""
    return shutil.copytree(packed_entry, tmp_path / "run" / "bundle")
