"""The official client against an endpoint on 127.0.0.1 that fails in each of the ways in which endpoints fail."""

from __future__ import annotations

import gzip
import io
import time
import traceback

import pytest

from kolors_submit.endpoint import DASHSCOPE, Endpoint, Limits, NoEndpoint, ask, find_endpoint
from kolors_submit.errors import InputError, OutsideError, SubmitError
from tests.chat import KEY, Chat, dripping, event, failing, sending, serve, silent, without_schemas

ASKED = [{"role": "user", "content": "hello"}]
QUICK = Limits(silence=0.8, total=1.5, size=100_000, retries=0)
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DASHSCOPE_API_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def answer_of(*answers, schema=None, limits=QUICK) -> tuple[str, Chat]:
    with serve(Chat(answers)) as chat:
        return ask(Endpoint(chat.url, "test", KEY), ASKED, schema, limits), chat


def test_an_answer_comes_in_pieces_and_the_key_in_its_header_alone():
    text, chat = answer_of("一只猫坐在窗边")
    assert text == "一只猫坐在窗边"
    assert chat.keys == [f"Bearer {KEY}"] and KEY not in str(chat.requests)
    assert (chat.requests[0]["model"], chat.requests[0]["messages"]) == ("test", ASKED)


def test_what_a_model_thinks_aloud_is_no_answer():
    assert answer_of("<think>which cat?\n</think>\n一只猫")[0] == "一只猫"


@pytest.mark.parametrize(("knows", "tried"), [(("json_schema", "json_object"), 1), (("json_object",), 2), ((), 3)])
def test_a_schema_is_asked_for_as_far_as_the_endpoint_knows_how(knows, tried):
    text, chat = answer_of(without_schemas("{}", knows), schema=SCHEMA)
    assert text == "{}" and len(chat.requests) == tried
    assert chat.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            failing(401, f"Incorrect API key provided: {KEY}"),
            InputError,
            r"refuses the key \(401\); set OPENAI_API_KEY",
        ),
        (failing(403), InputError, "refuses the key"),
        (failing(404), InputError, "correct the model's name or the address"),
        (failing(400, "context too long"), InputError, "refuses the request .400: .*context too long"),
        (failing(429, "quota exceeded"), OutsideError, "429: .*quota exceeded"),
        (failing(500, f"\x1b[31mcrashed with {KEY}"), OutsideError, r"failed \(500: .*crashed with \*\*\*"),
        (failing(503), OutsideError, "run again later"),
        (silent(1.5), OutsideError, "sent nothing for 0.8 s"),
        (dripping("x" * 1000, 0.1), OutsideError, "was still sending after 1.5 s"),
        (sending(b"data: " + b"x" * 10_000, repeat=1000), OutsideError, "sent more than 100,000 bytes"),
        (sending(event({"content": "x" * 1000}), repeat=1000), OutsideError, "sent more than 100,000 bytes"),
        (sending(b"<html>It works!</html>", "text/html"), OutsideError, "did not answer with a chat completion"),
        (sending(b"data: {not json}\n\n"), OutsideError, "did not answer with a chat completion"),
        (sending(b'data: {"choices": "none"}\n\n'), OutsideError, "did not answer with a chat completion"),
        (sending(b'data: {"choices": [{"delta": null}]}\n\n'), OutsideError, "did not answer with a chat completion"),
        (sending(b"data: [1, 2]\n\n"), OutsideError, "did not answer with a chat completion"),
        (sending(b"data: " + b"[" * 50_000 + b"\n\n"), OutsideError, "did not answer with a chat completion"),
        (sending(b'data: {"error": {"message": "overloaded"}}\n\n'), OutsideError, "while it answered: overloaded"),
        (sending(b"data: \xff\xfe\n\n"), OutsideError, "did not answer with a chat completion"),
        (sending(b""), OutsideError, "did not answer with a chat completion"),
        ("", OutsideError, "did not answer with a chat completion"),
        (sending(gzip.compress(b"x" * 10_000_000), **{"Content-Encoding": "gzip"}), OutsideError, "compressed answer"),
    ],
)
def test_every_failure_is_one_sentence_without_the_key(answer, kind, said):
    began = time.monotonic()
    with pytest.raises(kind, match=said) as caught:
        answer_of(answer)
    assert time.monotonic() - began < 30
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()
    shown = io.StringIO()
    traceback.print_exception(caught.value, file=shown)
    assert KEY not in shown.getvalue(), "what --debug shows"


def test_nobody_at_the_address_and_a_broken_answer():
    with serve(Chat(["x"])) as chat:
        gone = chat.url
    with pytest.raises(OutsideError, match="cannot be reached or broke off"):
        ask(Endpoint(gone, "test", KEY), ASKED, None, QUICK)
    with pytest.raises(OutsideError, match="cannot be reached or broke off"):
        answer_of(sending(b"data: {}", **{"Content-Length": "5000"}))


def test_a_failure_that_passes_is_tried_again():
    text, chat = answer_of(failing(500), failing(429), "at last", limits=Limits(silence=5, total=10))
    assert text == "at last" and len(chat.requests) == 3


@pytest.mark.parametrize(
    ("environment", "given", "found"),
    [
        ({"DASHSCOPE_API_KEY": KEY}, {}, (DASHSCOPE, "qwen", KEY)),
        ({"DASHSCOPE_API_KEY": KEY}, {"model": "qwen-max"}, (DASHSCOPE, "qwen-max", KEY)),
        ({"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m"}, {}, ("https://api.openai.com/v1", "m", KEY)),
        (
            {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1/", "OPENAI_MODEL": "m"},
            {},
            ("http://127.0.0.1:1/v1", "m", "none"),
        ),
        (
            {"DASHSCOPE_API_KEY": KEY, "OPENAI_MODEL": "m"},
            {"url": "http://127.0.0.1:1/v1"},
            ("http://127.0.0.1:1/v1", "m", "none"),
        ),
        ({"OPENAI_API_KEY": "other", "DASHSCOPE_API_KEY": KEY}, {"url": DASHSCOPE}, (DASHSCOPE, "qwen", KEY)),
    ],
)
def test_the_endpoint_that_the_environment_means(environment, given, found, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    endpoint = find_endpoint(**given, dashscope_model="qwen")
    assert (endpoint.url, endpoint.model, endpoint.key) == found
    assert KEY not in repr(endpoint)


@pytest.mark.parametrize(
    ("url", "model", "said"),
    [
        (None, "m", "no model to ask: set DASHSCOPE_API_KEY"),
        ("http://127.0.0.1:1", None, "name the model"),
        ("127.0.0.1:8000", "m", "is not an endpoint"),
        ("file:///etc/passwd", "m", "is not an endpoint"),
        ("http://[", "m", "is not an endpoint"),
        ("http://host:port/v1", "m", "is not an endpoint"),
        ("http://me:secret@host/v1", "m", "must not hold a user or password"),
    ],
)
def test_addresses_that_are_none(url, model, said):
    with pytest.raises(InputError, match=said) as caught:
        find_endpoint(url, model)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, NoEndpoint) == (url is None)


def test_a_key_that_no_header_can_carry(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "密钥\n")
    with pytest.raises(SubmitError, match="characters that none can have|characters that no key has") as caught:
        find_endpoint("http://127.0.0.1:1", "m")
    assert "密钥" not in str(caught.value)
