"""`kolors-submit write IDEA --out STORY`: a story file from an idea."""

from __future__ import annotations

from pathlib import Path
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
@click.option("--panels", type=int, help="How many; 8 at least, and 8 if nothing is said.")
@click.option("--outline", type=click.Path(path_type=Path), help="A file with the panels' scenes, one a line.")
@click.option("--language", default="zh", type=click.Choice(["zh", "en"]), help="Of the prompts.", show_default=True)
@click.option("--dataset", metavar="SOURCE", help="Training pictures: a folder, modelscope:owner/name, …")
@click.option("--team", default="", help="Whose story it is.")
@click.option("--endpoint", "url", metavar="URL", help="OpenAI-compatible address; else $OPENAI_BASE_URL or DashScope.")
@click.option("--model", help=f"The model to ask; else $OPENAI_MODEL, on DashScope {QWEN}.")
@click.option("--timeout", default=900.0, type=Finite(min=0, min_open=True), help="Seconds for one answer.")
@click.option("--force", is_flag=True, help="Overwrite --out.")
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
    """Have a chat model write a story file, hold it to the story's rules, and have it mended where it breaks them.

    The key is read from $DASHSCOPE_API_KEY (Qwen) or $OPENAI_API_KEY; an endpoint of your own may need none. Where no
    endpoint is named, a story to be filled in by hand is written instead (exit status 2).
    """
    from kolors_submit.endpoint import Limits, NoEndpoint, find_endpoint
    from kolors_submit.files import write_new, write_text
    from kolors_submit.write import make_order, story_text, template_values, write_story

    if out.exists() and (out.is_dir() or not force):
        raise InputError(f"{out} is there already; name another --out, or overwrite that file with --force")
    order, report = make_order(out=out, **ordered), reporter(quiet)
    try:
        endpoint = find_endpoint(url, model, QWEN)
    except NoEndpoint as error:
        if not write_new(out, story_text(template_values(order), order, filled=False)):
            raise
        answer.outputs["template"] = out
        raise NoEndpoint(f"{error}. {out} is a story to fill in by hand: `kolors-submit story check {out}`") from error
    written = write_story(order, endpoint, report, Limits(silence=min(timeout, Limits.silence), total=timeout))
    if force:
        write_text(out, story_text(written.values, order))
    elif not write_new(out, story_text(written.values, order)):
        raise InputError(f"{out} has appeared meanwhile and was not overwritten; run again with another --out")
    answer.outputs["story"] = out
    answer.metrics |= {"panels": order.panels, "repairs": written.repairs}
    answer.problems += [{"text": advice, "hint": True} for advice in written.advice]
    for advice in written.advice:
        report.note(advice)
    title = written.values["title"]
    report.say(f"{out}: {title}, {order.panels} panels; read it, then `kolors-submit submission {out}`")
