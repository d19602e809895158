"""The rules about the texts in a panel's PNG: what it was rendered from, and the graphs that ComfyUI opens.

ComfyUI opens the text `workflow`, without one `prompt`, and without either what it makes of `parameters`. It reads
chunks that no library of pictures knows, and goes on behind the picture's end; so the file is looked through here.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kolors_submit import picture
from kolors_submit.bundle import history, workflows
from kolors_submit.bundle.finding import Finding, fail, warn
from kolors_submit.bundle.opened import Opened
from kolors_submit.errors import InputError
from kolors_submit.export.comfyui import Shot

CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"comf")
"""Kinds of chunks that some program takes for a text; `comf` is one of ComfyUI's."""

MAX_CHUNKS = 100_000
"""A panel has some hundred; a file could be nothing but empty ones."""

MAX_NAME = 80
_SIGNATURE = 8
_BY_VALUE = (picture.PNG_TEXT, "prompt", "workflow")
"""Texts whose values are held to the story, whichever version of this program wrote them."""


def texts(bundle: Opened, name: str, info: Mapping[str, Any], *, bare: bool) -> Iterator[Finding]:
    """The texts of a picture of one of the story's panels; `info` is what Pillow read of them.

    A `bare` picture was rendered without the LoRA. Raises InputError for a file of endlessly many chunks.
    """
    assert bundle.story is not None
    listed = names(bundle.folder / name)
    said = {one: info[one] for one in listed if isinstance(info.get(one), str)}
    number = int(Path(name).stem)
    shot = workflows.shot_of(bundle.story, number, Path(bundle.lora or "").stem)
    if bare:
        shot = replace(shot, settings=shot.settings.model_copy(update={"lora_strength": 0.0}))
    found = [*_ambiguous(name, listed, said), *_record(name, said, shot), *_graphs(bundle, name, number, said)]
    yield from found
    if said and not any(finding.level == "fail" for finding in found):
        meant = picture.texts(shot.prompt, shot.seed, shot.settings, None if bare else shot.lora)
        yield from _as_written(name, said, meant, own=history.is_own(bundle.history))


def names(path: Path) -> list[str]:
    """The name of each text of a PNG as often as it is there, also behind the picture's end.

    Raises InputError for more chunks than MAX_CHUNKS.
    """
    found: list[str] = []
    with path.open("rb") as file:
        file.seek(_SIGNATURE)
        for _ in range(MAX_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return found
            length, kind = struct.unpack(">I4s", head)
            start = file.tell()
            if kind in CHUNKS:
                found.append(file.read(min(length, MAX_NAME)).split(b"\0")[0].decode("latin-1"))
            file.seek(start + length + 4)
    raise InputError(f"{path} has more than {MAX_CHUNKS:,} chunks; this program's pictures have some hundred")


def _ambiguous(name: str, listed: Sequence[str], said: Mapping[str, str]) -> Iterator[Finding]:
    """Texts of which one program reads this and another that."""
    for one, times in Counter(listed).items():
        if times > 1 or one not in said:
            yield fail("panels", f"{name} has the text {one!r} twice, or where not every program reads it")


def _record(name: str, said: Mapping[str, str], shot: Shot) -> Iterator[Finding]:
    """What a picture says it was rendered from."""
    value = _json(said.get(picture.PNG_TEXT))
    if value is None:
        yield warn("seeds", f"{name} does not say what it was rendered from")
        return
    meant = {"seed": shot.seed, "prompt": shot.prompt.positive, "negative": shot.prompt.negative}
    for key, wanted in (meant | {"settings": shot.settings.model_dump(mode="json")}).items():
        if value.get(key) != wanted:
            rule = "seeds" if key == "seed" else "prompts"
            yield fail(rule, f"{name} was not rendered with the {key} in story.yaml")


def _graphs(bundle: Opened, name: str, number: int, said: Mapping[str, str]) -> Iterator[Finding]:
    """The two forms of a panel's graph, where a picture has them."""
    assert bundle.story is not None
    nodes = workflows.nodes_of(bundle.story, number)
    for key, problems in (("workflow", workflows.problems), ("prompt", workflows.prompt_problems)):
        if key in said:
            for problem in problems(_json(said[key]), nodes, bundle.lora_files):
                yield fail("workflows", f"the ComfyUI {key} in {name} {problem}")


def _as_written(name: str, said: Mapping[str, str], meant: Mapping[str, str], *, own: bool) -> Iterator[Finding]:
    """Each text against the one that this program writes for the panel; another version may word it otherwise."""
    for one in sorted(said.keys() | meant.keys()):
        if said.get(one) == meant.get(one):
            continue
        if own:
            yield fail("panels", f"the text {one!r} of {name} is not what this program writes there")
        elif one in said and one not in _BY_VALUE:
            yield warn("panels", f"the text {one!r} of {name} is not this version's, and nothing holds it to the story")


def _json(text: str | None) -> dict[str, Any] | None:
    try:
        value = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
