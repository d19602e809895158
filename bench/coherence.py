"""Whether the panel of another style is named: `python bench/coherence.py --lora watercolor=FILE --lora ink=FILE …`.

The stories that ship, and tales of eight scenes, are rendered on the picture-book base in every style that a LoRA is
given for and in the base's own. In every set of eight panels of one style, each panel is exchanged in turn for the same
panel in each other style, and counted where exactly that one is named; sets left alone count where any is. None of
these stories took part in the fit, though all of its styles did. All of it is written to bench/results/coherence.json.

With `--fit`, kolors_submit/metrics/texture.npy is fitted instead, to other tales in the styles of `FITTED` and to
pictures that code draws, and the threshold is shown that one set in ten left alone would pass: each tale is measured
by what the others give.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from panels import BARE, SHIPPED, Panel, drawn, render, shipped, tale
from PIL import Image

from kolors_submit.metrics.coherence import OUTLIER, likeness, stands_out
from kolors_submit.metrics.palette import Array
from kolors_submit.metrics.texture import MATRIX, distance, statistics
from kolors_submit.picturebook.styles import STYLES

HERE = Path(__file__).parent
FITTED = (BARE, "watercolor", "ink")
FIT_TALES = range(1, 9)
HELD_OUT_TALES = (11, 12)
SHRINKAGE = 0.2
"""Of the covariance towards its diagonal."""
FLOOR = 0.3
"""Of a direction's weight, as a share of its variance."""
FALSE_ALARMS = 0.1

Sets = Mapping[tuple[str, str], Array]
"""Raw statistics of the panels by story and style."""


@dataclass(frozen=True)
class Case:
    """One set as it was measured: what was exchanged, which panel is furthest, how far, and whether that is named."""

    style: str
    other: str | None
    swapped: int | None
    furthest: int
    apart: float
    outlier: int | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lora", action="append", default=[], metavar="STYLE=FILE")
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="where rendered panels are kept")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    loras: dict[str, Path | None] = {BARE: None}
    loras |= {style: Path(file) for style, file in (text.split("=", 1) for text in options.lora)}
    if options.fit:
        sets = measured(
            [tale(number) for number in FIT_TALES], {style: loras[style] for style in FITTED}, options.pictures
        )
        code = {("drawn", style): read(drawn(style, options.pictures)) for style in STYLES}
        np.save(MATRIX, fitted(sets, code).astype(np.float32))
        print(json.dumps(left_out(sets, code), indent=2))
        return
    stories = [shipped(name) for name in SHIPPED] + [tale(number) for number in HELD_OUT_TALES]
    figures = {"stories": len(stories), "threshold": OUTLIER, **table(measured(stories, loras, options.pictures))}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "coherence.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def measured(stories: Sequence[Sequence[Panel]], loras: Mapping[str, Path | None], folder: Path) -> Sets:
    """Render what is not there yet, and read all."""
    sets = {}
    for style, lora in loras.items():
        for panels in stories:
            render(panels, style, lora, folder)
            sets[panels[0].story, style] = read([panel.path(folder, style) for panel in panels])
    return sets


def read(paths: Sequence[Path]) -> Array:
    """Raw statistics of pictures."""
    return np.stack([_read(path) for path in paths])


@cache
def _read(path: Path) -> Array:
    with Image.open(path) as file:
        return statistics(file.convert("RGB"))


def fitted(sets: Sets, code: Sets) -> Array:
    """The matrix that makes textures of statistics; generated panels and drawn pictures count alike.

    After it the covariance within a set is the identity, times how much each direction tells styles apart: the share
    of its variance that lies between styles, as in Fisher's linear discriminant, but never less than `FLOOR`, because
    other styles may differ where these do not.
    """
    within = (_within(sets) + _within(code)) / 2
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.diag(np.diag(within))
    values, vectors = np.linalg.eigh(within)
    white = vectors / np.sqrt(values)
    between = white.T @ ((_between(sets) + _between(code)) / 2) @ white
    values, vectors = np.linalg.eigh(between)
    values = values.clip(min=0)
    weights = np.sqrt((values + FLOOR) / (values + 1))
    return white @ vectors * weights / np.sqrt(np.square(weights).mean())


