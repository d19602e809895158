"""HTTP on 127.0.0.1 for the tests' servers: the thread they run in, and the answers that all of them give."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""The revision that both hubs' files are at."""


class Handler(BaseHTTPRequestHandler):
    """A quiet handler that keeps connections open; subclasses answer `do_GET` and its like."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the other side to acknowledge its headers

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def address(self) -> tuple[str, dict[str, str]]:
        """The path that was asked for, and its query."""
        parts = urlparse(self.path)
        return unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}

    def send(self, status: int, body: bytes, *, cut: bool = False, **headers: str) -> None:
        """Answer; with `cut` the connection ends in the middle of the body."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with a JSON value."""
        self.send(status, json.dumps(value).encode())

    def send_envelope(self, data: object) -> None:
        """Answer with a JSON value as ModelScope wraps it."""
        self.send_json({"Code": 200, "Data": data, "Message": "success", "RequestId": "1", "Success": True})

    def send_file(self, data: bytes, *, cut: bool = False, **headers: str) -> None:
        """Answer with a file, or with the part of it that the request's Range names."""
        asked = self.headers.get("Range")
        if asked is None or self.command == "HEAD":
            self.send(200, data, cut=cut, **headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self.send(206, part, **headers)


class Server(ThreadingHTTPServer):
    """A server that says nothing of a client which left before its answer, and prints whatever else goes wrong."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What came out of a handler, in its thread."""
        if not isinstance(sys.exception(), BrokenPipeError | ConnectionResetError):
            super().handle_error(request, client_address)


@contextmanager
def serve(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers with `handler` until the block ends."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def modelscope_entries(files: dict[str, bytes]) -> list[dict[str, object]]:
    """A repository's files as ModelScope lists them."""
    return [
        {"Name": path, "Path": path, "Type": "blob", "Size": len(data), "Sha256": sha256(data), "IsLFS": True}
        for path, data in files.items()
    ]
