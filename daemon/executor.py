"""Runs requests: a short one at once, in the worker's own loop; a long one in a thread.

The loop does not hear anybody while it runs a request itself, so it does that only where the hop to
a thread and back would cost about as much as the inference.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from inferd.daemon.bound_request import BoundRequest
from inferd.daemon.scheduler import Entry

INLINE_S_MAX: Final = 0.001
THREADS_MAX: Final = 64


class Outcome(NamedTuple):
    """A run that ended; ``error`` is what the engine raised. Times of CLOCK_MONOTONIC."""

    entry: "Entry[BoundRequest]"
    error: Exception | None
    started_ns: int
    finished_ns: int


class Executor:
    """Every entry that is started comes back once from `outcomes`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._outcomes: deque[Outcome] = deque()
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="run")

    def start(self, entry: "Entry[BoundRequest]", *, alone: bool) -> None:
        """Run an entry; ``alone`` says that nothing else runs."""
        if alone and entry.work.model.expected_s <= INLINE_S_MAX:
            self._outcomes.append(_run(entry))
        else:
            self._threads.submit(self._run_in_thread, entry)

    def outcome(self) -> Outcome | None:
        """Take the next run that ended."""
        return self._outcomes.popleft() if self._outcomes else None

    def _run_in_thread(self, entry: "Entry[BoundRequest]") -> None:
        self._outcomes.append(_run(entry))
        self._wake()


def _run(entry: "Entry[BoundRequest]") -> Outcome:
    error = None
    started_ns = time.monotonic_ns()
    try:
        entry.work.run()
    except Exception as why:  # the one broad except around an engine: it may raise anything
        error = why
    return Outcome(entry, error, started_ns, time.monotonic_ns())
