"""A chat model behind any OpenAI-compatible endpoint, asked through the official client.

Where it is and the key that opens it come from the call or the environment and go nowhere else: no file, message or
log holds the key, not even where the endpoint repeats it. What the endpoint sends is a stranger's: it is bounded in
size and time as it arrives.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2  # the openai client's own transport
import openai

from kolors_submit.errors import InputError, OutsideError, SubmitError

DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"
OPENAI = "https://api.openai.com/v1"
CONNECT_SECONDS = 10.0
NO_KEY = "none"
"""What an endpoint is sent that asks for no key; the client does not work without any."""

Message = dict[str, Any]

_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
"""Where a server leaves a model's reasoning in its answer."""


class NoEndpoint(InputError):
    """Neither the call nor the environment says which endpoint to ask."""


@dataclass(frozen=True)
class Endpoint:
    """An address, the model asked there, and the key."""

    url: str
    model: str
    key: str = field(repr=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.model} at {self.url}"


@dataclass(frozen=True)
class Limits:
    """How long an answer may take, in seconds, and how many bytes it may send; `retries` are the client's own."""

    silence: float = 180.0
    total: float = 900.0
    size: int = 16 * 2**20
    retries: int = 2


def find_endpoint(url: str | None = None, model: str | None = None, dashscope_model: str | None = None) -> Endpoint:
    """The endpoint that the call or the environment means.

    `url`, else OPENAI_BASE_URL, else DashScope where DASHSCOPE_API_KEY is set, else OpenAI where OPENAI_API_KEY is.
    `model`, else OPENAI_MODEL, else on DashScope `dashscope_model`. An endpoint of one's own needs no key. Raises
    NoEndpoint where nothing names one, InputError for an address that is none or a missing model.
    """
    openai_key, dashscope_key = os.environ.get("OPENAI_API_KEY"), os.environ.get("DASHSCOPE_API_KEY")
    url = url or os.environ.get("OPENAI_BASE_URL") or (DASHSCOPE if dashscope_key else OPENAI if openai_key else None)
    if url is None:
        raise NoEndpoint(
            "no model to ask: set DASHSCOPE_API_KEY (Qwen) or OPENAI_API_KEY, or OPENAI_BASE_URL and OPENAI_MODEL "
            "for another OpenAI-compatible endpoint, a local one for example"
        )
    at_dashscope = _host(url).endswith(".aliyuncs.com")
    model = model or os.environ.get("OPENAI_MODEL") or (dashscope_model if at_dashscope else None)
    if not model:
        raise InputError(
            f"{url}: name the model to ask there, with OPENAI_MODEL or where the command or story takes it"
        )
    # A key goes only where it belongs: DashScope's to DashScope.
    key = ((dashscope_key if at_dashscope else None) or openai_key or NO_KEY).strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            "the endpoint's key has characters that no key has; set OPENAI_API_KEY or DASHSCOPE_API_KEY again"
        )
    return Endpoint(url.rstrip("/"), model, key)


def _host(url: str) -> str:
    """The host of an endpoint's address; raises InputError where it is no plain http address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if "@" in url:
        raise InputError("an endpoint's address must not hold a user or password; set OPENAI_API_KEY instead")
    if host is None or parts.scheme not in ("http", "https") or not url.isprintable():
        raise InputError(f"{url!r} is not an endpoint; write an address such as http://127.0.0.1:8000/v1")
    return host


def ask(
    endpoint: Endpoint, messages: Sequence[Message], schema: dict[str, Any] | None = None, limits: Limits | None = None
) -> str:
    """The model's answer to a conversation, as text.

    With a JSON `schema` the endpoint is asked to hold to it, or where it knows no schemas to answer in JSON; the caller
    still checks. Raises InputError where the key, the model or the request is refused, OutsideError where the endpoint
    cannot be reached, fails, is too slow, or sends too much or no chat completion.
    """
    limits = limits or Limits()
    forms = [*_response_formats(schema), None] if schema else [None]
    with _client(endpoint, limits) as client:
        for form in forms:
            try:
                return _answer(client, endpoint, messages, {"response_format": form} if form else {})
            except (openai.OpenAIError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
                if form is None or not isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
                    # `from None`: an endpoint may repeat the key, and a traceback would show its words.
                    raise _plain(error, endpoint, limits) from None
    raise AssertionError("the last form is None, which returns or raises")


def _response_formats(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The API's two ways to ask for JSON; an endpoint may refuse either."""
    strict = {"name": "answer", "strict": True, "schema": schema}
    return [{"type": "json_schema", "json_schema": strict}, {"type": "json_object"}]


