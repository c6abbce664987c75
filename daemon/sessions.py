"""Who is connected, what they own, and what they may take. Pure.

A refusal is a typed error that names the limit; it changes nothing.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from inferd.daemon.config import Limits
from inferd.shm.errors import OverBudget, ProtocolViolation


@dataclass(eq=False)
class SessionRecord:
    """One session. ``attached`` maps each segment to its size and the devices that have it."""

    id: int
    token: bytes
    uid: int
    pid: int
    name: str
    segments: dict[int, int] = field(default_factory=dict)
    attached: dict[int, set[str]] = field(default_factory=dict)

    @property
    def segment_bytes(self) -> int:
        return sum(self.segments.values())


class Sessions:
    """The sessions of the daemon."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records: dict[int, SessionRecord] = {}
        self._per_user: Counter[int] = Counter()
        self._segment_bytes = 0
        self._ids = itertools.count(1)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def get(self, session: int) -> SessionRecord | None:
        return self._records.get(session)

    def open(self, token: bytes, uid: int, pid: int, name: str) -> SessionRecord:
        """Add a session.

        Raises
        ------
        OverBudget
            There are too many, in all or of this user.
        """
        limits = self._limits
        if len(self._records) >= limits.sessions_max:
            raise OverBudget(
                f"the daemon takes {limits.sessions_max} sessions (limits.sessions_max)"
            )
        if self._per_user[uid] >= limits.sessions_per_user_max:
            raise OverBudget(
                f"a user may have {limits.sessions_per_user_max} sessions "
                "(limits.sessions_per_user_max)"
            )
        record = SessionRecord(next(self._ids), token, uid, pid, name)
        self._records[record.id] = record
        self._per_user[uid] += 1
        return record

    def close(self, session: int) -> None:
        record = self._records.pop(session)
        self._segment_bytes -= record.segment_bytes
        self._per_user[record.uid] -= 1
        if not self._per_user[record.uid]:
            del self._per_user[record.uid]

    def attach(self, record: SessionRecord, segment: int, byte_size: int, device: str) -> None:
        """Count a segment in, the first time that a device gets it.

        Raises
        ------
        OverBudget
            It is too much for the session or for the daemon.
        ProtocolViolation
            The device has a segment of this id, or its size was another one before.
        """
        limits = self._limits
        if device in record.attached.get(segment, ()):
            raise ProtocolViolation(f"segment {segment} is attached to {device} already")
        if record.segments.get(segment, byte_size) != byte_size:
            raise ProtocolViolation(f"segment {segment} had {record.segments[segment]} bytes")
        if segment not in record.segments:
            if len(record.segments) >= limits.segments_per_session_max:
                raise OverBudget(
                    f"a session may have {limits.segments_per_session_max} segments "
                    "(limits.segments_per_session_max)"
                )
            room = limits.segment_bytes_per_session_max - record.segment_bytes
            if byte_size > room:
                raise OverBudget(
                    f"no room for a segment of {byte_size} bytes: this session may have {room} "
                    "bytes more (limits.segment_bytes_per_session_max)"
                )
            if byte_size > limits.segment_bytes_max - self._segment_bytes:
                raise OverBudget(
                    f"no room for a segment of {byte_size} bytes in the daemon's budget "
                    "(limits.segment_bytes_max)"
                )
            record.segments[segment] = byte_size
            self._segment_bytes += byte_size
        record.attached.setdefault(segment, set()).add(device)

    def detach(self, record: SessionRecord, segment: int, device: str | None = None) -> set[str]:
        """Count a segment out, of one device or of all; return the devices that had it."""
        devices = record.attached.get(segment, set())
        gone = devices & {device} if device is not None else set(devices)
        devices -= gone
        if not devices and segment in record.segments:
            self._segment_bytes -= record.segments.pop(segment)
            record.attached.pop(segment, None)
        return gone

    def lose_device(self, device: str) -> None:
        """Count out every segment of a device whose worker has ended."""
        for record in self._records.values():
            for segment in list(record.attached):
                self.detach(record, segment, device)
