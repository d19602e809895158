"""What a call costs on a machine that is paid by the hour, and when to stop for a budget. No result depends on it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kolors_submit.errors import InputError, OutsideError

HOUR = 3600


class BudgetSpent(OutsideError):
    """The budget is spent: what was done is saved, and the same command goes on from there. Exit status 3."""


@dataclass(frozen=True)
class Meter:
    """The cost of this call so far, in whatever money the price is in."""

    price: float
    """Of one hour of the machine."""
    budget: float | None = None
    """What this call may cost."""
    started: float = field(default_factory=time.monotonic)

    def spent(self, seconds: float = 0) -> float:
        """The cost so far, or in so many seconds from now."""
        return (time.monotonic() - self.started + seconds) * self.price / HOUR

    def passes(self, seconds: float = 0) -> bool:
        """Whether the budget is passed, or would be in so many seconds from now."""
        return self.budget is not None and self.spent(seconds) >= self.budget

    def check(self) -> None:
        """Raise BudgetSpent where the budget is passed."""
        if self.passes():
            raise BudgetSpent(f"{self.words()}: what was done is kept; the same command goes on, with a new budget")

    def words(self, seconds_left: float | None = None) -> str:
        """`cost 0.12 of 0.50, about 0.31 in all`."""
        limit = "" if self.budget is None else f" of {self.budget:.2f}"
        total = "" if seconds_left is None else f", about {self.spent(seconds_left):.2f} in all"
        return f"cost {self.spent():.2f}{limit}{total}"


def make_meter(price: float | None, budget: float | None) -> Meter | None:
    """The meter of a call, or None without a price; raises InputError for a budget without a price."""
    if price is None:
        if budget is not None:
            raise InputError("--budget needs --price, what an hour of this machine costs")
        return None
    if price <= 0 or (budget is not None and budget <= 0):
        raise InputError("--price and --budget must be above 0")
    return Meter(price, budget)
