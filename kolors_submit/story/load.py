"""From a YAML file to a `Story`, with every problem at once: validated, resolved for a base, settings put in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kolors_submit.story.document import Document, Location, Problem, StoryError, hidden_problems, read_document
from kolors_submit.story.model import PANELS, SCHEMA, Panel, Story, Style
from kolors_submit.story.prompts import MAX_TOKENS, PromptError, panel_prompt, split_at_limit, token_count
from kolors_submit.story.sentences import sentence
from kolors_submit.story.settings import with_settings

MAX_FOUND = 50
"""Mistakes of a kind that are said; a stranger's story could have a million."""

OVERSIZED, LONGEST = 2.5, 1.4
"""Times a base's own area above which training pictures, and times its own side above which panels, are too large.

On 256x448 the picture book draws most figures twice, one above the other; on 192x320 once.
"""


def load_story(path: Path | str, base: str | None = None, settings: Sequence[str] = ()) -> Story:
    """Load, check and resolve a story for one base.

    `base` picks the overrides under `bases:`; `settings` are `KEY=VALUE` from the command line (`train.rank=32`) and
    win over both. Without a base, `bases` stays in the story as written.

    Raises StoryError with every problem.
    """
    document = read_document(Path(path))
    story, problems = validate(Document(document.file, with_settings(document.values, settings), document.lines))
    if story is None:
        raise StoryError([_of_setting(problem, settings) for problem in problems])
    return story if base is None else resolve(story, base, settings)


def _of_setting(problem: Problem, settings: Sequence[str]) -> Problem:
    """A finding about what a setting of the command line has put in, which no line of the file says."""
    key = f"panels.{problem.panel}.{problem.field}" if problem.panel else problem.field
    said = any(setting.partition("=")[0].strip() == key for setting in settings)
    return replace(problem, file="--set", line=None) if said else problem


def resolve(story: Story, base: str, settings: Sequence[str] = ()) -> Story:
    """The story as it holds on one base: overrides put in, `bases` emptied, `settings` on top."""
    overrides = story.bases.get(base)
    values = story.model_dump(by_alias=True, mode="json")
    values["bases"] = {}
    if overrides is not None:
        if overrides.dataset is not None:
            values["dataset"] = overrides.dataset.model_dump(mode="json")
        values["train"] |= overrides.train
        values["render"] |= overrides.render
        values = with_settings(values, settings)
    resolved, problems = validate(Document("--set", values, {}))
    if resolved is None:
        raise StoryError(problems)
    return resolved


def replaced_source(written: Story, resolved: Story, base: str) -> str | None:
    """A sentence where the pictures are not those that the story names first, because its part for a base says so."""
    source, said = resolved.dataset.source, written.dataset.source
    return None if source == said else f"dataset.source is {source} (bases.{base}), not {said}"


def oversized(story: Story, base: str, side: int | None) -> list[str]:
    """Sentences where a base made for pictures of `side` x `side` pixels is given much larger ones, to no purpose."""
    if side is None:
        return []
    drawn, said = f"{base} draws {side}x{side}", []
    if (times := (story.dataset.size / side) ** 2) > OVERSIZED:
        slow = f"dataset.size is {story.dataset.size}, but {drawn}: training takes {times:.0f} times as long"
        said.append(f"{slow}; let bases.{base}.dataset have size: {side}")
    width, height = story.render.width, story.render.height
    if max(width, height) > LONGEST * side:
        doubled = f"render is {width}x{height}, but {drawn}: figures come out twice along so long a side"
        said.append(f"{doubled}; set a size such as {side}x{side} in bases.{base}.render")
    return said


def validate(document: Document) -> tuple[Story | None, list[Problem]]:
    """The story of a document, or None, and every problem found in it (hints left out)."""
    schema = document.values.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        message = f"is format {schema}; this program reads up to {SCHEMA}: update kolors-submit"
        return None, [document.problem(("schema",), message)]
    hidden = list(hidden_problems(document))
    problems = list(hidden)
    story = None
    try:
        story = Story.model_validate(document.values)
    except ValidationError as error:
        found = [(_location(document.values, item), item) for item in error.errors()[:MAX_FOUND]]
        problems += [document.problem(path, sentence(item, path)) for path, item in found]
        if more := error.error_count() - len(found):
            problems.append(document.problem((), f"has {more:,} more mistakes"))
    if isinstance(schema, int) and schema < 1:
        problems.append(document.problem(("schema",), f"is {schema}; the first format is 1"))
    problems += _panel_count_problem(document)
    problems += [] if hidden else islice(_prompt_problems(document, story), MAX_FOUND)
    problems.sort(key=lambda problem: problem.line or 0)
    return (None if problems else story), problems


def _panel_count_problem(document: Document) -> list[Problem]:
    """The contest's rule on the number of panels; said also where a panel itself is wrong."""
    panels = document.values.get("panels")
    if not isinstance(panels, list) or len(panels) >= PANELS:
        return []
    return [document.problem(("panels",), f"the contest asks for at least {PANELS} panels, here are {len(panels)}")]


def _prompt_problems(document: Document, story: Story | None) -> Iterator[Problem]:
    """Unknown names and prompts over the token limit; found also where other parts of the story are wrong."""
    story = story or _words_only(document.values)
    for index, panel in _panels(document.values):
        try:
            prompt = panel_prompt(story, panel)
        except PromptError as error:
            yield document.problem(("panels", index, "prompt"), str(error))
            continue
        for field, text in (("prompt", prompt.positive), ("negative", prompt.negative)):
            count = token_count(text)
            if count > MAX_TOKENS:
                cut = split_at_limit(text)[1]
                message = f"is {count} tokens, {count - MAX_TOKENS} too many; the model would not read: …{cut[:120]}"
                yield document.problem(("panels", index, field), message)


def _panels(values: dict[str, Any]) -> Iterator[tuple[int, Panel]]:
    """The words of every panel that has some, whatever else is wrong with it."""
    panels = values.get("panels")
    for index, item in enumerate(panels if isinstance(panels, list) else []):
        if isinstance(item, dict) and isinstance(item.get("prompt"), str):
            negative = item.get("negative")
            words = {"prompt": item["prompt"], "negative": negative if isinstance(negative, str) else ""}
            yield index, Panel.model_construct(None, **words)


def _words_only(values: dict[str, Any]) -> Story:
    """A story with only the words that make up a prompt, so that prompts are checked beside other mistakes."""

    def texts(part: Any) -> dict[str, str]:
        return {k: v for k, v in part.items() if isinstance(v, str)} if isinstance(part, dict) else {}

    style = {key: text for key, text in texts(values.get("style")).items() if key in Style.model_fields}
    words = {
        "style": Style.model_construct(None, **style),
        "characters": texts(values.get("characters")),
        "language": values.get("language", "zh"),
    }
    return Story.model_construct(None, **words)


def _location(values: Any, item: Mapping[str, Any]) -> Location:
    """pydantic's location without the names of union branches, which no line of the file has."""
    known: list[str | int] = []
    for part in item["loc"]:
        if part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int):
            known.append(part)
            values = values[part]
    return (*known, item["loc"][-1]) if item["type"] == "missing" else tuple(known)
