"""The clients' many exceptions as ours, in one sentence each and without a token."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from kolors_submit.errors import InputError, OutsideError
from kolors_submit.hub.known import HUBS, KNOWN, find_token
from kolors_submit.text import cut

_CODES = re.compile(r"\[E\d{4}\] ?| \| code=\S+")
"""ModelScope's client puts numbers of its own into its sentences."""

_NO_TOKEN = ("AuthenticationError", "LocalTokenNotFoundError")
_NOT_THERE = ("RepositoryNotFoundError", "RevisionNotFoundError", "NotExistError")
"""The clients' own classes; Hugging Face answers 401 where there is no such repository."""

CLIENTS = ("modelscope_hub", "huggingface_hub", "modelscope", "datasets")
"""Loggers that tell every retry, before the error that is told by us."""

MAX_SAID = 300
"""Characters of a client's own words."""


class HubFailed(OutsideError):
    """The network or a hub failed; `reason` is the sentence without what to do about it."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"{reason}; run the same command again to go on")


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Without the clients' logs, which belong to nobody who reads this program's output."""
    loggers = [logging.getLogger(name) for name in CLIENTS]
    before = [(logger.handlers, logger.propagate) for logger in loggers]
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # a client that is only imported now gives its logger a handler of its own
    for logger in loggers:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        logging.disable(disabled)
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


@contextlib.contextmanager
def plain_errors(hub: str, name: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what a client raises into InputError (token, right, name) or OutsideError (network, hub).

    The local disk's own errors pass.
    """
    import httpx
    import requests
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from modelscope_hub.errors import HubError

    clients = (HubError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError)
    network = (requests.RequestException, httpx.HTTPError, ConnectionError, TimeoutError)
    try:
        with hushed():
            yield
    except (*clients, *network) as error:
        raise explained(hub, name, error, writing) from None
    except RuntimeError as error:
        # huggingface_hub wraps what stops an upload.
        if not isinstance(error.__cause__, (*clients, *network)):
            raise
        raise explained(hub, name, error.__cause__, writing) from None


def explained(hub: str, name: str, error: BaseException, writing: bool) -> InputError | OutsideError:
    """Our error for a client's."""
    title, variable = KNOWN[hub].title, KNOWN[hub].token_variable
    status = status_of(error)
    if status == 401:
        return InputError(f"{title} does not accept the token; set {variable} to a valid one or log in again")
    if status == 403:
        return InputError(_forbidden(title, name, writing))
    if status == 404:
        return InputError(not_found(hub, name))
    said = f" (status {status})" if status else ""
    return HubFailed(f"{title}, {name}{said}: {why(error)}")


def why(error: BaseException) -> str:
    """A client's exception in a few words and without a token: its own first line, or how the connection failed."""
    said, behind = _first_line(error), list(_behind(error))
    # Where nothing came over the network, `datasets` ends with a file that its cache does not have either.
    broken = any(isinstance(one, OSError) for one in behind) and not isinstance(behind[-1], FileNotFoundError)
    if broken and status_of(error) is None:
        late = isinstance(behind[-1], TimeoutError) or "Timeout" in type(behind[-1]).__name__
        detail = "no answer in time" if late else getattr(behind[-1], "strerror", None) or _first_line(behind[-1])
        said = f"the connection failed ({detail})"
    return cut(without_tokens(_CODES.sub("", said)), MAX_SAID)


def not_found(hub: str, name: str, revision: str | None = None) -> str:
    """A sentence for a repository, or a revision of it, that a hub does not show."""
    at, branch = f" at {revision}" if revision else "", KNOWN[hub].branch
    advice = f"check the name, log in if it is private, or name its branch after @ where that is not {branch}"
    if revision:
        advice = (
            f"check the name, and name a branch, a tag or a whole commit that its page lists ({hub}:{name}@{branch}), "
            "or leave @ and what follows away for the newest version"
        )
    return f"{name}{at} was not found on {KNOWN[hub].title}, or is not visible to this account; {advice}"


def without_tokens(text: str) -> str:
    """The text with every token that this program could have sent blotted out."""
    for token in filter(None, map(find_token, HUBS)):
        text = text.replace(token, "***")
    return text


def _forbidden(title: str, name: str, writing: bool) -> str:
    if writing:
        return (
            f"{title} does not let this token write to {name}: the token is read-only, or the repository is somebody "
            f"else's. Use a token with write access, or --repo with an owner that is yours"
        )
    return (
        f"{title} does not let this account read {name}: it may be private, or ask for its terms to be accepted. "
        f"Look at its page, then run again with the token of an account that has access"
    )


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an exception; that of a wrong token or name for the clients' own classes of these."""
    for one in _behind(error):
        response = getattr(one, "response", None)
        status = getattr(one, "status_code", None) or getattr(response, "status_code", None)
        if type(one).__name__ in _NO_TOKEN:
            return 401
        if type(one).__name__ in _NOT_THERE:
            return 404
        if isinstance(status, int):
            return status
    return None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it: what it was raised from, or holds as the clients' libraries do."""
    while error is not None:
        yield error
        held = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        error = next((one for one in held if isinstance(one, BaseException)), None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
