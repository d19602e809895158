"""ModelScope through modelscope_hub, its own client: what the modelscope package's HubApi calls, without torch."""

from __future__ import annotations

import contextlib
import glob
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolors_submit.files import file_digest
from kolors_submit.hub.errors import plain_errors
from kolors_submit.hub.known import require_token
from kolors_submit.hub.repository import Listed

if TYPE_CHECKING:
    from modelscope_hub import HubApi


@dataclass(frozen=True)
class ModelScope:
    """A model repository on ModelScope; implements `Repository`."""

    name: str
    revision: str
    hub: str = "modelscope"

    @property
    def page(self) -> str:
        """Address of the model's page."""
        from modelscope_hub import HubConfig

        return f"{HubConfig().endpoint}/models/{self.name}"

    def account(self) -> str:
        """Who the token belongs to; raises InputError where there is none."""
        require_token(self.hub)
        with self._plain():
            return _api().whoami().username or "?"

    def files(self) -> list[Listed] | None:
        """Every file with its SHA-256."""
        from modelscope_hub.errors import NotExistError

        with self._plain():
            try:
                found = _api().list_repo_files(self.name, "model", revision=self.revision)
            except NotExistError:
                return None
        return [
            Listed(file.path, file.size or 0, file.sha256 or None, revision=self.revision)
            for file in found
            if not file.is_dir
        ]

    def create(self, private: bool, display_name: str | None, license: str) -> None:
        """Create it with visibility and the Chinese name: `upload_folder` would make it public and hide errors."""
        from modelscope_hub.errors import AlreadyExistsError

        visibility = "private" if private else "public"
        with self._plain(writing=True), contextlib.suppress(AlreadyExistsError):
            _api().create_repo(
                self.name, "model", visibility=visibility, license=license, chinese_name=display_name or None
            )

    def send(self, folder: Path, names: Sequence[str], message: str, quiet: bool) -> None:
        """Commit files, without the client's cache: it would lie in the bundle, and forgets which hub it is about."""
        from modelscope_hub.errors import StorageError

        with self._plain(writing=True), _silent() as heard:
            self._may_write(folder, names)
            failed: Exception | None = None
            try:
                _api().upload_folder(
                    self.name,
                    "model",
                    folder,
                    allow_patterns=[glob.escape(name) for name in names],
                    commit_message=message,
                    revision=self.revision,
                    use_cache=False,
                    disable_tqdm=quiet,
                )
            except StorageError as error:
                failed = heard.last or error  # the client only counts the files here, and says why in its log
            if failed is not None:
                raise failed

    def delete(self, names: Sequence[str], message: str) -> None:
        """Commit the removal of files."""
        with self._plain(writing=True), _silent():
            _api().delete_files(self.name, "model", list(names), commit_message=message, revision=self.revision)

    def tag(self, name: str) -> None:
        """Tag the newest commit."""
        from modelscope_hub.errors import AlreadyExistsError

        with self._plain(writing=True), contextlib.suppress(AlreadyExistsError):
            _api().create_repo_tag(self.name, "model", name, revision=self.revision)

    def download(self, listed: Listed, folder: Path, quiet: bool) -> Path:
        """Fetch one file, checked against the listing's SHA-256 by the client."""
        from modelscope_hub import TqdmCallback

        # The client draws a bar whether it is told to or not.
        silence = contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext()
        with self._plain(), silence:
            return _api().downloader.download_file(
                self.name,
                "model",
                listed.path,
                revision=listed.revision or self.revision,
                cache_dir=folder / ".cache",
                local_dir=folder,
                expected_sha256=listed.sha256,
                file_size=listed.size,
                progress_callbacks=None if quiet else [TqdmCallback],
            )

    def _may_write(self, folder: Path, names: Sequence[str]) -> None:
        """Ask for an upload address first: `upload_folder` hides a refusal behind many retries."""
        first = folder / names[0]
        _api().legacy.validate_blobs(self.name, "model", [{"oid": file_digest(first), "size": first.stat().st_size}])

    def _plain(self, *, writing: bool = False) -> AbstractContextManager[None]:
        return plain_errors(self.hub, self.name, writing=writing)


def _api() -> HubApi:
    from kolors_submit.hub.guard import modelscope_api

    return modelscope_api()


class _Heard(logging.Handler):
    """Keeps the last exception that the client logged, and lets nothing of its log through."""

    last: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        for one in record.args if isinstance(record.args, tuple) else ():
            self.last = one if isinstance(one, Exception) else self.last


@contextlib.contextmanager
def _silent() -> Iterator[_Heard]:
    """Without the client's report on stdout, which belongs to --json, and its log of every retry."""
    logger = logging.getLogger("modelscope_hub")
    heard = _Heard(logging.ERROR)
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [heard], False
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield heard
    finally:
        logger.handlers, logger.propagate = handlers, propagate
