"""The command line: one file a verb, each imported only when it is used.

A verb parses, calls one function and puts what came of it into the `Answer`. What people read goes to stderr; with
--json one object goes to stdout, also when something is wrong. The exit status is that of errors.py.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import keyword
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click

from kolors_submit.cli.answer import Answer, problems_of, status_of
from kolors_submit.errors import Interrupted, OutsideError
from kolors_submit.interrupt import interruptible
from kolors_submit.text import tame

VERBS = (
    "submission",
    "data",
    "train",
    "render",
    "score",
    "bundle",
    "check",
    "publish",
    "reproduce",
    "import",
    "explore",
    "compare",
    "export",
    "write",
    "story",
    "weights",
    "doctor",
)
"""In the order in which they are used; each is a module of this package with a click command `command`.

A verb that is a keyword of Python has its module with an underscore behind: import_.py.
"""


class Verbs(click.Group):
    """The verbs, imported one by one when asked for."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb of a call; of one that there is none of, say which it could be."""
        try:
            return super().resolve_command(context, arguments)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=VERBS, ctx=context) from error

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of all verbs."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """One verb's command, or None where there is no such verb."""
        if name not in VERBS:
            return None
        module = importlib.import_module(f"kolors_submit.cli.{name}{'_' if keyword.iskeyword(name) else ''}")
        command: click.Command = module.command
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kolors-submit")
def verbs() -> None:
    """From a story file to a Kolors LoRA submission that anybody can reproduce.

    \b
    kolors-submit submission stories/watercolor.yaml    run every stage; run it again to redo only what changed
    kolors-submit VERB --help                           help on one verb

    STORY is a story file such as that one, BUNDLE the folder or zip file that is published.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    answer = Answer(verb=next((word for word in arguments if not word.startswith("-")), ""))
    as_json, debug = "--json" in arguments, "--debug" in arguments
    if not debug:
        # What libraries plan to remove is no news to the person who runs a story.
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
    status = 0
    try:
        with interruptible():
            value = verbs.main(list(arguments), "kolors-submit", standalone_mode=False, obj=answer)
            status = value if isinstance(value, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        with _spoken(sys.stderr):
            click.echo(error.format_message(), err=True)
        status = 2
    except SystemExit:  # rich's way to say that nobody reads stderr any more
        _unread(sys.stderr)
        status = OutsideError.exit_status
    except (Exception, KeyboardInterrupt, Interrupted) as error:
        problems = problems_of(error)
        status = status_of(error)
        answer.problems += problems
        with _spoken(sys.stderr):
            _tell(error, problems, debug)
    if as_json:
        _print_json(answer.value(ok=status == 0))
    return status


def _tell(error: BaseException, problems: Sequence[dict[str, Any]], debug: bool) -> None:
    """What went wrong, for people to read."""
    if debug and not isinstance(error, click.ClickException):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"{error.ctx.get_usage()}\nSee `{error.ctx.command_path} --help`.", err=True)
    for problem in problems:
        if problem.get("level") == "warn":  # said already, as a note
            continue
        click.secho("error: ", fg="red", err=True, nl=False)
        click.echo(tame(problem["text"]), err=True)


def _print_json(value: dict[str, Any]) -> None:
    """One line of JSON, in UTF-8 whatever the terminal's encoding is."""
    # Half a surrogate pair (a file's name that is no UTF-8) becomes \udcff, which is JSON's own way to write it.
    line = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    with _spoken(sys.stdout):
        sys.stdout.buffer.write(line)


@contextlib.contextmanager
def _spoken(stream: TextIO) -> Iterator[None]:
    """Whatever is written in here is out at the end; a reader who has gone is no error."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        _unread(stream)


def _unread(stream: TextIO) -> None:
    """Let what else is written to a stream whose reader has gone go nowhere: Python would end with 120 for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
