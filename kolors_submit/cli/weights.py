"""`kolors-submit weights fetch|list|verify`: what is not in the package because it is large."""

from __future__ import annotations

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import asker, reporter, said
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.hub.known import HUBS


@click.group("weights", short_help="Fetch, list and verify Kolors and the predictor.")
def command() -> None:
    """Fetch Kolors and the aesthetics predictor, list them, verify their bytes."""


@command.command("fetch", short_help="Download what is missing.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--hub", default="auto", type=click.Choice(["auto", *HUBS]), help="Which hub to download from.")
@click.option("--yes", is_flag=True, help="Download without asking.")
@said
@click.pass_obj
def fetch(answer: Answer, /, names: tuple[str, ...], hub: str, yes: bool, quiet: bool) -> None:
    """Download what is missing of what Kolors needs, or of the named weights; an interrupted download continues."""
    from kolors_submit import weights
    from kolors_submit.weights.known import FOR_KOLORS

    unknown = [name for name in names if name not in weights.KNOWN]
    if unknown:
        raise InputError(f"{', '.join(unknown)}: unknown weights; choose from {', '.join(weights.KNOWN)}")
    report, ask = reporter(quiet), None if yes else asker()
    if ask is None and not yes and not names:
        raise InputError("cannot ask without a terminal; pass --yes, or name what to fetch")
    for name in names or FOR_KOLORS:
        here = weights.KNOWN[name].is_here()
        answer.outputs[name] = weights.fetch(weights.KNOWN[name], report, hub, ask)
        if here:
            report.say(f"{name}: nothing to do")


@command.command("list", short_help="Show the known weights and which of them are here.")
@said
@click.pass_obj
def list_(answer: Answer, /, quiet: bool) -> None:
    """Show the known weights, what each is for, and whether it is here."""
    from kolors_submit import weights
    from kolors_submit.weights.download import gigabytes

    known, report = weights.KNOWN.values(), reporter(quiet)
    answer.metrics["weights"] = {w.name: {"here": w.is_here(), "size": w.size, "folder": str(w.folder)} for w in known}
    report.say(f"folder    {weights.weights_folder().resolve()}")
    for one in known:  # no table: it would cut the names that `fetch` takes
        report.say(f"{'here' if one.is_here() else 'not here':<10}{one.name} ({gigabytes(one.size)})")
        report.say(f"{'':<10}{one.purpose}")


@command.command("verify", short_help="Read every fetched file and compare its SHA-256.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@said
@click.pass_obj
def verify(answer: Answer, /, names: tuple[str, ...], quiet: bool) -> None:
    """Read every fetched file and compare it with its recorded SHA-256 (about 10 s for Kolors)."""
    from kolors_submit import weights
    from kolors_submit.weights.digests import read_record, record_path, verify

    report = reporter(quiet)
    damaged = []
    chosen = names or [known.name for known in weights.KNOWN.values() if known.is_here()]
    if not chosen:
        report.say(f"no weights in {weights.weights_folder()} yet; nothing to verify")
    for name in chosen:
        folder = weights.weights_folder() / name
        files = read_record(folder)["files"]
        if not files and name not in weights.KNOWN and not folder.is_dir():
            raise InputError(f"{name}: unknown weights; choose from {', '.join(weights.KNOWN)}")
        if not files:
            raise InputError(f"{folder} has no recorded digests; `kolors-submit weights list` shows what is here")
        problems = verify(folder)
        damaged += problems
        report.say(f"{name}: {len(files)} files read, {len(problems) or 'no'} problems")
        answer.metrics[name] = {"files": len(files), "problems": len(problems)}
        if problems:
            answer.problems += [{"text": text} for text in problems]
            report.say(f"delete {folder} and {record_path(folder)}, then `kolors-submit weights fetch {name}`")
    if damaged:
        raise OutsideError("\n".join(damaged))