def _client(endpoint: Endpoint, limits: Limits) -> openai.OpenAI:
    """The official client, with every answer bounded in bytes and seconds."""

    def bound(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise OutsideError(f"{endpoint.name} sends a compressed answer although asked not to; ask another endpoint")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, endpoint, limits)

    timeout = httpx2.Timeout(limits.silence, connect=min(CONNECT_SECONDS, limits.silence))
    http = openai.DefaultHttpxClient(event_hooks={"response": [bound]}, timeout=timeout)
    return openai.OpenAI(
        base_url=endpoint.url,
        api_key=endpoint.key,
        http_client=http,
        timeout=timeout,
        max_retries=limits.retries,
        default_headers={"Accept-Encoding": "identity"},
    )


class _Bounded(httpx2.SyncByteStream):
    """An answer's bytes, up to the limits."""

    def __init__(self, stream: httpx2.SyncByteStream, endpoint: Endpoint, limits: Limits):
        self.stream, self.endpoint, self.limits = stream, endpoint, limits

    def __iter__(self) -> Iterator[bytes]:
        end, size = time.monotonic() + self.limits.total, 0
        for part in self.stream:
            size += len(part)
            if size > self.limits.size:
                raise OutsideError(f"{self.endpoint.name} sent more than {self.limits.size:,} bytes; ask another model")
            if time.monotonic() > end:
                raise OutsideError(
                    f"{self.endpoint.name} was still sending after {self.limits.total:g} s; ask a faster model"
                )
            yield part

    def close(self) -> None:
        """Give the connection back."""
        self.stream.close()


def _answer(client: openai.OpenAI, endpoint: Endpoint, messages: Sequence[Message], extra: dict[str, Any]) -> str:
    """One request, streamed so that a stalled endpoint is noticed early; what the model thinks aloud is left out."""
    create: Any = client.chat.completions.create
    text = []
    with create(model=endpoint.model, messages=list(messages), stream=True, **extra) as stream:
        for chunk in stream:
            text += [choice.delta.content for choice in chunk.choices or () if choice.delta.content]
    answer = _THOUGHTS.sub("", "".join(text)).strip()
    if not answer:
        raise ValueError("an empty answer")
    return answer


def _plain(error: Exception, endpoint: Endpoint, limits: Limits) -> SubmitError:
    """What went wrong, in one sentence with what to do."""
    where = endpoint.name
    if isinstance(error.__cause__, OutsideError):  # our own limits, as the client wraps them
        return error.__cause__
    if isinstance(error, openai.APITimeoutError):
        return OutsideError(f"{where} sent nothing for {limits.silence:g} s; check that it is running, then run again")
    if isinstance(error, openai.APIConnectionError):
        why = _words(str(error.__cause__ or error), endpoint)
        return OutsideError(f"{where} cannot be reached or broke off ({why}); check that it is running, then run again")
    if isinstance(error, openai.APIStatusError):
        return _refusal(error, endpoint)
    if isinstance(error, openai.APIError):
        return OutsideError(f"{where} failed while it answered: {_words(error.message, endpoint)}; run again")
    return OutsideError(
        f"{where} did not answer with a chat completion; check that the address is that of an OpenAI-compatible "
        "endpoint (it often ends in /v1)"
    )


def _refusal(error: openai.APIStatusError, endpoint: Endpoint) -> SubmitError:
    """An HTTP status as a sentence."""
    where, status, said = endpoint.name, error.status_code, _words(error.message, endpoint)
    if status in (401, 403):
        return InputError(f"{where} refuses the key ({status}); set OPENAI_API_KEY or DASHSCOPE_API_KEY to a valid one")
    if status == 404:
        return InputError(f"{where} was not found (404); correct the model's name or the address (often .../v1)")
    if status == 429:
        return OutsideError(
            f"{where} takes no more requests now (429: {said}); wait, or raise the quota, then run again"
        )
    if status < 500:
        return InputError(f"{where} refuses the request ({status}: {said}); choose another model or address")
    return OutsideError(f"{where} failed ({status}: {said}); run again later")


def _words(text: str, endpoint: Endpoint) -> str:
    """A stranger's words for a terminal: short, printable, and without the key."""
    if endpoint.key != NO_KEY:
        text = text.replace(endpoint.key, "***")
    plain = "".join(character if character.isprintable() else " " for character in text[:2000])
    return " ".join(plain.split())[:200]
