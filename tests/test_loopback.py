"""The tests' own server: what it prints of a request that goes wrong."""

from __future__ import annotations

import pytest

from tests import loopback


@pytest.mark.parametrize(
    ("error", "told"), [(BrokenPipeError, False), (ConnectionResetError, False), (ValueError, True)]
)
def test_only_a_client_that_left_is_no_news(capsys, error, told):
    with loopback.Server(("127.0.0.1", 0), loopback.Handler) as server:
        try:
            raise error("so it is")
        except error:
            server.handle_error(None, ("127.0.0.1", 1))
    assert ("so it is" in capsys.readouterr().err) == told
