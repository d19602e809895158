"""A model repository on 127.0.0.1, as far as listing and downloading go, spoken as both real clients expect it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests import loopback
from tests.loopback import COMMIT, modelscope_entries, sha256


@dataclass
class Repository:
    """What the server holds, what it does wrong on purpose, and what it was asked."""

    files: dict[str, bytes]
    modelscope: bool = True
    huggingface: bool = True
    corrupt: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    refuse: set[str] = field(default_factory=set)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    address: str = ""

    def downloads(self) -> list[str]:
        """Files whose bytes were asked for, in order."""
        return [path for path, _ in self.requests]


@contextmanager
def serve(repository: Repository) -> Iterator[Repository]:
    """Serve one repository under any name until the block ends."""

    class Handler(_Handler):
        held = repository

    with loopback.serve(Handler) as repository.address:
        yield repository


class _Handler(loopback.Handler):
    held: Repository

    def do_GET(self) -> None:
        path, query = self.address()
        self.held.paths.append(path)
        if path == "/api/v1/repos/internalAccelerationInfo":
            self.send_envelope({"InternalRegionQueryAddress": ""})
        elif path.startswith("/api/v1/models/"):
            self._modelscope(path, query)
        elif path.startswith("/api/models/") or "/resolve/" in path:
            self._huggingface(path)
        else:
            self.send(404, b"{}")

    do_HEAD = do_GET

    def _modelscope(self, path: str, query: dict[str, str]) -> None:
        if not self.held.modelscope:
            self.send(404, b'{"Code":10010205001,"Success":false,"Message":"not found"}')
        elif path.endswith("/revisions"):
            self.send_envelope({"RevisionMap": {"Branches": [{"Revision": "master"}], "Tags": []}})
        elif path.endswith("/repo/files"):
            self.send_envelope({"Files": modelscope_entries(self.held.files)})
        else:
            self._file(query.get("FilePath", ""), etag="X-Linked-ETag")

    def _huggingface(self, path: str) -> None:
        if not self.held.huggingface:
            self.send(404, b"{}", **{"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path:
            self._file(path.split("/resolve/")[1].split("/", 1)[1], etag="ETag")
        else:
            siblings = [
                {
                    "rfilename": name,
                    "size": len(data),
                    "lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 130},
                }
                for name, data in self.held.files.items()
            ]
            self.send_json({"id": "owner/name", "sha": COMMIT, "siblings": siblings})

    def _file(self, name: str, etag: str) -> None:
        data = self.held.files.get(name)
        if data is None or name in self.held.refuse:
            self.send(404 if data is None else 403, b"{}")
            return
        headers = {etag: f'"{sha256(data)}"', "X-Repo-Commit": COMMIT}
        if name in self.held.corrupt:
            data = bytes(len(data))
        if self.command != "HEAD":
            self.held.requests.append((name, self.headers.get("Range")))
        self.send_file(data, cut=name in self.held.cut, **headers)
