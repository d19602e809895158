"""What became of every picture of the source: kept, dropped by a filter on a value, or failed for a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kolors_submit.data.filtering import Step
from kolors_submit.data.recipe import operators
from kolors_submit.report import Reporter
from kolors_submit.story import Captioner, Dataset

FORMAT = 1
CAPTIONER = "captioner"
"""What a fate names where no caption could be made."""

SHOWN = 40
"""Rows of a table on a terminal; report.json has all."""

LINES, NAMES = 20, 3
"""Lines of a message, and names of pictures in one."""


@dataclass
class Fate:
    """One picture of the source, by its number there; `file` is its prepared picture where it is kept."""

    id: int
    name: str
    result: Literal["kept", "dropped", "failed"] = "kept"
    by: str | None = None
    value: str | float | None = None
    file: str | None = None
    values: dict[str, str | float] = field(default_factory=dict)

    def end(self, result: Literal["dropped", "failed"], by: str, value: str | float) -> None:
        """The picture goes no further."""
        self.result, self.by, self.value = result, by, value


def settle(fates: Mapping[int, Fate], steps: Sequence[Step]) -> None:
    """Put what the operators found and decided into the pictures' fates."""
    for step in steps:
        first: dict[Any, str] = {}
        for one in step.entered:
            fate = fates[one]
            if one in step.failed:
                fate.end("failed", step.operator, "the operator could not read it")
                continue
            value = _value(step, one, first, fate.name)
            fate.values[step.operator] = value
            if one in step.dropped:
                fate.end("dropped", step.operator, value)


def _value(step: Step, one: int, first: dict[Any, str], name: str) -> str | float:
    """An operator's value for a picture as people read it; `first` has the first picture of each hash."""
    raw = step.values[one]
    if step.operator == "image_shape_filter":
        return f"{raw['image_width'][0]}x{raw['image_height'][0]}"
    if step.operator == "image_aspect_ratio_filter":
        return round(float(raw["aspect_ratios"][0]), 4)
    if step.operator == "image_aesthetics_filter":
        return round(10 * float(raw["image_aesthetics_scores"][0]), 4)
    same = first.setdefault(raw, name)
    if one in step.kept:
        return str(raw)
    return f"{'same file as' if step.operator == 'document_deduplicator' else 'looks like'} {same}"


def report(dataset: Dataset, fates: Sequence[Fate], steps: Sequence[Step]) -> dict[str, Any]:
    """report.json: pictures left after each step, and what became of each of them."""
    filters = dataset.filters
    readable = len(steps[0].entered) if steps else sum(fate.by not in ("caption", "picture") for fate in fates)
    rows: list[dict[str, Any]] = [
        {"step": "source", "left": len(fates)},
        {"step": "readable", "left": readable, "entered": len(fates), "failed": len(fates) - readable},
    ]
    settings = {name: values for operator in operators(filters) for name, values in operator.items()}
    for step in steps:
        rows.append(
            {
                "step": step.operator,
                "left": len(step.kept),
                "entered": len(step.entered),
                "dropped": len(step.dropped),
                "failed": len(step.failed),
                "settings": settings[step.operator],
            }
        )
    if isinstance(dataset.captions, Captioner):
        rows.append(_captions_row(dataset.captions, fates))
    return {"format": FORMAT, "counts": counts(fates), "steps": rows, "pictures": [_row(fate) for fate in fates]}


def _captions_row(captioner: Captioner, fates: Sequence[Fate]) -> dict[str, Any]:
    """The step after all filters, in which each picture gets its caption."""
    kept, failed = counts(fates)["kept"], sum(fate.by == CAPTIONER for fate in fates)
    return {
        "step": "captions",
        "left": kept,
        "entered": kept + failed,
        "dropped": 0,
        "failed": failed,
        "settings": captioner.model_dump(mode="json"),
    }


def counts(fates: Sequence[Fate]) -> dict[str, int]:
    """How many pictures there are in all, and of each result."""
    result = {"all": len(fates), "kept": 0, "dropped": 0, "failed": 0}
    for fate in fates:
        result[fate.result] += 1
    return result


def _row(fate: Fate) -> dict[str, Any]:
    row: dict[str, Any] = {"name": fate.name, "result": fate.result, "values": fate.values}
    if fate.result == "kept":
        return row | {"file": fate.file}
    return row | {"by": fate.by, "value": fate.value}


def show(reporter: Reporter, made: Mapping[str, Any]) -> None:
    """The report as tables: pictures left after each step, then those left out."""
    steps = made["steps"][1:]
    rows = [(row["step"], row["entered"], row.get("dropped", 0), row["failed"], row["left"]) for row in steps]
    reporter.table("Training pictures", ("step", "in", "dropped", "failed", "out"), rows)
    out = left_out(made)
    if out:
        reporter.table("Left out", ("picture", "by", "value"), out[:SHOWN])
    if len(out) > SHOWN:
        reporter.say(f"and {len(out) - SHOWN} more, listed in report.json")


def left_out(made: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, filter and value of every picture that is not kept."""
    rows = (row for row in made["pictures"] if row["result"] != "kept")
    return [(row["name"], row["by"], str(row["value"])) for row in rows]


def summary(made: Mapping[str, Any]) -> str:
    """The report as a few plain lines, for an error's message: pictures that were left out alike stand in one."""
    said = [f"  {row['step']}: {row['left']} left" for row in made["steps"]]
    said += [f"  {line}" for line in alike((name, f"{by}: {value}") for name, by, value in left_out(made))]
    return "\n".join(said[:LINES] + ([f"  and {len(said) - LINES} lines more"] if len(said) > LINES else []))


def alike(pictures: Iterable[tuple[str, str]]) -> list[str]:
    """Names of pictures and what is wrong with each, a line for all with which the same is wrong."""
    names: dict[str, list[str]] = {}
    for name, why in pictures:
        names.setdefault(why, []).append(name)
    return [f"{some(these)}: {why}" for why, these in names.items()]


def some(names: Sequence[str]) -> str:
    """The first names of many: `a.png, b.png, c.png and 19 more`."""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
