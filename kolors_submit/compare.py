"""Runs side by side: settings that differ, loss, score, coherence, time and sheets; a table and one HTML file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolors_submit.errors import InputError
from kolors_submit.files import digest, read_json, write_text
from kolors_submit.report import Reporter
from kolors_submit.run import STAGES, Run, flat

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
RUN = "name a run folder such as runs/watercolor/kolors"
_MAX_SHEET = 20_000_000
_PAGE = Path(__file__).with_name("compare.html.jinja")


@dataclass(frozen=True)
class Side:
    """One run, read: its name, what its results depend on (`train.settings.rank` -> 16), its figures, its sheet."""

    label: str
    settings: dict[str, Any]
    figures: dict[str, Any]
    sheet: Path | None


def compare(paths: Sequence[Path], page: Path, report: Reporter) -> dict[str, Any]:
    """Show the runs in `paths` as a table and write them to `page`; returns them, and what differs, as JSON values.

    Raises InputError where a path is no run folder, or only one is given.
    """
    if len(paths) < 2:
        raise InputError("compare needs two runs or more, as in runs/watercolor/kolors runs/watercolor-r32/kolors")
    sides = [read_side(path) for path in paths]
    settings = differing(sides)
    rows = settings + figure_rows(sides)
    report.table("runs", ("", *(side.label for side in sides)), [(name, *map(_shown, values)) for name, values in rows])
    predictors = {side.figures["predictor"] for side in sides if "predictor" in side.figures}
    if len(predictors) > 1:
        report.note(f"scores by different predictors do not compare: {', '.join(sorted(predictors))}")
    write_text(page, _html(sides, rows))
    report.say(f"both sheets, side by side: {page}")
    return {
        "runs": [{"run": side.label, "settings": side.settings, "figures": side.figures} for side in sides],
        "differing": [{"setting": name, "values": values} for name, values in settings],
    }


def find_run(path: Path) -> Run:
    """The run folder that a path means: itself, or the only base's run below it.

    Raises InputError for neither, saying what it is and what to name instead.
    """
    if (path / "stages").is_dir():
        return Run(path)
    below = sorted(child for child in path.glob("*") if (child / "stages").is_dir())
    if len(below) == 1:
        return Run(below[0])
    if below:
        raise InputError(f"{path} holds runs on several bases; name one: {', '.join(map(str, below))}")
    if not path.exists():
        raise InputError(f"{path} does not exist; {RUN}")
    if (path.resolve().parent / "stages").is_dir():
        raise InputError(f"{path} is a part of the run folder {path.resolve().parent}; name that")
    if path.is_file():
        raise InputError(f"{path} is a file; {RUN}")
    if (path / "manifest.json").is_file():
        raise InputError(f"{path} is a bundle, which has no record of its stages; {RUN}")
    raise InputError(f"{path} is not a run folder; {RUN}")


def read_side(path: Path) -> Side:
    """Read one run folder, as far as its stages have come."""
    run = find_run(path)
    settings: dict[str, Any] = {}
    for stage in STAGES[:-1]:  # the bundle's inputs only say the same again
        settings |= _settings(stage, _pictures_as_one(run.stage(stage).inputs()))
    sheet = run.render / "story.jpg"
    return Side("/".join(run.folder.resolve().parts[-2:]), settings, _figures(run), sheet if sheet.is_file() else None)


def differing(sides: Sequence[Side]) -> list[tuple[str, list[Any]]]:
    """Settings that are not the same in all runs; digests are left out, they only follow from the rest."""
    names = sorted({name for side in sides for name in side.settings})
    rows = [(name, [side.settings.get(name) for side in sides]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def figure_rows(sides: Sequence[Side]) -> list[tuple[str, list[Any]]]:
    """Loss, score, coherence and seconds, those that any run has."""
    names = list(dict.fromkeys(name for side in sides for name in side.figures))
    return [(name, [side.figures.get(name) for side in sides]) for name in names]


def _figures(run: Run) -> dict[str, Any]:
    train, scores = read_json(run.train / "train.json"), read_json(run.scores)
    figures: dict[str, Any] = {}
    for source, names in ((train, ("steps", "loss_first", "loss_last")), (scores, ("mean", "minimum", "coherence"))):
        if isinstance(source, dict):
            figures |= {_title(name): _number(source[name]) for name in names if name in source}
    if isinstance(scores, dict) and isinstance(scores.get("predictor"), dict):
        named = (scores["predictor"].get("name"), str(scores["predictor"].get("digest", ""))[:12])
        figures["predictor"] = " ".join(str(word) for word in named if word)
    seconds = {f"{stage}, last call (s)": run.stage(stage).seconds() for stage in STAGES}
    return figures | {name: value for name, value in seconds.items() if value is not None}


def _title(name: str) -> str:
    return {
        "steps": "training steps",
        "mean": "score",
        "minimum": "lowest score",
        "loss_first": "loss of the first tenth",
        "loss_last": "loss of the last tenth",
    }.get(name, name)


def _number(value: Any) -> Any:
    """A figure; of a figure with parts (coherence), its mean."""
    return value.get("mean") if isinstance(value, dict) else value


def _settings(stage: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A stage's inputs by dotted name (`train.rank`), without digests and parts that hold nothing."""
    named = {f"{stage}.{key}".replace(".settings.", "."): value for key, value in flat(inputs).items()}
    return {name: value for name, value in named.items() if value != {} and not _is_digest(value)}


def _pictures_as_one(inputs: dict[str, Any]) -> dict[str, Any]:
    """A stage's inputs with the training pictures as one value: their number, and by eight digits which they are."""
    pictures = inputs.get("pictures")
    if not isinstance(pictures, dict) or not pictures:
        return inputs
    return inputs | {"pictures": f"{len(pictures)} ({digest(pictures)[:8]})"}


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.match(value) is not None


def _shown(value: Any) -> str:
    """A value as a cell: short, in digits that matter."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _html(sides: Sequence[Side], rows: Sequence[tuple[str, list[Any]]]) -> str:
    """The page: one file, no script, nothing from the network."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from kolors_submit.bundle.typeface import font_faces

    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE.read_text("utf-8"))
    sheets = [(side.label, None if side.sheet is None else _data_url(side.sheet)) for side in sides]
    cells = [(name, [_shown(value) for value in values]) for name, values in rows]
    labels = [side.label for side in sides]
    faces = font_faces("".join([*labels, *(text for name, values in cells for text in (name, *values))]))
    return template.render(sheets=sheets, rows=cells, faces=Markup(faces))  # noqa: S704 - the package's own letters


def _data_url(path: Path) -> str | None:
    if path.stat().st_size > _MAX_SHEET:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
