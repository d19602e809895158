"""The content security policy of the pages made here: nothing is loaded, and no words but ours are style or script."""

from __future__ import annotations

import base64
import hashlib


def content_security_policy(css: str, script: str, inside: str) -> str:
    """The policy of a page with this style and this script; `inside` says what may come as data: in the page itself."""
    rest = "base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; {inside}; style-src {_source(css)}; script-src {_source(script)}; {rest}"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
