"""Listing and downloading a model repository's files with the hubs' own clients, behind one shape.

Both clients go on with a file that was cut. Nothing here imports torch (`modelscope.hub.api` would).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kolors_submit.errors import OutsideError


@dataclass(frozen=True)
class Remote:
    """A file in a repository: its path, size in bytes, SHA-256 where the hub tells it, and its revision."""

    path: str
    size: int
    sha256: str | None
    revision: str


@dataclass(frozen=True)
class Hub:
    """A hub's two calls; both raise OutsideError where it does not answer as it should.

    A listing without a revision is of the newest.
    """

    name: str
    list_files: Callable[[str, str | None], list[Remote]]
    download: Callable[[str, Remote, str, Path, bool], Path]


def _modelscope_files(repository: str, revision: str | None = None) -> list[Remote]:
    from kolors_submit.weights.guard import modelscope_api

    revision = revision or "master"
    with _plain_errors("ModelScope", repository):
        files = modelscope_api().list_repo_files(repository, "model", revision=revision)
    return [
        Remote(_inside(file.path), file.size or 0, file.sha256 or None, revision) for file in files if not file.is_dir
    ]


def _modelscope_download(repository: str, remote: Remote, revision: str, folder: Path, quiet: bool) -> Path:
    from modelscope_hub import TqdmCallback

    from kolors_submit.weights.guard import modelscope_api

    # The client draws a bar whether it is told to or not.
    silence = contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext()
    with _plain_errors("ModelScope", repository), silence:
        return modelscope_api().downloader.download_file(
            repository,
            "model",
            remote.path,
            revision=revision,
            cache_dir=folder / ".cache",
            local_dir=folder,
            expected_sha256=remote.sha256,
            file_size=remote.size,
            progress_callbacks=None if quiet else [TqdmCallback],
        )


def _huggingface_files(repository: str, revision: str | None = None) -> list[Remote]:
    from kolors_submit.weights.guard import huggingface_api

    with _plain_errors("Hugging Face", repository):
        info = huggingface_api().model_info(repository, revision=revision, files_metadata=True)
    revision = revision or info.sha or "main"
    return [
        Remote(_inside(file.rfilename), file.size or 0, file.lfs.sha256 if file.lfs else None, revision)
        for file in info.siblings or []
    ]


def _huggingface_download(repository: str, remote: Remote, revision: str, folder: Path, quiet: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if quiet:
        disable_progress_bars()
    endpoint = os.environ.get("HF_ENDPOINT")
    with _plain_errors("Hugging Face", repository):
        return Path(hf_hub_download(repository, remote.path, revision=revision, local_dir=folder, endpoint=endpoint))


class _plain_errors:
    """Turns a client's many exceptions into OutsideError with one sentence; the disk's own errors pass."""

    def __init__(self, hub: str, repository: str):
        self.where = f"{hub}, {repository}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        import httpx
        import requests
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
        from modelscope_hub.errors import HubError

        clients = (HubError, HfHubHTTPError, LocalEntryNotFoundError, requests.RequestException, httpx.HTTPError)
        if isinstance(error, (*clients, ConnectionError)):
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise OutsideError(f"{self.where}: {first[0][:300]}") from error


def _inside(path: str) -> str:
    """A listing's path, which is a stranger's: OutsideError unless it stays below the folder."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise OutsideError(f"the hub lists a file outside its repository ({path!r}); nothing was downloaded")
    return path


HUBS = {
    "modelscope": Hub("modelscope", _modelscope_files, _modelscope_download),
    "huggingface": Hub("huggingface", _huggingface_files, _huggingface_download),
}
"""In the order in which they are tried."""
