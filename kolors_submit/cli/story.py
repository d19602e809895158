"""`kolors-submit story check|show|schema`: the story file by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolors_submit.base_names import NAMED
from kolors_submit.cli.answer import Answer, problem
from kolors_submit.cli.options import reporter, said
from kolors_submit.errors import InputError
from kolors_submit.files import expanded

if TYPE_CHECKING:
    from kolors_submit.story import Story


@click.group("story", short_help="Check a story file, show its prompts, write its schema.")
def command() -> None:
    """Check a story file, show its prompts as the model reads them, write the schema that editors use."""


@command.command("check", short_help="Report every problem in story files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@said
@click.pass_obj
def check(answer: Answer, /, files: tuple[Path, ...], quiet: bool) -> None:
    """Report every problem in the files with line, panel and field; hints about prompts do not count as problems."""
    from kolors_submit.story import Problem, StoryError, read_document, validate
    from kolors_submit.story.hints import hints

    report = reporter(quiet)
    found: list[Problem] = []
    for path in files:
        try:
            document = read_document(path)
        except StoryError as error:
            found += error.problems
            continue
        story, problems = validate(document)
        found += problems
        advice = hints(document, story) if story is not None else []
        for hint in advice:
            report.note(str(hint))
        answer.problems += [problem(hint) for hint in advice]
        if story is not None:
            state = "valid, but see the notes above" if advice else "no problems"
            report.say(f"{path}: {len(story.panels)} panels, {state}")
    if found:
        raise StoryError(found)


@command.command("show", short_help="Show every panel's prompt and its length.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--base", metavar="BASE", help="Show it as it is resolved for kolors, picturebook or a base's folder.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting, for example train.rank=32."
)
@said
@click.pass_obj
def show(answer: Answer, /, file: Path, base: str | None, settings: tuple[str, ...], quiet: bool) -> None:
    """Show every panel's full prompt with its length in the model's tokens (256 at most)."""
    from kolors_submit.story import MAX_TOKENS, load_story, panel_prompt, token_count

    story = load_story(file, settings=settings)
    if base is not None:
        story = load_story(file, _base_name(base, story), settings)
    panels = []
    for number, panel in enumerate(story.panels, start=1):
        prompt = panel_prompt(story, panel)
        panels.append(
            {
                "number": number,
                "scene": panel.scene,
                "prompt": prompt.positive,
                "negative": prompt.negative,
                "tokens": token_count(prompt.positive),
                "seed": panel.seed,
            }
        )
    columns = ("number", "scene", "prompt", "tokens", "seed")
    report = reporter(quiet)
    report.table(f"{story.title} (at most {MAX_TOKENS} tokens)", columns, [[p[key] for key in columns] for p in panels])
    answer.metrics["panels"] = panels


def _base_name(base: str, story: Story) -> str:
    """What a base is called under the story's `bases`; raises InputError for one that nobody knows."""
    known = dict.fromkeys((*NAMED, *story.bases))
    if base in known:
        return base
    if not expanded(base).is_dir():
        raise InputError(f"--base {base}: no such base; choose {', '.join(known)} or a base's folder")
    return expanded(base).resolve().name


@command.command("schema", short_help="Write the JSON schema that editors use.")
@click.argument("file", default="stories/story.schema.json", type=click.Path(dir_okay=False, path_type=Path))
@said
@click.pass_obj
def schema(answer: Answer, /, file: Path, quiet: bool) -> None:
    """Write the JSON schema of story files (stories/story.schema.json) from the settings' own types."""
    from kolors_submit.files import write_text

    answer.outputs["schema"] = write_text(file, schema_text())
    reporter(quiet).say(f"{file} written")


def schema_text() -> str:
    """The JSON schema as the file holds it."""
    from kolors_submit.story import Story

    value = Story.model_json_schema(by_alias=True)
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
