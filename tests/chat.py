"""An OpenAI-compatible endpoint on 127.0.0.1 that answers as it is told, and fails in every way that endpoints do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests import loopback

KEY = "sk-a-very-secret-key-0123456789"


@dataclass
class Chat:
    """What the endpoint answers, in turn (the last answer again and again), and what it was asked.

    An answer is the model's text, or a function that speaks to the handler itself.
    """

    answers: Sequence[str | Callable[[Handler], None]]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""

    def words(self, number: int = -1) -> str:
        """All that one request said, as one text."""
        return json.dumps(self.requests[number]["messages"], ensure_ascii=False)


class Handler(loopback.Handler):
    """One request."""

    chat: Chat

    def do_POST(self) -> None:
        chat = self.chat
        body = self.rfile.read(int(self.headers["Content-Length"]))
        chat.requests.append(json.loads(body))
        chat.keys.append(self.headers.get("Authorization", ""))
        if self.path != "/v1/chat/completions":
            self.fail(404, "no such page")
            return
        answer = chat.answers[min(len(chat.requests), len(chat.answers)) - 1]
        if callable(answer):
            answer(self)
        else:
            self.stream(answer)

    def stream(self, text: str, pieces: int = 7, pause: float = 0.0) -> None:
        """A completion in some pieces, as server-sent events."""
        self.begin("text/event-stream")
        size = max(1, -(-len(text) // pieces))
        for start in range(0, len(text), size):
            self.wfile.write(event({"content": text[start : start + size]}))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(event({}, "stop") + b"data: [DONE]\n\n")
        self.close_connection = True

    def begin(self, kind: str, status: int = 200, **headers: str) -> None:
        """Status and headers of an answer whose end is the connection's end."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def fail(self, status: int, message: str) -> None:
        """An error as OpenAI's API words it."""
        self.begin("application/json", status, **{"Retry-After": "0"})
        self.wfile.write(json.dumps({"error": {"message": message, "type": "error", "code": status}}).encode())
        self.close_connection = True


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    """One piece of a completion."""
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
    value = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "test", "choices": [choice]}
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def failing(status: int, message: str = "so it is") -> Callable[[Handler], None]:
    """Answer with an HTTP error."""
    return lambda handler: handler.fail(status, message)


def silent(seconds: float) -> Callable[[Handler], None]:
    """Send nothing at all for a while."""

    def answer(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def dripping(text: str, pause: float) -> Callable[[Handler], None]:
    """Stream one character at a time, slowly, and never a whole line of an event."""

    def answer(handler: Handler) -> None:
        handler.begin("text/event-stream")
        for character in "data: " + text:
            handler.wfile.write(character.encode())
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def sending(body: bytes, kind: str = "text/event-stream", repeat: int = 1, **headers: str) -> Callable[[Handler], None]:
    """Answer with these bytes, some times over."""

    def answer(handler: Handler) -> None:
        handler.begin(kind, **headers)
        for _ in range(repeat):
            handler.wfile.write(body)
        handler.close_connection = True

    return answer


def without_schemas(text: str, knows: Sequence[str] = ()) -> Callable[[Handler], None]:
    """Refuse every response_format but those it knows, as many servers do."""

    def answer(handler: Handler) -> None:
        form = handler.chat.requests[-1].get("response_format", {}).get("type")
        if form is None or form in knows:
            handler.stream(text)
        else:
            handler.fail(400, f"response_format {form} is not supported")

    return answer


@contextlib.contextmanager
def serve(chat: Chat) -> Iterator[Chat]:
    """Serve until the block ends."""
    with loopback.serve(type("ChatHandler", (Handler,), {"chat": chat})) as address:
        chat.url = f"{address}/v1"
        yield chat
