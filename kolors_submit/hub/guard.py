"""A hub's token goes to that hub's own hosts, whatever address the hub itself names for an upload or a next page.

Not guarded is ModelScope's client for datasets, which makes its sessions out of our reach.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from modelscope_hub import HubApi

CREDENTIALS = ("Authorization", "Cookie")
SIBLINGS = ("www", "lfs", "pre-lfs")
"""ModelScope takes large files at lfs.modelscope.cn, a host of its own that asks for the token."""


def modelscope_api() -> HubApi:
    """ModelScope's client, guarded: it would send the token to whatever upload address it is given."""
    from modelscope_hub import HubApi, HubConfig

    config = HubConfig()
    api = HubApi(config=config)
    for session in (api.legacy._session, api.legacy._read_session):  # there is no public door to them
        guard(session, lambda: str(config.endpoint))
    return api


def huggingface_api() -> HfApi:
    """Hugging Face's client, guarded: it would send the token to wherever an upload is to be verified."""
    from huggingface_hub import HfApi

    guard_huggingface()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


@functools.cache
def guard_huggingface() -> None:
    """Have Hugging Face's clients guarded: their sessions are made by one function for the whole process."""
    from huggingface_hub import configure_http_backend, constants
    from huggingface_hub.utils._http import _default_backend_factory

    def endpoint() -> str:
        return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT

    configure_http_backend(lambda: guard(_default_backend_factory(), endpoint))


def guard(session: requests.Session, endpoint: Callable[[], str]) -> requests.Session:
    """Have a session send no token but to the endpoint's own hosts; its own adapters (retries, pools) stay at work."""
    for prefix, adapter in list(session.adapters.items()):
        session.mount(prefix, _Guarded(adapter, endpoint))
    return session


def is_own(endpoint: str, address: str) -> bool:
    """Whether an address lies on the endpoint's host, port and scheme, or on one of its siblings."""
    own, other = urlsplit(endpoint), urlsplit(address)
    if (own.scheme, _port(own)) != (other.scheme, _port(other)) or not own.hostname:
        return False
    domain = own.hostname.removeprefix("www.")
    return other.hostname in (domain, *(f"{name}.{domain}" for name in SIBLINGS))


def _port(address: SplitResult) -> int | None:
    return address.port or {"http": 80, "https": 443}.get(address.scheme)


class _Guarded(BaseAdapter):
    """Takes the credentials off a request to another host, and hands it to the adapter that was there before."""

    def __init__(self, adapter: BaseAdapter, endpoint: Callable[[], str]) -> None:
        super().__init__()
        self.adapter, self.endpoint = adapter, endpoint

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if not is_own(self.endpoint(), request.url or ""):
            for name in CREDENTIALS:
                request.headers.pop(name, None)
        return self.adapter.send(request, *args, **options)

    def close(self) -> None:
        self.adapter.close()
