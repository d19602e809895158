"""Rules about what people read: the card, the post and the page, none of which may carry a stranger's mark-up."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import yaml

from kolors_submit.bundle import layout
from kolors_submit.bundle.card import BASE_MODEL, MIN_CHARACTERS, REQUIRED_KEYS
from kolors_submit.bundle.finding import Finding, fail
from kolors_submit.bundle.opened import Opened

SCRIPTS = frozenset(
    {
        "d5QTyJKth2peqNEAHdpC804nSDUIivYDP0eeX85E5Pk=",
        "uC4vLpemu3aPk4RPGrgC2FK281fGVt2lRvPfSXVW8CE=",
    }
)
"""SHA-256 in base64 of every script that a released version of this program put into its page."""

MAX_FRONT_MATTER = 64_000
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_MARKUP = re.compile(r"<[A-Za-z/!?]")
# A match takes all that it looks at: a stranger's file can be one endless word, which is not to be gone through twice.
_LINK = re.compile(
    r"(?:\]\(|(?:^[ \t>*+\-\d.)]*+\[[^\[\]]*+|(?<!\\)(?:\\\\)*+)\]:)"
    r"[\s>]*+(?:<(?P<angled>[^>\n]{0,2000}+)(?P<end>>?)|(?P<bare>[^\s)]*))",
    re.MULTILINE,
)
"""A link, or what could define one by its name: `]:` anywhere, unless a backslash makes it plain, as in our own cards.

At a line's start no backslash does, because readers differ there. A quote's marks may stand before the target.
"""
_SAFE_LINK = re.compile(r"(?:(?:https?://|mailto:)[^\[\]]*|[^:&\\\t\[\]]*)$", re.IGNORECASE)
"""Web pages and files of the bundle; an entity, a backslash or a tab could hide another scheme from this pattern, and
a bracket another link.
"""

_HEAD = re.compile(
    r'<!doctype html>\n<html lang="[a-z]{2}">\n<head>\n<meta charset="utf-8">\n'
    r"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; (?:font-src data:; )?"
    r"style-src 'sha256-[A-Za-z0-9+/=]{44}'; script-src 'sha256-(?P<script>[A-Za-z0-9+/=]{44})'; base-uri 'none'; "
    r"form-action 'none'\">\n"
    r'(?:<meta name="[a-z-]+" content="[a-z0-9=,. -]+">\n)*'
    r"<title>[^<]*</title>\n<style>[^<]*</style>\n</head>\n<body>\n"
)
"""A browser holds to the policy from where it stands, so nothing of a stranger's may stand before it."""

_TAG_NAMES = (
    "title header main footer section h1 h2 h3 p b dl dt dd div span figure figcaption button img input details "
    "summary svg rect line polyline text table thead tr th td code pre dialog script"
)
_TAGS = frozenset(_TAG_NAMES.split())
_UNENDED = re.compile(r"<[^<>]*(?:<|\Z)")
"""A tag that does not end before the next, of which Python's reader would go through the rest of the page each time."""

MAX_TAGS, MAX_PROBLEMS = 500_000, 20
COMMENT = "has a comment or a declaration"
"""Anything that is neither a tag nor text: browsers and Python's reader do not end it in the same places."""


def card(bundle: Opened) -> Iterator[Finding]:
    """README.md has the hub's keys, introduces the LoRA in at least 200 characters, and names every prompt."""
    if layout.README not in bundle.names:
        return
    text = _text(bundle, layout.README)
    match = _FRONT_MATTER.match(text)
    keys = _front_matter(match.group(1)) if match else None
    if match is None or keys is None:
        yield fail("card", "README.md does not start with front matter that is plain YAML")
        return
    for key in REQUIRED_KEYS:
        if not keys.get(key):
            yield fail("card", f"README.md's front matter lacks {key}")
    if not bundle.is_demonstration:
        if BASE_MODEL not in _listed(keys.get("base_model")):
            yield fail("card", f"README.md's front matter needs base_model: {BASE_MODEL}")
        if keys.get("license") != "other":
            yield fail("card", "a LoRA of Kolors falls under Kwai's model licence: README.md needs license: other")
    body = text[match.end() :]
    if len(body.strip()) < MIN_CHARACTERS or "LoRA" not in body:
        yield fail("introduction", f"README.md does not introduce the LoRA in at least {MIN_CHARACTERS} characters")
    count = len(bundle.story.panels) if bundle.story else 0
    lacking = [number for number in range(1, count + 1) if f"]({layout.panel_file(number)})" not in body]
    if lacking:
        yield fail("pairs", f"README.md has no prompt for panel {', '.join(map(str, lacking))}")
    yield from _plain("README.md", body)


