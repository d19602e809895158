"""The clients' many exceptions as ours, in one sentence each and without a token."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kolors_submit.errors import InputError, OutsideError

VARIABLES = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
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
            f"{title} lets this token not write to {name}: the token is read-only, or the repository is somebody "
            f"else's. Use a token with write access, or --repo with an owner that is yours"
        )
    if status == 404:
        return InputError(f"{title} has no {name} that this token may see; check the name and the revision")
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    for token in filter(None, tokens):
        first = first.replace(token, "***")
    said = f" (status {status})" if status else ""
    return OutsideError(f"{title}, {name}{said}: {first}; run the same command again to go on")


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an exception; that of a wrong token for the clients' own class without one."""
    while error is not None:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        if type(error).__name__ in ("AuthenticationError", "LocalTokenNotFoundError"):
            return 401
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None
