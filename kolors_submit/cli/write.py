"""`kolors-submit write IDEA --out STORY`: a story file from an idea."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from kolors_submit.cli.answer import Answer
from kolors_submit.cli.options import Finite, reporter, said
from kolors_submit.errors import InputError

QWEN = "qwen-plus"
"""The model asked on DashScope where none is named."""


@click.command("write", short_help="Write a story file from an idea, with a chat model.")
@click.argument("idea", required=False)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The story file to write.")
@click.option("--style", default="水彩", show_default=True, help="水彩, 水墨, 蜡笔, 剪纸, or any other style's name.")
@click.option("--panels", type=int, help="Number of panels, at least 8.  [default: one per scene, else 8]")
@click.option("--outline", type=click.Path(path_type=Path), help="A file with the panels' scenes, one per line.")
@click.option(
    "--language", default="zh", type=click.Choice(["zh", "en"]), help="Language of the prompts.", show_default=True
)
@click.option("--dataset", metavar="SOURCE", help="Training pictures: a folder, modelscope:owner/name, …")
@click.option("--team", default="", help="Your team's name.")
@click.option(
    "--endpoint", "url", metavar="URL", help="OpenAI-compatible address.  [default: $OPENAI_BASE_URL, or DashScope]"
)
@click.option("--model", help=f"Model to ask.  [default: $OPENAI_MODEL; on DashScope {QWEN}]")
@click.option(
    "--timeout", default=900.0, type=Finite(min=0, min_open=True), help="Longest wait for one answer, in seconds."
)
@click.option("--force", is_flag=True, help="Overwrite the file named by --out.")
@said
@click.pass_obj
def command(
    answer: Answer,
    /,
    out: Path,
    url: str | None,
    model: str | None,
    timeout: float,
    force: bool,
    quiet: bool,
    **ordered: Any,
) -> None:
    """Have a chat model write a story file, check it against the story's rules, and have the model fix its mistakes.

    The key is read from $DASHSCOPE_API_KEY (Qwen) or $OPENAI_API_KEY; an endpoint of your own may need none. If no
    endpoint is named, a story to fill in by hand is written instead (exit status 2).
    """
    from kolors_submit.endpoint import Limits, NoEndpoint, find_endpoint
    from kolors_submit.files import write_new, write_text
    from kolors_submit.write import make_order, story_text, template_values, write_story

    if out.exists() and (out.is_dir() or not force):
        raise InputError(f"{out} already exists; name another --out, or overwrite that file with --force")
    order, report = make_order(out=out, **ordered), reporter(quiet)
    try:
        endpoint = find_endpoint(url, model, QWEN)
    except NoEndpoint as error:
        if not write_new(out, story_text(template_values(order), order, filled=False)):
            raise
        answer.outputs["template"] = out
        by_hand = f"{out} is a story to fill in by hand: `kolors-submit story check {quote(str(out))}`"
        raise NoEndpoint(f"{error}. {by_hand}") from error
    written = write_story(order, endpoint, report, Limits(silence=min(timeout, Limits.silence), total=timeout))
    if force:
        write_text(out, story_text(written.values, order))
    elif not write_new(out, story_text(written.values, order)):
        raise InputError(f"{out} was created in the meantime and was not overwritten; run again with another --out")
    answer.outputs["story"] = out
    answer.metrics |= {"panels": order.panels, "repairs": written.repairs}
    answer.problems += [{"text": advice, "hint": True} for advice in written.advice]
    for advice in written.advice:
        report.note(advice)
    title = written.values["title"]
    report.say(f"{out}: {title}, {order.panels} panels; read it, then `kolors-submit submission {quote(str(out))}`")
