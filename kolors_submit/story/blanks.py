"""The words in brackets that stand in a template for what a person has still to write, and where a story keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kolors_submit.errors import InputError
from kolors_submit.story.document import Location
from kolors_submit.story.model import Story

EXAMPLE_TEAMS = ("示例队", "Example Team")
"""The teams of the stories that ship, which nobody enters a contest as."""

SHOWN = 4
"""Places that are named where a story is refused."""


@dataclass(frozen=True)
class Blanks:
    """A template's words in one language; `prompt` is for a panel whose scene nobody has given."""

    title: str
    name: str
    description: str
    scene: str
    prompt: str


BLANKS = {
    "zh": Blanks(
        "（标题）",
        "主角",
        "（一位什么样的人：发色发型、衣服、一样特征）",
        "(title {})",
        "（在哪里做什么、身边有什么、什么时间）",
    ),
    "en": Blanks(
        "(title)",
        "Hero",
        "(a person of what kind: hair, clothes, one more thing)",
        "(title {})",
        "(doing what, where, beside what, when)",
    ),
}


def unfilled(story: Story) -> Iterator[tuple[Location, str]]:
    """Where a story still holds a template's words, and what stands there."""
    titles = [blanks.title for blanks in BLANKS.values()]
    if story.title in titles:
        yield ("title",), story.title
    for name, description in story.characters.items():
        if description in [blanks.description for blanks in BLANKS.values()]:
            yield ("characters", name), description
    for index, panel in enumerate(story.panels):
        if panel.scene in [blanks.scene.format(index + 1) for blanks in BLANKS.values()]:
            yield ("panels", index, "scene"), panel.scene
        for blanks in BLANKS.values():
            if blanks.prompt in panel.prompt:
                yield ("panels", index, "prompt"), blanks.prompt
    if any((story.submission.display_name or "").endswith(title) for title in titles):
        yield ("submission", "display_name"), str(story.submission.display_name)


def refuse_unfilled(story: Story, file: Path | None) -> None:
    """Raises InputError for a story that still holds a template's words, which make nobody's picture."""
    places = list(dict.fromkeys(_place(path) for path, _ in unfilled(story)))
    if not places:
        return
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    raise InputError(
        f"{file or 'the story'} is still a template: {', '.join(places[:SHOWN])}{more} hold its words in brackets; "
        "write your own there (`kolors-submit story check` shows each line)"
    )


def _place(path: Location) -> str:
    """A value's place in a few words."""
    return f"panel {int(path[1]) + 1}" if path[0] == "panels" else ".".join(map(str, path))
