"""A story as YAML, laid out like the stories in stories/: the same order, the same comments, one block a part."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import yaml

from kolors_submit.base_names import PICTUREBOOK
from kolors_submit.story.blanks import BLANKS
from kolors_submit.story.model import SCHEMA
from kolors_submit.write.order import Order

FIRST_SEED = 101
MAX_IDEA_SHOWN = 100
_NO_BRACES = str.maketrans("", "", "{}")
"""Braces in a given scene would name characters."""

_TRY_OUT = {
    "targets": ["conv1", "conv2"],
    "epochs": 1,
    "steps_per_epoch": 300,
    "batch_size": 4,
    "schedule": "cosine",
    "alpha": 16,
}
_RATES = {"watercolor": 6e-3}
_RATE = 1e-2
"""How the picture book learns a style, as the stories in stories/ do; those that no story has learn at ink's rate."""

NEGATIVE = {"zh": "模糊，杂乱，畸形，低质量", "en": "blurry, cluttered, deformed, low quality"}


def story_values(
    title: str, characters: Mapping[str, str], panels: Sequence[Mapping[str, str]], order: Order
) -> dict[str, Any]:
    """All that the story file says, with settings that run on Kolors and on the picture book."""
    found = {"source": order.pictures.source, "subset": order.pictures.subset, "captions": order.pictures.captions}
    dataset: dict[str, Any] = {name: value for name, value in found.items() if value is not None}
    dataset |= {"size": 1024, "filters": {"shape": {"min_width": 512, "min_height": 512}}}
    return {
        "schema": SCHEMA,
        "title": _line(title),
        "team": order.team,
        "language": order.language,
        "style": {"suffix": order.style, "negative": NEGATIVE[order.language]},
        "characters": {_line(name): _line(description) for name, description in characters.items()},
        "dataset": dataset,
        "train": {"rank": 16, "alpha": 8, "epochs": 5, "steps_per_epoch": 200, "learning_rate": 1e-4, "seed": 42},
        "render": {"width": 1024, "height": 1024, "steps": 50, "guidance_scale": 4.0},
        "panels": [
            {"scene": _line(panel["scene"]), "prompt": _line(panel["prompt"]), "seed": FIRST_SEED + number}
            for number, panel in enumerate(panels)
        ],
        "gate": {"threshold": 6.0},
        "submission": _submission(_line(title), order),
        "bases": {
            PICTUREBOOK: {
                "dataset": {"source": f"{PICTUREBOOK}:{order.look.picturebook}", "size": 256},
                "train": _TRY_OUT | {"learning_rate": _RATES.get(order.look.picturebook, _RATE)},
                "render": {"width": 256, "height": 256, "steps": 30},
            }
        },
    }


def _submission(title: str, order: Order) -> dict[str, Any]:
    """Where the bundle goes; the contest wants the team's name in the model's."""
    named = {"display_name": f"{order.team}-可图Kolors训练-{title}"} if order.team else {}
    return {"hub": "modelscope", **named, "tags": ["LoRA", "story"]}


def _line(text: str) -> str:
    """Words on one line."""
    return " ".join(text.split())


def template_values(order: Order) -> dict[str, Any]:
    """A story to be filled in by hand: valid as it is, with brackets around what is to be written."""
    blanks = BLANKS[order.language]
    form = "{{{}}}{}，全身像" if order.language == "zh" else "{{{}}}, {}, full figure"
    brackets = "（{}）" if order.language == "zh" else "({})"
    given = [brackets.format(scene.translate(_NO_BRACES)) for scene in order.outline]
    panels = [
        {"scene": blanks.scene.format(number), "prompt": form.format(blanks.name, scene)}
        for number, scene in enumerate(given or [blanks.prompt] * order.panels, 1)
    ]
    return story_values(blanks.title, {blanks.name: blanks.description}, panels, order)


def story_text(values: Mapping[str, Any], order: Order, *, filled: bool = True) -> str:
    """The YAML file; `filled=False` says at its top what there is still to write."""
    head = [f"A story in {len(values['panels'])} panels, written by a model; read it before you train."]
    if not filled:
        head = [
            "A story to be filled in: replace what stands in brackets, in title, characters and panels. A prompt says",
            "first who is seen, then doing what, where, beside what, when, and how much of the figure is seen.",
        ]
    head += [f"The idea: {order.idea[:MAX_IDEA_SHOWN]}"] if order.idea else []
    template = _environment().get_template("story.yaml")
    return template.render(
        story=values,
        head=map(_Words, head),
        about_dataset=map(_Words, _about_dataset(order)),
        first=_Words("- "),
        rest=_Words("  "),
    )


def _about_dataset(order: Order) -> list[str]:
    """What the person has to know of the training pictures."""
    source = order.pictures.source
    if ":" in source:
        return ["The pictures that the style is learnt from on Kolors."]
    return [
        f"Put 20 to 60 pictures of the style into {source}, each with its caption in a .txt of the same name;",
        "`captions: wd14`, `vlm` or `data-juicer` here has a model write those .txt files.",
    ]


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates whose every `{{ value }}` becomes one YAML value, so that no word leaves its place."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kolors_submit.write"),
        finalize=_scalar,
        autoescape=False,  # noqa: S701 - that is HTML's; `finalize` writes YAML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


class _Words(str):
    """Text of the template's own or of a comment: one line of printable characters, written as it is."""


def _scalar(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, _Words):
        return str(value)
    text = yaml.safe_dump(value, allow_unicode=True, width=2**30, default_flow_style=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
