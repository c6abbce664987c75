"""The link: all channels of a session, and the one place where answers arrive.

Who reads? A thread that waits for an answer reads the channels itself, so that nothing has to wake
it. One thread reads at a time; others that wait follow: the reader wakes the one whose answer
came, and passes reading on when it leaves. Callbacks need a thread of their own, the attendant: it
runs them, and reads only while some are due and nobody else reads.

    waiting thread --read--> channels          attendant --read--> channels   (nobody waits)
         |  answer for another: wake it             |  run callbacks
         +-- leaves: pass reading on -------------->+

The lock is held for non-blocking calls only. After each send the channel is drained, because
sending on a ZeroMQ socket can swallow the wake-up of what came meanwhile.
"""

import contextlib
import math
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import zmq

from inferd.client.channels import Channel, SessionChannel, ZeroMQChannel
from inferd.client.session import Ticket
from inferd.shm import wire
from inferd.shm.errors import (
    InferdError,
    SessionClosed,
    SessionForked,
    WorkerDied,
    rebuild,
)
from inferd.shm.waiting import SPIN_S, spin

MOMENT_S: Final = 0.05  # for what a process that died had sent
LAST_WORDS_S_MAX: Final = 2.0  # for what one that ended in order has surely sent


class Link:
    """The channels of one session of this process."""

    def __init__(self, session: SessionChannel, directory: str, token: bytes) -> None:
        self._pid = os.getpid()
        self._directory = directory
        self._token = token
        self._context = zmq.Context()
        self._lock = threading.Lock()  # sockets and pending tickets
        self._reading = threading.Lock()  # whoever holds it reads
        self._followers: deque[threading.Event] = deque()
        self._wake_descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._wake_descriptor, select.POLLIN)
        self._channels: dict[int, Channel] = {}
        self._workers: dict[str, tuple[int, Channel]] = {}  # by device: generation, channel
        self._unread: list[Channel] = []  # the reader's: may have more, without being readable
        self._later: deque[tuple[Channel, bytes]] = deque()
        self._end: InferdError | None = None
        self._inside: set[int] = set()  # threads that a destructor must not make wait
        self._due: deque[Ticket] = deque()  # settled, and to be attended
        self._attended = 0  # tickets under way or due that the attendant is needed for
        self._attendant: threading.Thread | None = None
        self._attendant_ident = 0
        self._attendant_wake = threading.Event()
        self.session: Channel = self._add(session)
        self.control: Channel = self._add(
            self._connect(wire.CONTROL_SOCKET, wire.read_from_control)
        )

    @property
    def is_open(self) -> bool:
        """Whether the session lives."""
        return self._end is None

    @property
    def is_attendant(self) -> bool:
        """Whether this is the thread that runs callbacks."""
        return threading.get_ident() == self._attendant_ident

    def check_fork(self) -> None:
        """Raise `SessionForked` in a process that did not open the session."""
        if self._pid != os.getpid():
            raise SessionForked(
                "this process was forked from the one that connected to inferd; "
                "make a new Core here, or start processes with 'spawn'"
            )

    # --- Sending ------------------------------------------------------------------------------

    def call(
        self,
        channel: Channel,
        frame: Callable[[int], bytes],
        descriptors: Sequence[int] = (),
    ) -> Any:
        """Send a call, wait for its answer and return it; ``frame`` makes it with its number.

        Raises
        ------
        InferdError
            The daemon's refusal, or why no answer can come.
        """
        ticket = self.begin(channel, frame, descriptors)
        self.wait(ticket)
        ticket.raise_error()
        return ticket.answer

    def begin(
        self,
        channel: Channel,
        frame: Callable[[int], bytes],
        descriptors: Sequence[int] = (),
    ) -> Ticket:
        """Send a call and return the ticket to wait for."""
        ticket = Ticket()
        self._exchange(
            channel, lambda: channel.send(frame(channel.pending.call(ticket)), descriptors)
        )
        return ticket

    def submit(
        self, channel: Channel, frames: Sequence[bytes], request: int, sequence: int, ticket: Ticket
    ) -> None:
        """Send a submission, and the bindings before it; its completion settles the ticket."""

        def send() -> None:
            for frame in frames:
                channel.send(frame)
            channel.pending.submit(request, sequence, ticket)
            if ticket.attended is not None:
                self._attended += 1

        self._exchange(channel, send)
        if ticket.attended is not None and not self._reading.locked():
            self._call_attendant()

    def send(self, channel: Channel, frame: bytes) -> None:
        """Send a message that is not answered by itself."""
        self._exchange(channel, lambda: channel.send(frame))

    def send_later(self, channel: Channel, frame: bytes) -> None:
        """Send when the lock is free: for finalizers, which run anywhere, also under the lock."""
        self._later.append((channel, frame))
        if self._pid == os.getpid() and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(InferdError):  # the daemon has gone: others will notice
                    self._send_late()
            finally:
                self._lock.release()

    def worker(self, device: str, generation: int, endpoint: str) -> Channel:
        """Return the channel to a device's worker, connecting it the first time."""
        self.check_fork()
        with self._lock:
            self._check_end()
            known, channel = self._workers.get(device, (0, None))
            if channel is None or known != generation:
                channel = self._add(self._connect(endpoint, wire.read_from_worker))
                self._workers[device] = (generation, channel)
        self._wake_reader()
        return channel

    def is_connected(self, channel: Channel) -> bool:
        """Whether a channel still leads to a living worker."""
        return self._channels.get(channel.fileno()) is channel

    # --- Waiting ------------------------------------------------------------------------------

    def wait(self, ticket: Ticket, timeout_s: float | None = None) -> bool:
        """Wait until a ticket is over; False if the time ran out first.

        A callback that waits for a ticket attends to it itself, as nobody else would. It can't wait
        for a ticket that it was called for: False.
        """
        if self.is_attendant:
            self._wait(lambda: ticket.is_settled, ticket, timeout_s)
            self._attend_early(ticket)
        else:
            self._wait(lambda: ticket.is_over, ticket, timeout_s)
        return ticket.is_over

    def wait_settled(self, ticket: Ticket) -> None:
        """Wait until a ticket's answer is there: for destructors, which run anywhere.

        Returns at once where waiting could not end: at the interpreter's exit, and in a thread that
        is inside the link already.
        """
        if sys.is_finalizing() or threading.get_ident() in self._inside:
            return
        with contextlib.suppress(InferdError):
            self._wait(lambda: ticket.is_settled, ticket, None)

    def look(self) -> None:
        """Take what has come, without waiting."""
        self.check_fork()
        if self._end is None and self._reading.acquire(blocking=False):
            with self._marked_inside():
                try:
                    self._read_once(0.0)
                finally:
                    self._reading.release()
                    self._pass_reading_on()

    def attended(self, ticket: Ticket) -> None:
        """Note that the attendant is done with a ticket."""
        ticket.is_over = True
        for event in ticket.events:
            event.set()
        self._wake_reader()

    def close(self) -> None:
        """End the session. Safe from a finalizer, which may run under our own lock."""
        if self._pid != os.getpid():
            return
        if self._lock.acquire(blocking=False):
            try:
                tickets = self._finish(SessionClosed("this process closed its session"))
            finally:
                self._lock.release()
            self._deliver(tickets)
        else:
            threading.Thread(target=self._close_soon, daemon=True).start()

    # --- Inside -------------------------------------------------------------------------------

    def _wait(self, is_enough: Callable[[], bool], ticket: Ticket, timeout_s: float | None) -> None:
        self.check_fork()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        thread = threading.get_ident()
        self._inside.add(thread)
        followed = False
        try:
            while not is_enough():
                if self._reading.acquire(blocking=False):
                    try:
                        spin_s = SPIN_S if ticket.is_short else 0.0
                        self._read(lambda: ticket.is_settled, deadline_s, spin_s)
                    finally:
                        self._reading.release()
                        self._pass_reading_on()
                if not is_enough():
                    followed = True
                    self._follow(ticket, deadline_s)
                if deadline_s is not None and time.monotonic() >= deadline_s:
                    break
        finally:
            self._inside.discard(thread)
            if followed:  # it may have been our turn to read when we left
                self._pass_reading_on()

    def _follow(self, ticket: Ticket, deadline_s: float | None) -> None:
        """Wait until somebody wakes us: our answer came, or it is our turn to read."""
        event = threading.Event()
        ticket.events.append(event)
        if not ticket.is_settled:  # a settled one waits for the attendant, and need not read
            self._followers.append(event)
        try:
            if ticket.is_over or not (self._reading.locked() or ticket.is_settled):
                return  # the answer came, or the reader left, before we were on the list
            event.wait(None if deadline_s is None else max(deadline_s - time.monotonic(), 0))
        finally:
            ticket.events.remove(event)
            with contextlib.suppress(ValueError):
                self._followers.remove(event)

    def _pass_reading_on(self) -> None:
        """Have somebody read if anybody needs it. Called by everyone who stops waiting."""
        if self._reading.locked():
            return
        if self._followers:
            with contextlib.suppress(IndexError):
                self._followers.popleft().set()
                return
        if self._attended and not self.is_attendant:
            self._call_attendant()

    def _read(
        self, is_enough: Callable[[], bool], deadline_s: float | None, spin_s: float = 0.0
    ) -> None:
        while not is_enough():
            remaining_s = None if deadline_s is None else deadline_s - time.monotonic()
            if remaining_s is not None and remaining_s <= 0:
                self._read_once(0.0)
                return
            self._read_once(remaining_s, spin_s, most=1)

    def _read_once(
        self, timeout_s: float | None, spin_s: float = 0.0, most: int = sys.maxsize
    ) -> None:
        """Wait for the channels and take what is there, at ``most`` so many messages from each.

        Only the reader calls this.
        """
        self._check_end()
        unread, self._unread = self._unread, []
        if unread:
            timeout_s = spin_s = 0.0
        ready = spin(self._look, spin_s) if spin_s else []
        if not ready:
            ready = self._poll.poll(None if timeout_s is None else math.ceil(timeout_s * 1e3))
        tickets: list[Ticket] = []
        with self._lock, self._ended_if_interrupted():
            for channel in {*unread, *self._ready_channels([each for each, _ in ready])}:
                tickets += self._receive(channel, most)
            self._send_late()
        self._deliver(tickets)

    def _look(self) -> list[tuple[int, int]]:
        return self._poll.poll(0)

    def _ready_channels(self, descriptors: Sequence[int]) -> list[Channel]:
        """Return what to read: what is readable, or everything if we were woken to look."""
        if self._wake_descriptor in descriptors:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_descriptor)
            return list(self._channels.values())
        return [self._channels[each] for each in descriptors if each in self._channels]

    def _exchange(self, channel: Channel, send: Callable[[], None]) -> None:
        """Send, and take what came on the channel meanwhile."""
        self.check_fork()
        thread = threading.get_ident()
        self._inside.add(thread)
        try:
            with self._lock:
                self._check_end()
                if not self.is_connected(channel):
                    raise WorkerDied("the worker of this model ended; compile the model again")
                self._send_late()
                with self._ended_if_interrupted():
                    send()
                    tickets = self._receive(channel)
        finally:
            self._inside.discard(thread)
        if tickets:
            self._deliver(tickets)
            self._wake_reader()

    def _receive(self, channel: Channel, most: int = sys.maxsize) -> list[Ticket]:
        """Take what came on a channel; return the tickets that it settled."""
        if not self.is_connected(channel):
            return []
        tickets: list[Ticket] = []
        now_ns = time.monotonic_ns()
        try:
            messages = channel.receive(most)
            if len(messages) == most:  # if there is more, who reads next will find it
                self._unread.append(channel)
            for message in messages:
                if isinstance(message, wire.WorkerLost):
                    tickets += self._lose_worker(message)
                elif isinstance(message, wire.Refused | wire.Failed) and _is_fatal(message):
                    tickets += self._finish(rebuild(message.code, message.text), LAST_WORDS_S_MAX)
                    break
                else:
                    ticket = channel.pending.answered(message, now_ns)
                    if ticket is not None:
                        tickets.append(ticket)
        except InferdError as why:
            tickets += self._finish(why)
        return tickets

    @contextlib.contextmanager
    def _ended_if_interrupted(self) -> Iterator[None]:
        """End the session if Ctrl-C comes amid messages: one that was taken may be lost, and who
        waits for it would wait for ever."""
        try:
            yield
        except KeyboardInterrupt:
            why = SessionClosed("the session was interrupted amid its messages; make a new Core")
            self._deliver(self._finish(why))
            raise

    def _deliver(self, tickets: Sequence[Ticket]) -> None:
        """Wake who waits for these tickets, and have the attendant run what is due."""
        is_due = False
        for ticket in tickets:
            if ticket.attended is not None:
                self._due.append(ticket)
                is_due = True
            for event in ticket.events:
                event.set()
        if is_due:
            self._call_attendant()

    def _lose_worker(self, message: wire.WorkerLost) -> list[Ticket]:
        generation, channel = self._workers.get(message.device, (0, None))
        if channel is None or generation != message.generation:
            return []
        del self._workers[message.device]
        tickets = self._last_words([channel], MOMENT_S)
        tickets += channel.pending.fail_all(WorkerDied(message.text), time.monotonic_ns())
        self._remove(channel)
        return tickets

    def _finish(self, why: InferdError, last_words_s: float = MOMENT_S) -> list[Ticket]:
        """End everything; the lock is held."""
        if self._end is not None:
            return []
        channels = [channel for _, channel in self._workers.values()]
        tickets = self._last_words(channels, last_words_s)
        self._end = why
        now_ns = time.monotonic_ns()
        tickets += [
            ticket
            for channel in self._channels.values()
            for ticket in channel.pending.fail_all(why, now_ns)
        ]
        for channel in list(self._channels.values()):
            self._remove(channel)
        self._context.destroy(linger=0)
        self._wake_reader()
        self._attendant_wake.set()
        return tickets

    def _last_words(self, channels: Iterable[Channel], seconds: float) -> list[Ticket]:
        """Take the completions that workers sent before their end. They have arrived in this
        process, but ZeroMQ's own thread may need a moment to hand them over."""
        tickets: list[Ticket] = []
        until_s = time.monotonic() + seconds
        for channel in channels:
            while len(channel.pending) and time.monotonic() < until_s:
                answers = (
                    channel.pending.answered(each, time.monotonic_ns())
                    for each in channel.receive(sys.maxsize)
                )
                tickets += [ticket for ticket in answers if ticket is not None]
                os.sched_yield()
        return tickets

    def _close_soon(self) -> None:
        with self._lock:
            tickets = self._finish(SessionClosed("this process closed its session"))
        self._deliver(tickets)

    def _connect(self, name: str, read: Callable[[bytes], Any]) -> ZeroMQChannel:
        path = os.path.join(self._directory, name)
        return ZeroMQChannel(self._context, path, self._token, read)

    def _add(self, channel: Channel) -> Channel:
        self._channels[channel.fileno()] = channel
        self._poll.register(channel.fileno(), select.POLLIN)
        return channel

    def _remove(self, channel: Channel) -> None:
        del self._channels[channel.fileno()]
        self._poll.unregister(channel.fileno())
        channel.close()
        self._wake_reader()

    @contextlib.contextmanager
    def _marked_inside(self) -> Any:
        """Mark this thread, so that a destructor that runs in it does not wait (for itself)."""
        thread = threading.get_ident()
        self._inside.add(thread)
        try:
            yield
        finally:
            self._inside.discard(thread)

    def _send_late(self) -> None:
        """Send what finalizers left. That can hide what came: have the reader look everywhere."""
        while self._later:
            channel, frame = self._later.popleft()
            if self.is_connected(channel):
                channel.send(frame)
                os.eventfd_write(self._wake_descriptor, 1)

    def _check_end(self) -> None:
        if self._end is not None:
            raise rebuild(self._end.code, str(self._end))

    def _wake_reader(self) -> None:
        if self._reading.locked():
            os.eventfd_write(self._wake_descriptor, 1)

    # --- The attendant ------------------------------------------------------------------------

    def _call_attendant(self) -> None:
        if self._attendant is None:
            self._attendant = threading.Thread(
                target=self._attend, name="inferd-callbacks", daemon=True
            )
            self._attendant.start()
        self._attendant_wake.set()

    def _attend(self) -> None:
        self._attendant_ident = threading.get_ident()
        while self._end is None or self._attended:
            self._attendant_wake.wait()
            self._attendant_wake.clear()
            self._run_due()
            while self._attended and self._end is None and self._reading.acquire(blocking=False):
                try:
                    with contextlib.suppress(InferdError), self._marked_inside():
                        self._read(lambda: bool(self._due) or self._end is not None, None)
                finally:
                    self._reading.release()
                self._run_due()
            self._pass_reading_on()

    def _run_due(self) -> None:
        while self._due:
            self._attend_to(self._due.popleft())

    def _attend_early(self, ticket: Ticket) -> None:
        """Attend to a settled ticket before its turn. It may not be due yet, but soon will be."""
        while ticket.is_settled and not ticket.is_over and ticket.attending_thread is None:
            self._attendant_wake.clear()
            if ticket in self._due:
                self._due.remove(ticket)
                self._attend_to(ticket)
            else:
                self._attendant_wake.wait()
        self._attendant_wake.set()  # we may have taken the announcement of others

    def _attend_to(self, ticket: Ticket) -> None:
        assert ticket.attended is not None
        ticket.attending_thread = threading.get_ident()
        try:
            ticket.attended(ticket)
        finally:
            with self._lock:
                self._attended -= 1
            self.attended(ticket)


def _is_fatal(message: wire.Refused | wire.Failed) -> bool:
    """Whether a message ends the session: a refusal, or an answer to no call of ours, because the
    other side could not read what we sent (versions differ, or one has a bug)."""
    return isinstance(message, wire.Refused) or message.call == 0
