"""What this process asked of the daemon and what is not yet answered. Pure: no socket, no thread.

Everything that begins ends exactly once: a ticket is settled by its answer, or by the end of the
channel that it was sent on.
"""

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from inferd.shm import wire
from inferd.shm.errors import InferdError, rebuild


class Wakeable(Protocol):
    """What a waiting thread leaves behind, to be woken by: an event."""

    def set(self) -> None: ...


class Ticket:
    """What a caller holds until its answer comes.

    ``is_settled``: the answer is there. ``is_over``: nothing more happens, the callback included.
    ``attended`` is what the attendant thread runs between the two; None where nothing is to be run.
    """

    __slots__ = (
        "answer",
        "attended",
        "attending_thread",
        "error",
        "events",
        "is_over",
        "is_settled",
        "is_short",
        "keep",
        "settled_ns",
    )

    def __init__(
        self,
        attended: Callable[["Ticket"], None] | None = None,
        keep: Any = None,
        *,
        is_short: bool = False,
    ) -> None:
        self.is_settled = False
        self.is_short = is_short  # its answer is likely to come sooner than a blocked thread wakes
        self.is_over = False
        self.answer: Any = None
        self.error: tuple[str, str] | None = None
        self.settled_ns = 0
        self.attended = attended
        self.attending_thread: int | None = None
        self.keep = keep  # memory that the worker may touch until the answer comes
        self.events: list[Wakeable] = []  # of threads that wait for it

    def settle(self, answer: Any, error: tuple[str, str] | None, now_ns: int) -> None:
        if self.is_settled:  # its start was abandoned, and the answer came all the same
            return
        self.answer, self.error, self.settled_ns, self.keep = answer, error, now_ns, None
        self.is_settled = True
        self.is_over = self.attended is None

    def raise_error(self) -> None:
        """Raise the error that ended it, a fresh one each time; do nothing after a success."""
        if self.error is not None:
            raise rebuild(*self.error)


class Pending:
    """The tickets under way on one channel: calls by their number, submissions by their request."""

    def __init__(self) -> None:
        self._calls: dict[int, Ticket] = {}
        self._submissions: dict[int, tuple[int, Ticket]] = {}
        self._call_ids = itertools.count(1)

    def __len__(self) -> int:
        return len(self._calls) + len(self._submissions)

    def call(self, ticket: Ticket) -> int:
        """Register a call and return its number."""
        call = next(self._call_ids)
        self._calls[call] = ticket
        return call

    def submit(self, request: int, sequence: int, ticket: Ticket) -> None:
        """Register a submission."""
        assert request not in self._submissions, "a request runs once at a time"
        self._submissions[request] = (sequence, ticket)

    def answered(self, message: Any, now_ns: int) -> Ticket | None:
        """Settle the ticket that a message answers, and return it; None for a stale answer."""
        match message:
            case wire.Completed() | wire.CompletedElastic() | wire.Ended():
                return self._ended(message, now_ns)
            case wire.Failed():
                return self._settle_call(message.call, None, (message.code, message.text), now_ns)
            case (
                wire.Accepted()
                | wire.Compiled()
                | wire.ModelRead()
                | wire.Status()
                | wire.States()
                | wire.Profile()
            ):
                return self._settle_call(message.call, message, None, now_ns)
        raise AssertionError(f"{type(message).__name__} answers nothing")

    def fail_all(self, error: InferdError, now_ns: int) -> list[Ticket]:
        """Settle every ticket with an error: the channel has ended."""
        tickets = [*self._calls.values(), *(ticket for _, ticket in self._submissions.values())]
        self._calls.clear()
        self._submissions.clear()
        for ticket in tickets:
            ticket.settle(None, (error.code, str(error)), now_ns)
        return tickets

    def _ended(
        self, message: wire.Completed | wire.CompletedElastic | wire.Ended, now_ns: int
    ) -> Ticket | None:
        sequence, ticket = self._submissions.get(message.request, (0, None))
        if ticket is None or sequence != message.sequence:
            return None
        del self._submissions[message.request]
        error = (message.code, message.text) if isinstance(message, wire.Ended) else None
        ticket.settle(message, error, now_ns)
        return ticket

    def _settle_call(
        self, call: int, answer: Any, error: tuple[str, str] | None, now_ns: int
    ) -> Ticket | None:
        ticket = self._calls.pop(call, None)
        if ticket is not None:
            ticket.settle(answer, error, now_ns)
        return ticket