def _within(sets: Sets) -> Array:
    """The covariance within sets, pooled."""
    apart = np.concatenate([values - values.mean(axis=0) for values in sets.values()])
    return apart.T @ apart / (len(apart) - len(sets))


def _between(sets: Sets) -> Array:
    """The covariance of the styles' means."""
    styles = {style for _, style in sets}
    means = np.array([np.mean([values.mean(axis=0) for key, values in sets.items() if key[1] == style], axis=0)
                      for style in sorted(styles)])  # fmt: skip
    return np.cov(means, rowvar=False)


def left_out(sets: Sets, code: Sets) -> dict[str, object]:
    """The threshold for `FALSE_ALARMS`, and what it names, where each tale is measured by what the others give."""
    cases = []
    for name in {story for story, _ in sets}:
        matrix = fitted({key: value for key, value in sets.items() if key[0] != name}, code)
        cases += [*each_swap({key: value @ matrix for key, value in sets.items() if key[0] == name})]
    alone = sorted(case.apart for case in cases if case.other is None)
    threshold = alone[int(np.ceil((1 - FALSE_ALARMS) * len(alone))) - 1]
    swapped = [case for case in cases if case.other is not None]
    named = [case.furthest == case.swapped and case.apart > threshold for case in swapped]
    first = [case.furthest == case.swapped for case in swapped]
    return {"threshold": round(threshold, 3), "named": share(named), "furthest": share(first), "sets": len(alone)}


def each_swap(sets: Sets) -> Iterator[Case]:
    """Every set left alone, and with each panel exchanged for the same one in each other style."""
    for (story, style), own in sets.items():
        yield _case(own, style)
        for (other_story, other), foreign in sets.items():
            if other_story != story or other == style:
                continue
            for index in range(len(own)):
                swapped = own.copy()
                swapped[index] = foreign[index]
                yield _case(swapped, style, other, index + 1)


def _case(textures: Array, style: str, other: str | None = None, swapped: int | None = None) -> Case:
    apart, outlier = stands_out(textures)
    return Case(style, other, swapped, int(apart.argmax()) + 1, float(apart.max()), outlier)


def table(sets: Sets) -> dict[str, object]:
    """How often the exchanged panel is named and is the furthest, by pair of styles; how often one is for nothing."""
    matrix = np.load(MATRIX, allow_pickle=False)
    white = {key: value @ matrix for key, value in sets.items()}
    cases = [*each_swap(white)]
    swapped = [case for case in cases if case.other is not None]
    alone = [case for case in cases if case.other is None]
    pairs = sorted({(case.style, case.other) for case in swapped})
    return {
        "swapped_sets": len(swapped),
        "named": share([case.outlier == case.swapped for case in swapped]),
        "furthest": share([case.furthest == case.swapped for case in swapped]),
        "sets_left_alone": len(alone),
        "false_alarms": share([case.outlier is not None for case in alone]),
        "named_by_pair": {
            f"{other} in {style}": share(
                [case.outlier == case.swapped for case in swapped if (case.style, case.other) == (style, other)]
            )
            for style, other in pairs
        },
        "style_within": _mean_style(white),
    }


def _mean_style(sets: Sets) -> dict[str, float]:
    """The mean likeness of two panels of one set, by style."""
    found: dict[str, list[float]] = {}
    for (_, style), values in sets.items():
        pairs = [distance(one, other) for index, one in enumerate(values) for other in values[:index]]
        found.setdefault(style, []).append(float(likeness(np.array(pairs)).mean()))
    return {style: round(float(np.mean(values)), 4) for style, values in found.items()}


def share(said: Sequence[bool]) -> float:
    """The share that is true."""
    return round(sum(said) / len(said), 4)


if __name__ == "__main__":
    main()
