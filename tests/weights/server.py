"""A model repository on 127.0.0.1, as far as listing and downloading go, spoken as both real clients expect it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    repository.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield repository
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: Repository

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        path = unquote(address.path)
        self.held.paths.append(path)
        if path == "/api/v1/repos/internalAccelerationInfo":
            self._envelope({"InternalRegionQueryAddress": ""})
        elif path.startswith("/api/v1/models/"):
            self._modelscope(path, query)
        elif path.startswith("/api/models/") or "/resolve/" in path:
            self._huggingface(path)
        else:
            self._send(404, b"{}")

    def _modelscope(self, path: str, query: dict[str, str]) -> None:
        if not self.held.modelscope:
            self._send(404, b'{"Code":10010205001,"Success":false,"Message":"not found"}')
        elif path.endswith("/revisions"):
            self._envelope({"RevisionMap": {"Branches": [{"Revision": "master"}], "Tags": []}})
        elif path.endswith("/repo/files"):
            entries = [
                {"Name": name, "Path": name, "Type": "blob", "Size": len(data), "Sha256": _sha256(data), "IsLFS": True}
                for name, data in self.held.files.items()
            ]
            self._envelope({"Files": entries})
        else:
            self._file(query.get("FilePath", ""), etag="X-Linked-ETag")

    def _huggingface(self, path: str) -> None:
        if not self.held.huggingface:
            self._send(404, b"{}", **{"X-Error-Code": "RepoNotFound"})
        elif "/resolve/" in path:
            self._file(path.split("/resolve/")[1].split("/", 1)[1], etag="ETag")
        else:
            siblings = [
                {
                    "rfilename": name,
                    "size": len(data),
                    "lfs": {"sha256": _sha256(data), "size": len(data), "pointerSize": 130},
                }
                for name, data in self.held.files.items()
            ]
            self._send(200, json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())

    def _file(self, name: str, etag: str) -> None:
        data = self.held.files.get(name)
        if data is None or name in self.held.refuse:
            self._send(404 if data is None else 403, b"{}")
            return
        headers = {etag: f'"{_sha256(data)}"', "X-Repo-Commit": COMMIT}
        if name in self.held.corrupt:
            data = bytes(len(data))
        if self.command == "HEAD":
            self._send(200, data, **headers)
            return
        asked = self.headers.get("Range")
        self.held.requests.append((name, asked))
        if asked is None:
            self._send(200, data, cut=name in self.held.cut, **headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self._send(206, part, **headers)

    def _envelope(self, data: object) -> None:
        value = {"Code": 200, "Data": data, "Message": "success", "RequestId": "1", "Success": True}
        self._send(200, json.dumps(value).encode())

    def _send(self, status: int, body: bytes, *, cut: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
