"""What counts as reproduced. The limits stand in every report beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kolors_submit.reproduce.claims import Scores
from kolors_submit.reproduce.pictures import Difference

Verdict = Literal["identical", "equivalent", "different"]
ORDER: tuple[Verdict, ...] = ("identical", "equivalent", "different")

LIMITS = {"mean": 2.0, "ssim": 0.95, "hash_bits": 6, "score": 0.1}
"""An equivalent panel: at most this mean difference of 255, at least this SSIM, at most so many of 64 hash bits and
this difference of the score. For half precision on another GPU, where rounding moves small details: one pixel may
differ by any amount."""

NARROW = {"mean": 0.05, "maximum": 2, "ssim": 0.999, "hash_bits": 1, "score": 0.02}
"""The same, and at most this largest difference of a pixel, for float32 on the same kind of device, or for the very
same environment, where only the last bit moves."""


@dataclass(frozen=True)
class ComparedPanel:
    """One panel compared."""

    number: int
    scene: str
    file: str
    verdict: Verdict
    pixels: Difference | None
    scores: Scores

    def value(self) -> dict[str, Any]:
        """As reproduction.json keeps it."""
        return asdict(self) | {"scores": self.scores.value()}


def limits_for(claimed: Any, here: Mapping[str, Any], same_environment: bool) -> dict[str, float]:
    """The limits for panels that were rendered with one arithmetic (a stranger's word) and here with another."""
    alike = isinstance(claimed, dict) and all(claimed.get(key) == here[key] for key in ("device_kind", "dtype"))
    return NARROW if same_environment or (alike and here["dtype"] == "float32") else LIMITS


def judge(
    same_bytes: bool, pixels: Difference | None, score: float | None, limits: Mapping[str, float] = LIMITS
) -> Verdict:
    """The verdict of one panel; `pixels` is None where the sizes differ, `score` (a difference) where none is known."""
    if same_bytes:
        return "identical"
    if pixels is None:
        return "different"
    near = pixels.mean <= limits["mean"] and pixels.maximum <= limits.get("maximum", pixels.maximum)
    alike = pixels.ssim >= limits["ssim"] and pixels.hash_bits <= limits["hash_bits"]
    return "equivalent" if near and alike and abs(score or 0.0) <= limits["score"] else "different"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of the entry."""
    return max(verdicts, key=ORDER.index)
