"""Times calls, sums the times up, and compares them.

Rivals that are to be compared take turns: what else the machine does then meets all of them alike.
"""

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TURN_S: Final = 0.2
SETTLE_S: Final = 0.02  # of calls before each turn that do not count: caches, threads that sleep
WARM_UP_S: Final = 1.0
ROUNDS_MIN: Final = 5
SEED: Final = 1  # of the order in a round

Call = Callable[[], object]


@dataclass(frozen=True)
class Summary:
    """Half of the calls took at most ``p50_us``, 99 of 100 at most ``p99_us``."""

    p50_us: float
    p99_us: float
    samples: int


@dataclass(frozen=True)
class Ratio:
    """A quotient of medians, and the range in which it was in the middle half of the rounds."""

    name: str
    value: float
    low: float
    high: float


@dataclass
class Series:
    """A call and how long it took each time, in nanoseconds, round by round."""

    call: Call
    rounds: list[NDArray[np.int64]] = field(default_factory=list)

    def overall(self) -> Summary:
        return summarize(np.concatenate(self.rounds))

    def by_round(self) -> list[Summary]:
        return [summarize(durations_ns) for durations_ns in self.rounds]


def take_turns(series: Sequence[Series], duration_s: float) -> None:
    """Warm up, then time all calls in many rounds, each in a new order that is always the same."""
    for each in series:
        repeat(each.call, WARM_UP_S)
    gc.collect()
    gc.freeze()  # what was made so far is not looked through again while calls are timed
    rounds = round(duration_s / (len(series) * (SETTLE_S + TURN_S)))
    order, generator = list(series), random.Random(SEED)
    for _ in range(max(rounds, ROUNDS_MIN)):
        generator.shuffle(order)
        for each in order:
            repeat(each.call, SETTLE_S)
            each.rounds.append(repeat(each.call, TURN_S))
    gc.unfreeze()


def repeat(call: Call, duration_s: float) -> NDArray[np.int64]:
    """Call back to back for a while, at least once.

    Returns
    -------
    ndarray, shape (calls,), dtype int64
        How long each call took, in nanoseconds.
    """
    durations_ns: list[int] = []
    now_ns = time.perf_counter_ns
    until_ns = now_ns() + round(duration_s * 1e9)
    while not durations_ns or now_ns() < until_ns:
        started_ns = now_ns()
        call()
        durations_ns.append(now_ns() - started_ns)
    return np.array(durations_ns, np.int64)


def summarize(durations_ns: NDArray[np.int64]) -> Summary:
    """Return the percentiles of durations.

    Parameters
    ----------
    durations_ns : ndarray, shape (calls,), dtype int64
        Nanoseconds, at least one.
    """
    p50_ns, p99_ns = np.percentile(durations_ns, (50, 99)).tolist()
    return Summary(p50_ns / 1e3, p99_ns / 1e3, len(durations_ns))


def ratio(name: str, formula: Callable[..., Any], *series: Series) -> Ratio:
    """Apply a formula, which must also work on arrays, to the medians of series."""
    value = formula(*(each.overall().p50_us for each in series))
    medians_us = [np.array([one.p50_us for one in each.by_round()]) for each in series]
    low, high = np.percentile(formula(*medians_us), (25, 75)).tolist()
    return Ratio(name, value, low, high)
