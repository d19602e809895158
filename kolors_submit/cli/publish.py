"""`kolors-submit publish BUNDLE --repo owner/Name`: to a hub, and compared with what the hub then holds."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.named import named_bundle
from kolors_submit.cli.options import computed, placed, reporter, said
from kolors_submit.hub.known import HUBS


@click.command("publish", short_help="Send a bundle to ModelScope or Hugging Face.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--story", type=click.Path(path_type=Path), help="Publish the bundle in this story's run folder.")
@click.option(
    "--repo", "repository", metavar="OWNER/NAME", help="Repository on the hub, in ASCII.  [default: the story's]"
)
@click.option("--hub", type=click.Choice(HUBS), help="Which hub.  [default: the story's]")
@click.option("--display-name", help="The contest's Chinese name, 队伍名称-可图Kolors训练-….  [default: the story's]")
@click.option("--private", is_flag=True, help="Make it visible to its owner only.")
@click.option("--demonstration", is_flag=True, help="Publish even what was not made on Kolors.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be sent.")
@placed
@partial(computed, hidden=True)  # make submission PUSH=1 hands on what the submission was made with
@said
@click.pass_obj
def command(answer: Answer, /, bundle: Path | None, story: Path | None, quiet: bool, **options: Any) -> None:
    """Check a bundle (a folder or a zip), send what the hub lacks, and compare the hub's files with the manifest.

    The token is read from MODELSCOPE_API_TOKEN or HF_TOKEN, or from the hub's own login. After an
    interruption, run it again.
    """
    from kolors_submit.publish import Target, publish

    fields = ("repository", "hub", "display_name", "private", "demonstration", "dry_run")
    target = Target(**{name: options.pop(name) for name in fields})
    report = reporter(quiet)
    path, run = named_bundle(answer, report, bundle, story, options)
    with run.hold("publish") if run is not None else contextlib.nullcontext():
        answer.metrics |= publish(path, target, report)
