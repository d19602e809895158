"""What the hubs' clients raise, in one sentence of ours: its class, its cause, and no token."""

from __future__ import annotations

from typing import get_args

import pytest
import requests
from huggingface_hub.errors import RepositoryNotFoundError

from kolors_submit.errors import InputError, OutsideError
from kolors_submit.hub import open_hub
from kolors_submit.hub.errors import plain_errors
from kolors_submit.hub.known import HUBS, KNOWN
from kolors_submit.story import Submission


def answered(status, kind=requests.HTTPError):
    response = requests.Response()
    response.status_code = status
    return kind("tok-secret was sent", response=response)


@pytest.mark.parametrize("hub", HUBS)
@pytest.mark.parametrize(
    ("error", "writing", "kind", "said"),
    [
        (answered(401), False, InputError, "does not accept the token; set"),
        (answered(403), True, InputError, "does not let this token write to a/B"),
        (answered(403), False, InputError, "does not let this account read a/B: it may be private"),
        (answered(404), False, InputError, "a/B was not found on"),
        (answered(401, RepositoryNotFoundError), False, InputError, "a/B was not found on"),
        (answered(503), False, OutsideError, r"a/B \(status 503\): .*; run the same command again"),
        (ConnectionResetError("tok-secret"), False, OutsideError, "the connection failed"),
    ],
    ids=lambda value: str(getattr(getattr(value, "response", None), "status_code", "")),
)
def test_every_error_is_one_sentence_without_a_token(hub, error, writing, kind, said, monkeypatch):
    monkeypatch.setenv(KNOWN[hub].token_variable, "tok-secret")
    with pytest.raises(kind, match=said) as raised, plain_errors(hub, "a/B", writing=writing):
        raise error
    assert "tok-secret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("hub", HUBS)
def test_a_hub_that_is_away_is_one_sentence_and_no_log(hub, tmp_path, monkeypatch, capfd):
    """The clients log every retry, with the address and the exception in full."""
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path))
    for name in ("MODELSCOPE_ENDPOINT", "HF_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(OutsideError) as raised:
        open_hub(hub, "a/B").files()
    title = KNOWN[hub].title
    assert (
        str(raised.value)
        == f"{title}, a/B: the connection failed (Connection refused); run the same command again to go on"
    )
    assert capfd.readouterr() == ("", "")


def test_what_is_cut_ends_with_a_word():
    with pytest.raises(OutsideError) as raised, plain_errors("modelscope", "a/B"):
        raise requests.HTTPError("supercalifragilistic " * 100, response=answered(500).response)
    assert "supercalifragilistic …; run the same command again" in str(raised.value)


def test_the_disks_own_errors_pass():
    with pytest.raises(OSError, match="No space left"), plain_errors("modelscope", "a/B"):
        raise OSError(28, "No space left on device")


def test_a_story_may_name_the_hubs_that_there_are():
    assert get_args(Submission.model_fields["hub"].annotation) == HUBS
