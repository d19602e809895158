"""Hugging Face through huggingface_hub."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolors_submit.hub.errors import plain_errors
from kolors_submit.hub.known import require_token
from kolors_submit.hub.repository import Listed

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class HuggingFace:
    """A model repository on Hugging Face; implements `Repository`. Its page cannot carry the display name."""

    name: str
    revision: str
    hub: str = "huggingface"

    @property
    def page(self) -> str:
        """Address of the model's page."""
        return f"{_api().endpoint}/{self.name}"

    def account(self) -> str:
        """Who the token belongs to; raises InputError where there is none."""
        require_token(self.hub)
        with self._plain():
            return str(_api().whoami()["name"])

    def files(self) -> list[Listed] | None:
        """Every file: large ones with their SHA-256, others with git's SHA-1."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with self._plain():
            try:
                info = _api().model_info(self.name, revision=self.revision, files_metadata=True)
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None
        return [
            Listed(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id, info.sha)
            for file in info.siblings or []
        ]

    def create(self, private: bool, display_name: str | None, license: str) -> None:
        """Create it with its visibility; display name and license stand in the card."""
        with self._plain(writing=True):
            _api().create_repo(self.name, private=private, exist_ok=True)

    def send(self, folder: Path, names: Sequence[str], message: str, quiet: bool) -> None:
        """Commit files."""
        from huggingface_hub.utils.tqdm import disable_progress_bars

        if quiet:
            disable_progress_bars()
        patterns = [glob.escape(name) for name in names]
        with self._plain(writing=True):
            _api().upload_folder(
                repo_id=self.name,
                folder_path=folder,
                allow_patterns=patterns,
                commit_message=message,
                revision=self.revision,
            )

    def delete(self, names: Sequence[str], message: str) -> None:
        """Commit the removal of files."""
        patterns = [glob.escape(name) for name in names]
        with self._plain(writing=True):
            _api().delete_files(self.name, patterns, commit_message=message, revision=self.revision)

    def tag(self, name: str) -> None:
        """Tag the newest commit."""
        with self._plain(writing=True):
            _api().create_tag(self.name, tag=name, revision=self.revision, exist_ok=True)

    def download(self, listed: Listed, folder: Path, quiet: bool) -> Path:
        """Fetch one file; the client does not check what it gets, so the caller does."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils.tqdm import disable_progress_bars

        if quiet:
            disable_progress_bars()
        revision, endpoint = listed.revision or self.revision, _api().endpoint
        with self._plain():
            path = hf_hub_download(self.name, listed.path, revision=revision, local_dir=folder, endpoint=endpoint)
        return Path(path)

    def _plain(self, *, writing: bool = False) -> AbstractContextManager[None]:
        return plain_errors(self.hub, self.name, writing=writing)


def _api() -> HfApi:
    from kolors_submit.hub.guard import huggingface_api

    return huggingface_api()
