"""The pages made here, one file each: every value is escaped, nothing is loaded, and no words but ours are script."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup


def filled(package: str, name: str, values: Mapping[str, Any]) -> str:
    """A template of a package of ours with these values, each escaped for HTML."""
    return _templates(package).get_template(name).render(values)


def asset(package: str, name: str) -> str:
    """A style or a script among a package's templates."""
    return files(package).joinpath("templates", name).read_text("utf-8")


def whole(package: str, name: str, body: str, css: str, script: str, inside: str, values: Mapping[str, Any]) -> str:
    """The page of the template `name` around a body that `filled` made, with its own style and script.

    A policy in its head allows these two and no other; `inside` says what may come as data: in the page itself.
    """
    policy = content_security_policy(css, script, inside)
    ours = {"policy": policy, "css": css, "body": body, "script": script}
    # These four are this program's own words, or escaped already.
    return filled(package, name, {**values, **{key: Markup(text) for key, text in ours.items()}})  # noqa: S704


def content_security_policy(css: str, script: str, inside: str) -> str:
    """The policy of a page with this style and this script."""
    rest = "base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; {inside}; style-src {_source(css)}; script-src {_source(script)}; {rest}"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _templates(package: str) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