def post(bundle: Opened) -> Iterator[Finding]:
    """post.md holds words, pictures and links only."""
    if layout.POST in bundle.names:
        yield from _plain(layout.POST, _text(bundle, layout.POST))


def _plain(name: str, text: str) -> Iterator[Finding]:
    if _MARKUP.search(text) or not all(map(_is_safe, _LINK.finditer(text))):
        yield fail("mark-up", f"{name} holds HTML or a link that runs something")


def _is_safe(link: re.Match[str]) -> bool:
    target = link["angled"] or link["bare"] or ""
    return link["end"] != "" and _SAFE_LINK.match(target) is not None


def page(bundle: Opened) -> Iterator[Finding]:
    """index.html loads nothing, and runs no script but the one this program writes."""
    if layout.PAGE not in bundle.names:
        return
    text = _text(bundle, layout.PAGE)
    head = _HEAD.match(text)
    if head is None or head["script"] not in SCRIPTS:
        yield fail("page", "index.html does not begin with this program's head and content security policy")
        return
    for problem in _body_problems(text[head.end() :]):
        yield fail("page", f"index.html {problem}")


def _body_problems(body: str) -> list[str]:
    """What the body of a page of ours does not have, each thing once."""
    before, _, script = body.partition("<script>")
    _, _, after = script.partition("</script>")
    if any(mark in part for part in (before, after) for mark in ("<!", "<?")):
        return [COMMENT]
    if _UNENDED.search(before) or _UNENDED.search(after):
        return ["has a tag that does not end"]
    reader = _PageReader()
    with contextlib.suppress(_Enough):
        reader.feed(body)
        reader.close()
    return list(dict.fromkeys(reader.problems))


class _Enough(Exception):
    """More of a page than needs to be read to refuse it."""


class _PageReader(HTMLParser):
    """Notes every tag, attribute and script that the body of a page of ours does not have."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self._tags = 0
        self._script: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One opening tag."""
        self._tags += 1
        if self._tags > MAX_TAGS:
            self.problems.append(f"has more than {MAX_TAGS:,} tags")
        if len(self.problems) > MAX_PROBLEMS or self._tags > MAX_TAGS:
            raise _Enough
        if tag not in _TAGS:
            self.problems.append(f"has the tag {tag[:40]}")
        for name, value in attrs:  # each of them: of one that is given twice browsers take the first
            if name.startswith("on") or name in (
                "style",
                "href",
                "srcset",
                "srcdoc",
                "xlink:href",
                "action",
                "formaction",
            ):
                self.problems.append(f"has the attribute {name[:40]} in {tag[:40]}")
            if name == "src" and not (tag == "img" and (value or "").startswith("data:image/webp;base64,")):
                self.problems.append(f"loads something into {tag[:40]}")
        if tag == "script":
            self._script = []

    def handle_comment(self, data: str) -> None:
        """What browsers take for a comment though it does not look like one, as `</ x>`."""
        self.problems.append(COMMENT)

    def handle_data(self, data: str) -> None:
        """Text, a script's among it."""
        if self._script is not None:
            self._script.append(data)
        elif self.lasttag == "title" and "<" in data:  # some readers take it for text, browsers in an SVG for tags
            self.problems.append("has mark-up in a title")

    def handle_endtag(self, tag: str) -> None:
        """One closing tag."""
        if tag == "script" and self._script is not None:
            digest = hashlib.sha256("".join(self._script).encode("utf-8", "surrogatepass")).digest()
            if base64.b64encode(digest).decode() not in SCRIPTS:
                self.problems.append("holds a script that is not this program's")
            self._script = None


def _text(bundle: Opened, name: str) -> str:
    return (bundle.folder / name).read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def _front_matter(text: str) -> dict[str, Any] | None:
    """The keys of a card's front matter; None where it is no mapping in plain YAML (anchors can explode)."""
    if len(text) > MAX_FRONT_MATTER:
        return None
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) for event in events):
            return None
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
