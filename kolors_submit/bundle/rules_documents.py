"""The rules that what people read (card, post, page, workflows, sheet) says what the bundle's own files say.

Every document is written again from those files. A bundle of the same program has to hold the same text; of another
one, whose wording may differ, each panel's prompt, seed and score are looked for, and the entry's figures. Which
program wrote a bundle is its own claim, so one that is not of this program is always worth a warning.
"""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest
from pathlib import Path

from jinja2 import TemplateError
from PIL import Image

from kolors_submit.bundle import history, layout
from kolors_submit.bundle.documents import entry_of, texts
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.exhibits import PICTURE, WEBP, Picture
from kolors_submit.bundle.facts import missing, plain, unknown
from kolors_submit.bundle.finding import Finding, fail, warn
from kolors_submit.bundle.likeness import difference
from kolors_submit.bundle.opened import Opened
from kolors_submit.bundle.rules_files import is_in_bounds, open_picture
from kolors_submit.bundle.rules_pages import MAX_PROBLEMS, page
from kolors_submit.decoders import UNSOUND
from kolors_submit.errors import InputError
from kolors_submit.sheet import story_sheet

_WIDTH = 60
"""Characters of a line that a finding quotes."""

DAMAGED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, OSError, TemplateError)
"""What writing a document from a stranger's values raises where they are not what they should be."""


def documents(bundle: Opened) -> Iterator[Finding]:
    """README.md, post.md, index.html and comfyui/ say what the bundle's other files say."""
    if not _panels(bundle):
        return
    try:
        entry = entry_of(bundle)
        meant = texts(bundle, entry, _named)
    except (InputError, *DAMAGED) as error:
        yield fail("documents", f"cannot be held to the bundle's other files, which are damaged: {error}")
        return
    said = {name: _text(bundle, name) for name in (layout.README, layout.POST, layout.PAGE) if name in bundle.names}
    said |= {name: _text(bundle, name) for name in bundle.in_folder(layout.COMFYUI, ".json")}
    if history.is_own(bundle.history):
        yield from _same(said, meant)
    else:
        if list(page(bundle)):
            said.pop(layout.PAGE, None)  # a page that its own rule refuses is not worth reading
        yield from _alike(said, meant, entry)
    if layout.PAGE in said:
        yield from _pictures(bundle.folder, said[layout.PAGE], meant[layout.PAGE])


def sheet(bundle: Opened) -> Iterator[Finding]:
    """story.jpg shows the panels with the story's title and scenes."""
    path, story, panels = bundle.folder / layout.SHEET, bundle.story, _panels(bundle)
    if layout.SHEET not in bundle.names:
        return
    open_picture(path, "JPEG", layout.MAX_SHEET_PIXELS)
    if story is None or not panels:
        return
    try:
        drawn = story_sheet(panels, [panel.scene for panel in story.panels], story.title, story.team)
    except UNSOUND:
        return  # the rule about panels says which one is not sound
    if drawn == path.read_bytes():
        return
    with Image.open(path, formats=["JPEG"]) as picture, Image.open(io.BytesIO(drawn), formats=["JPEG"]) as meant:
        found = difference(picture, meant)
    if found is not None:
        level = fail if history.is_own(bundle.history) else warn
        yield level("sheet", f"{layout.SHEET} is not the sheet of the panels in images/: it {found}")


def _panels(bundle: Opened) -> list[Path]:
    """The panels' files in order; none where one is missing, too large or no picture, which has a rule of its own."""
    numbers = range(1, len(bundle.story.panels) + 1) if bundle.story else ()
    paths = [bundle.folder / layout.panel_file(number) for number in numbers]
    pictures = [*paths, *(bundle.folder / name for name in bundle.in_folder(layout.BEFORE, ".png"))]
    return paths if all(is_in_bounds(path) for path in pictures) else []


