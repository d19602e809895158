"""The geometry of the page's charts, in hundredths of each axis; the template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SCORE_MAX = 10.0
MAX_POINTS = 400
MAX_MATRIX = 24
"""The most panels that a matrix is drawn for; beyond, its cells are too small to read."""

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Tick:
    """A round value of an axis and where it lies, from 0 to 100."""

    at: float
    value: float


@dataclass(frozen=True)
class LossCurve:
    """Polylines of the loss and of its moving average as SVG points, y downwards, and the ticks of both axes."""

    points: str
    average: str
    steps: Sequence[Tick]
    losses: Sequence[Tick]


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart; `width` from 0 to 100. `low` is one that is below the threshold."""

    label: str
    width: float
    value: str
    low: bool = False


@dataclass(frozen=True)
class FunnelBar:
    """Pictures left after a step, `width` of 100 in the middle of its line, and how many the step dropped."""

    label: str
    left: int
    width: float
    dropped: int

    @property
    def x(self) -> float:
        """Where the bar begins."""
        return (100 - self.width) / 2


@dataclass(frozen=True)
class Cell:
    """One pair of panels: column and row from 0, its value, and how alike the two are among all pairs, 0 to 1."""

    column: int
    row: int
    value: float
    alike: float


def score_x(score: float) -> float:
    """Where a score of 0 to 10 lies on a line 100 wide."""
    return round(100 * min(max(score, 0.0), SCORE_MAX) / SCORE_MAX, 3)


def ticks(low: float, high: float, count: int) -> list[Tick]:
    """About `count` round values within an axis that runs from `low` to `high`; none where it has no length."""
    if not high > low:
        return []
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [Tick(round(100 * (n * step - low) / (high - low), 3), round(n * step, 12)) for n in range(first, last + 1)]


def loss_curve(losses: Points) -> LossCurve | None:
    """The training's loss by step, from zero, with a moving average over a twentieth of it; None below two points."""
    losses = [(step, loss) for step, loss in losses if math.isfinite(loss)]
    if len(losses) < 2:
        return None
    shown, average = _thin(losses), _thin(_average(losses, max(3, len(losses) // 20)))
    first, last, high = losses[0][0], losses[-1][0], max(loss for _, loss in shown) or 1.0

    def points(series: Points) -> str:
        pairs = ((100 * (step - first) / max(last - first, 1), 100 - 100 * loss / high) for step, loss in series)
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in pairs)

    return LossCurve(points(shown), points(average), ticks(first, last, 4), ticks(0, high, 4))


def funnel_bars(steps: Sequence[tuple[str, int]]) -> list[FunnelBar]:
    """A bar a step, of its name and how many pictures it left."""
    most = max((left for _, left in steps), default=0) or 1
    before = [steps[0][1] if steps else 0, *(left for _, left in steps)]
    drops = [earlier - later for earlier, later in pairwise(before)]
    return [
        FunnelBar(label, left, round(100 * left / most, 3), dropped)
        for (label, left), dropped in zip(steps, drops, strict=True)
    ]


def matrix_cells(matrix: Sequence[Sequence[float]], *, distance: bool = False) -> list[Cell]:
    """The pairs of different panels of a symmetric matrix; `distance` says that small values are alike."""
    pairs = [(i, j, matrix[j][i]) for j in range(len(matrix)) for i in range(len(matrix)) if i != j]
    values = [value for _, _, value in pairs]
    low, span = min(values, default=0.0), (max(values, default=0.0) - min(values, default=0.0)) or 1.0

    def alike(value: float) -> float:
        share = (value - low) / span
        return round(1 - share if distance else share, 3)

    return [Cell(i, j, value, alike(value)) for i, j, value in pairs]


def _average(losses: Points, width: int) -> list[tuple[int, float]]:
    """Mean of the points around each one, `width` before it and as many after it."""
    sums = [0.0, *accumulate(loss for _, loss in losses)]
    result = []
    for index, (step, _) in enumerate(losses):
        start, end = max(0, index - width), min(len(losses), index + width + 1)
        result.append((step, (sums[end] - sums[start]) / (end - start)))
    return result


def _thin(series: Points) -> list[tuple[int, float]]:
    """At most MAX_POINTS points, the last one among them."""
    stride = max(1, math.ceil((len(series) - 1) / (MAX_POINTS - 1)))
    return [*series[:-1:stride], series[-1]]
