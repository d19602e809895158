"""A hub's token goes to that hub's own hosts, whatever address the hub itself names for an upload or a next page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import BaseAdapter

CREDENTIALS = ("Authorization", "Cookie")
SIBLINGS = ("www", "lfs", "pre-lfs")
"""ModelScope takes large files at lfs.modelscope.cn, a host of its own that asks for the token."""


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
