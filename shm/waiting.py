"""How to wait for what is likely to come soon: look, yield for a while, and only then block.

A blocked thread on an otherwise idle core is slow to wake. A thread that yields between looks keeps
its core awake, and gives it to whoever else has work, the very peer it waits for included. That
pays only if the wait is short, so it is done only where the last waits were.
"""

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

SPIN_S: Final = (
    200e-6  # about what waking a blocked thread costs, so never more than twice the best
)

Found = TypeVar("Found")


def spin(look: Callable[[], Found], budget_s: float) -> Found:
    """Look and yield until something truthy is found or the budget is spent."""
    until_s = time.monotonic() + budget_s
    while True:
        found = look()
        if found or time.monotonic() >= until_s:
            return found
        os.sched_yield()


class Pace:
    """Whether events lately came so close together that the next is worth spinning for.

    Times are those of CLOCK_MONOTONIC. An event that was blocked for shows later than it came, by
    about as much as spinning may take: hence twice the budget.
    """

    def __init__(self, budget_s: float = SPIN_S) -> None:
        self.budget_s = budget_s
        self._last_s = float("-inf")
        self._is_close = False

    def happened(self, now_s: float) -> None:
        """Note an event."""
        self._is_close = now_s - self._last_s < 2 * self.budget_s
        self._last_s = now_s

    def spin_s(self) -> float:
        """Return how long to spin for the next event."""
        return self.budget_s if self._is_close else 0.0