def _same(said: Mapping[str, str], meant: Mapping[str, str]) -> Iterator[Finding]:
    """Documents of this program's own, which have the text that it writes."""
    for name, text in said.items():
        if name not in meant:
            yield fail("documents", f"{name} is not among the workflows of story.yaml")
        elif found := _first_difference(text, meant[name]):
            yield fail("documents", f"{name} is not what the bundle's other files say: {found}")
    for name in meant.keys() - said.keys():
        if name.startswith(layout.COMFYUI):
            yield fail("documents", f"{name} is missing")


def _alike(said: Mapping[str, str], meant: Mapping[str, str], entry: Entry) -> Iterator[Finding]:
    """Documents of another program, which have this one's panels and figures; a rule of its own holds the workflows."""
    for name in (layout.README, layout.POST, layout.PAGE):
        if name in said and _first_difference(said[name], meant[name]):
            for problem in islice(missing(name, said[name], entry), MAX_PROBLEMS):
                yield fail("documents", f"{name} {problem}")
            yield warn("documents", _foreign(name, said[name], meant[name]))
    other = [name for name in said if name.startswith(f"{layout.COMFYUI}/") and said[name] != meant.get(name)]
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        yield warn("documents", f"{other[0]}{more}: of another version, so only nodes and their values were compared")


def _foreign(name: str, said: str, meant: str) -> str:
    """What a person should know of a document that another program wrote."""
    found = f"{name} was written by another version of this program, so only its panels and figures were compared"
    more = unknown(plain(name, said), plain(name, meant))
    numbers = f"; no file of the bundle gives {', '.join(more[:5])}" if more else ""
    return f"{found}; {_first_difference(said, meant)}{numbers}"


def _first_difference(said: str, meant: str) -> str | None:
    """The first line in which two documents differ, cut short around the place; the page's pictures apart.

    In the page's head stand digests and letters that only follow from the body, so the body's lines come first.
    """
    ours, theirs = (PICTURE.sub(WEBP, text).split("\n") for text in (meant, said))
    mine, other = (lines.index("<body>") if "<body>" in lines else 0 for lines in (ours, theirs))
    for start, body, head in ((other, theirs[other:], ours[mine:]), (0, theirs[:other], ours[:mine])):
        for number, (one, wanted) in enumerate(zip_longest(body, head, fillvalue=""), start=start + 1):
            if one != wanted:
                return f"line {number} is {_cut(one, wanted)}, they give {_cut(wanted, one)}"
    return None if len(ours) == len(theirs) else f"it has {len(theirs)} lines, they give {len(ours)}"


def _cut(line: str, other: str) -> str:
    """What a line has around the place where it is not like another one."""
    place = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    start = max(0, place - _WIDTH // 3)
    part = line[start : start + _WIDTH]
    return f"“{'…' if start else ''}{part}{'…' if start + _WIDTH < len(line) else ''}”"


def _text(bundle: Opened, name: str) -> str:
    return (bundle.folder / name).read_bytes().decode("utf-8", "replace")


def _named(path: Path) -> Picture:
    """In the place of a picture its file's name: what the page holds instead is compared with that."""
    with Image.open(path, formats=["PNG"]) as picture:
        return Picture(f"{WEBP}{path.parent.name}/{path.name}", picture.width, picture.height)


def _pictures(folder: Path, said: str, meant: str) -> Iterator[Finding]:
    """The page's copies of the panels, against the files; of another program's page where it has as many."""
    names, copies = PICTURE.findall(meant), PICTURE.findall(said)
    if len(names) != len(copies):
        return
    for name, copy in dict.fromkeys(zip(names, copies, strict=True)):
        if found := _copy_problem(folder / name, copy):
            yield fail("documents", f"{layout.PAGE} shows another picture than {name}: its copy {found}")


def _copy_problem(path: Path, copy: str) -> str | None:
    """What is wrong with a page's copy, in base64, of a panel."""
    try:
        with (
            Image.open(io.BytesIO(b64decode(copy, validate=True)), formats=["WEBP"]) as picture,
            Image.open(path, formats=["PNG"]) as panel,
        ):
            return difference(picture, panel)
    except UNSOUND:  # base64 that is none among it
        return "is not a sound picture"
