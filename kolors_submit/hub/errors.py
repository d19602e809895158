"""The clients' many exceptions as ours, in one sentence each and without a token."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from kolors_submit.errors import InputError, OutsideError

VARIABLES = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
_CODES = re.compile(r"\[E\d{4}\] ?| \| code=\S+")
"""ModelScope's client puts numbers of its own into its sentences."""

TITLES = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}


@contextlib.contextmanager
def plain_errors(hub: str, name: str, tokens: tuple[str | None, ...] = ()) -> Iterator[None]:
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
        yield
    except (*clients, *network) as error:
        raise explained(hub, name, error, tokens) from None
    except RuntimeError as error:
        # huggingface_hub wraps what stops an upload.
        if not isinstance(error.__cause__, (*clients, *network)):
            raise
        raise explained(hub, name, error.__cause__, tokens) from None


def explained(hub: str, name: str, error: BaseException, tokens: tuple[str | None, ...]) -> InputError | OutsideError:
    """Our error for a client's."""
    title, variable = TITLES[hub], VARIABLES[hub]
    status = status_of(error)
    if status == 401:
        return InputError(f"{title} does not accept the token; set {variable} to a valid one or log in again")
    if status == 403:
        return InputError(
            f"{title} does not let this token write to {name}: the token is read-only, or the repository is somebody "
            f"else's. Use a token with write access, or --repo with an owner that is yours"
        )
    if status == 404:
        return InputError(f"{title} has no {name} that this token may see; check the name and the revision")
    first = _CODES.sub("", _first_line(error))[:300]
    if status is None and any(isinstance(one, OSError) for one in _behind(error)):
        *_, innermost = _behind(error)
        first = f"the connection failed ({_first_line(innermost)[:200]})"
    for token in filter(None, tokens):
        first = first.replace(token, "***")
    said = f" (status {status})" if status else ""
    return OutsideError(f"{title}, {name}{said}: {first}; run the same command again to go on")


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an exception; that of a wrong token for the clients' own class without one."""
    for one in _behind(error):
        response = getattr(one, "response", None)
        status = getattr(one, "status_code", None) or getattr(response, "status_code", None)
        if type(one).__name__ in ("AuthenticationError", "LocalTokenNotFoundError"):
            return 401
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
