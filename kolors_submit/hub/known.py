"""The two hubs: what they are called, where they are, and how this program finds a token for them."""

from __future__ import annotations

from dataclasses import dataclass

from kolors_submit.errors import InputError


@dataclass(frozen=True)
class Hub:
    """One hub: its name here and its own, the variables that its client reads, its address, the command to log in.

    `branch` is the one that a repository has there.
    """

    name: str
    title: str
    token_variable: str
    endpoint_variable: str
    address: str
    login: str
    branch: str


KNOWN = {
    hub.name: hub
    for hub in (
        Hub(
            "modelscope",
            "ModelScope",
            "MODELSCOPE_API_TOKEN",
            "MODELSCOPE_ENDPOINT",
            "https://www.modelscope.cn",
            "modelscope login",
            "master",
        ),
        Hub(
            "huggingface", "Hugging Face", "HF_TOKEN", "HF_ENDPOINT", "https://huggingface.co", "hf auth login", "main"
        ),
    )
}
"""By name."""

HUBS = tuple(KNOWN)
"""In the order in which they are tried."""


def find_token(hub: str) -> str | None:
    """The token that the hub's client would send: the environment's, or that of its own login."""
    if hub == "huggingface":
        from huggingface_hub import get_token

        return get_token()
    from modelscope_hub import HubConfig

    return HubConfig().token or None


def token_advice(hub: str) -> str:
    """A sentence for a hub that there is no token for."""
    one = KNOWN[hub]
    return f"no {one.title} token: set {one.token_variable}, or run `{one.login}`"


def require_token(hub: str) -> None:
    """Raises InputError where there is no token for a hub."""
    if find_token(hub) is None:
        raise InputError(token_advice(hub))
