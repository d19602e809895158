"""The geometry of the page's charts, in units of a 100-wide drawing; the template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SCORE_MAX = 10.0
HEIGHT = 40.0
MAX_POINTS = 400


@dataclass(frozen=True)
class LossCurve:
    """Polylines of the loss and of its moving average, as SVG points, and the ends of both axes."""

    points: str
    average: str
    low: float
    high: float
    first_step: int
    last_step: int


def score_x(score: float) -> float:
    """Where a score of 0 to 10 lies on a line 100 wide."""
    return round(100 * min(max(score, 0.0), SCORE_MAX) / SCORE_MAX, 3)


def loss_curve(losses: Sequence[tuple[int, float]]) -> LossCurve | None:
    """The training's loss by step, with a moving average over a twentieth of it; None below two points."""
    losses = [(step, loss) for step, loss in losses if math.isfinite(loss)]
    if len(losses) < 2:
        return None
    averaged = _average(losses, max(3, len(losses) // 20))
    shown, average = _thin(losses), _thin(averaged)
    values = [loss for _, loss in shown]
    low, high = min(values), max(values)
    first, last = losses[0][0], losses[-1][0]

    def points(series: Sequence[tuple[int, float]]) -> str:
        across, up = max(last - first, 1), (high - low) or 1.0
        pairs = ((100 * (s - first) / across, HEIGHT - HEIGHT * (v - low) / up) for s, v in series)
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in pairs)

    return LossCurve(points(shown), points(average), low, high, first, last)


def _average(losses: Sequence[tuple[int, float]], width: int) -> list[tuple[int, float]]:
    """Mean of the points around each one."""
    result = []
    for index, (step, _) in enumerate(losses):
        around = [value for _, value in losses[max(0, index - width) : index + width + 1]]
        result.append((step, sum(around) / len(around)))
    return result


def _thin(series: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most MAX_POINTS points, the last one among them."""
    stride = math.ceil(len(series) / MAX_POINTS)
    return [*series[:-1:stride], series[-1]]
