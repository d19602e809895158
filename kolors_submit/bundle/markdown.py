"""Words that a stranger chose, put into Markdown as words and nothing else."""

from __future__ import annotations

import functools
import html
import re
from typing import Any

import jinja2

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()|~$])")
_LINE_START = re.compile(r"^([-+#=](?=[-+#=\s]|$)|\d+(?=[.)](?:\s|$)))")


class Raw(str):
    """Markdown of our own making, which is not escaped."""


def escape(value: Any) -> str:
    """A value as one line of text that Markdown and HTML show as it is: no mark-up, no link, no table cell, no tag."""
    if isinstance(value, Raw):
        return str(value)
    text = " ".join(str(value).split())
    text = html.escape(_PUNCTUATION.sub(r"\\\1", text), quote=False)
    text = _LINE_START.sub(lambda match: f"&#{ord(match.group(1)[0])};{match.group(1)[1:]}", text)
    # GitHub and ModelScope turn bare addresses into links.
    text = text.replace("://", "&#58;//").replace("@", "&#64;")
    return re.sub(r"(?i)www\.", lambda match: match.group(0)[:3] + "&#46;", text)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of card and post, whose every `{{ value }}` is escaped for Markdown."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kolors_submit.bundle"),
        finalize=escape,
        autoescape=False,  # noqa: S701 - that is HTML's; `finalize` escapes for Markdown and HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
