"""What runs next on a device, and how each submission ends. Pure.

Sessions take turns: each session has a queue of its own, and the one that waited longest since its
last turn goes first, so a session with a thousand submissions delays another's by one of them. No
more run at once than the device likes, so that cancelling what still waits costs nothing.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from inferd.shm.states import JOB, Job, JobEvent, step

Work = TypeVar("Work")


@dataclass(eq=False, slots=True)
class Entry(Generic[Work]):
    """A submission on its way through the worker; ``work`` is what the worker runs."""

    session: int
    sequence: int
    work: Work
    state: Job = field(default=Job.QUEUED)


class Scheduler(Generic[Work]):
    """Every entry that is submitted ends exactly once: DONE, FAILED or CANCELLED."""

    def __init__(self, running_max: int = 1) -> None:
        self.running_max = running_max
        self.ended: Counter[Job] = Counter()
        self._queues: dict[int, deque[Entry[Work]]] = {}  # in order of their turns
        self._running: dict[int, set[Entry[Work]]] = {}
        self._running_count = 0

    @property
    def queued(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    @property
    def running(self) -> int:
        return self._running_count

    @property
    def is_idle(self) -> bool:
        return not self._running_count and not self._queues

    @property
    def can_start(self) -> bool:
        """Whether `start` would return an entry."""
        return bool(self._queues) and self._running_count < self.running_max

    def in_flight(self, session: int) -> int:
        """Return how many of a session's entries wait or run."""
        return len(self._queues.get(session, ())) + len(self._running.get(session, ()))

    def submit(self, session: int, sequence: int, work: Work) -> Entry[Work]:
        """Queue a submission behind the session's others."""
        entry = Entry(session, sequence, work)
        self._queues.setdefault(session, deque()).append(entry)
        return entry

    def start(self) -> Entry[Work] | None:
        """Take the entry whose turn it is, or None if the device has enough or nothing waits."""
        if not self.can_start:
            return None
        session, queue = next(iter(self._queues.items()))
        entry = queue.popleft()
        del self._queues[session]
        if queue:
            self._queues[session] = queue  # behind the others
        entry.state = step(JOB, entry.state, JobEvent.START)
        self._running.setdefault(session, set()).add(entry)
        self._running_count += 1
        return entry

    def cancel(self, entry: Entry[Work]) -> bool:
        """Cancel, and return whether that ended the entry; a running one ends with `finish`."""
        was_queued = entry.state is Job.QUEUED
        entry.state = step(JOB, entry.state, JobEvent.CANCEL)
        if was_queued:
            self._unqueue(entry)
            self.ended[entry.state] += 1
        return was_queued

    def finish(self, entry: Entry[Work], *, failed: bool) -> Job:
        """Note that the engine is done with a running entry, and return how it ended."""
        entry.state = step(JOB, entry.state, JobEvent.FAIL if failed else JobEvent.FINISH)
        running = self._running[entry.session]
        running.remove(entry)
        if not running:
            del self._running[entry.session]
        self._running_count -= 1
        self.ended[entry.state] += 1
        return entry.state

    def drop(self, session: int) -> list[Entry[Work]]:
        """Cancel all of a session's entries; return those that still run and are to be stopped."""
        for entry in list(self._queues.get(session, ())):
            self.cancel(entry)
        running = list(self._running.get(session, ()))
        for entry in running:
            self.cancel(entry)
        return running

    def _unqueue(self, entry: Entry[Work]) -> None:
        queue = self._queues[entry.session]
        queue.remove(entry)
        if not queue:
            del self._queues[entry.session]
