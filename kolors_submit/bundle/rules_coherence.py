"""The rule about how well the panels belong together: scores.json says it, its figures agree, its gate holds."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from kolors_submit.bundle.finding import Finding, fail, warn
from kolors_submit.bundle.manifest import is_sha256
from kolors_submit.bundle.opened import Opened, at, figure

SINCE = 2
"""The format of scores.json that first had it."""

TOLERANCE = 2e-4
"""The figures are rounded to four decimals."""

DIAGONALS = {"similarity": 1.0, "style": 1.0, "palette": 0.0}


def coherence(bundle: Opened) -> Iterator[Finding]:
    """scores.json says how well the panels belong together, and that passes the story's own gate."""
    if bundle.scores is None:
        return
    value, panels = bundle.scores.get("coherence"), bundle.scores.get("panels")
    if value is None and bundle.scores["format"] < SINCE:
        yield _unmeasured(bundle)
        return
    if not isinstance(value, dict) or not isinstance(panels, list):
        yield fail("coherence", "scores.json does not say how well the panels belong together")
        return
    if not is_sha256(at(value, "features", "digest")):
        yield fail("coherence", "scores.json does not say by which features the panels were compared")
    wrong = [name for name, diagonal in DIAGONALS.items() if not _is_matrix(value.get(name), len(panels), diagonal)]
    if wrong:
        yield fail("coherence", f"{', '.join(wrong)} in scores.json: not a symmetric table of {len(panels)} panels")
        return
    style, mean, outlier = value["style"], value.get("mean"), value.get("outlier")
    pairs = [style[row][column] for row in range(len(style)) for column in range(row)] or [1.0]
    if mean is None or figure(mean) is None or abs(mean - fmean(pairs)) > TOLERANCE:
        yield fail("coherence", f"the stated mean coherence is {str(mean)[:20]}, but the pairs give {fmean(pairs):.4f}")
        return
    if outlier is not None and (type(outlier) is not int or not 1 <= outlier <= len(panels)):
        yield fail("coherence", f"the stated outlier is {str(outlier)[:20]}, of {len(panels)} panels")
    yield from _gate(bundle, value, mean)


def _unmeasured(bundle: Opened) -> Finding:
    """What to say of scores without coherence by a program that did not know it: a story's gate cannot hold then."""
    limit = None if bundle.story is None else bundle.story.gate.coherence
    if limit is None:
        return warn("coherence", "not measured: scores.json is of a version that did not know it")
    return fail("coherence", f"the story asks for a mean coherence of {limit:g}, and scores.json does not give one")


def _gate(bundle: Opened, value: dict[str, Any], mean: float) -> Iterator[Finding]:
    """The story's own limit, where it sets one."""
    threshold, passed = value.get("threshold"), value.get("passed")
    if threshold is not None and figure(threshold) is None:
        yield fail("coherence", f"the stated limit on coherence is {str(threshold)[:20]}, which is not a number")
        return
    if passed is not (None if threshold is None else mean >= threshold):
        yield fail("coherence", f"passed is {str(passed)[:20]} at a mean of {mean:.3f}")
    if bundle.story is None:
        return
    limit = bundle.story.gate.coherence
    if threshold != limit:
        yield fail(
            "coherence", f"scores.json sets the limit on coherence to {str(threshold)[:20]}, the story to {limit}"
        )
    if limit is not None and mean < limit:
        yield fail("coherence", f"the mean coherence {mean:.3f} is below the story's own {limit:g}")


def _is_matrix(value: Any, size: int, diagonal: float) -> bool:
    """Whether a value is a symmetric table of numbers with this diagonal."""
    if not isinstance(value, list) or len(value) != size:
        return False
    if not all(isinstance(row, list) and len(row) == size and None not in map(figure, row) for row in value):
        return False
    return all(
        abs(value[row][column] - (diagonal if row == column else value[column][row])) <= TOLERANCE
        for row in range(size)
        for column in range(row + 1)
    )
