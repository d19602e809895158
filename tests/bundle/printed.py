"""The command that a card and a page print."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path


def printed(bundle: Path) -> list[str]:
    """Its words behind the program's name, which card and page print alike."""
    (in_card,) = re.findall(r"```\n(kolors-submit .*)\n```", (bundle / "README.md").read_text("utf-8"))
    (in_page,) = re.findall(r"<pre[^>]*>(.*)</pre>", (bundle / "index.html").read_text("utf-8"))
    assert in_card == html.unescape(in_page)
    program, *words = shlex.split(in_card)
    assert program == "kolors-submit"
    return words
