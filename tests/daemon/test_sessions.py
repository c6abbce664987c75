"""Sessions: what each may take, and that a refusal takes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd.daemon.config import Limits
from inferd.daemon.sessions import SessionRecord, Sessions
from inferd.shm.errors import InferdError, OverBudget, ProtocolViolation

LIMITS = Limits(
    sessions_max=4,
    sessions_per_user_max=3,
    segments_per_session_max=3,
    segment_bytes_per_session_max=1000,
    segment_bytes_max=1500,
)


def new_session(sessions: Sessions, uid: int = 1000) -> SessionRecord:
    return sessions.open(b"token", uid, 42, "camera")


def contents(sessions: Sessions) -> list[Any]:
    """All that a refusal could have changed and that can be seen."""
    return [
        (record.id, dict(record.segments), {key: set(on) for key, on in record.attached.items()})
        for record in sessions
    ]


def is_refused(sessions: Sessions, call: Callable[[], object], kind: type[InferdError]) -> str:
    """Return the error's text, after a look at what the refusal changed."""
    before = contents(sessions)
    with pytest.raises(kind) as raised:
        call()
    assert contents(sessions) == before
    return str(raised.value)


class AnyOrder(RuleBasedStateMachine):
    """Sessions open, attach, detach and close in any order, beside a model of what they have."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions(LIMITS)
        self.owned: dict[int, dict[int, tuple[int, set[str]]]] = {}  # session, segment, devices
        self.users: dict[int, int] = {}

    def record(self, data: st.DataObject) -> SessionRecord:
        record = self.sessions.get(data.draw(st.sampled_from(sorted(self.owned))))
        assert record is not None
        return record

    def total(self) -> int:
        return sum(size for owned in self.owned.values() for size, _ in owned.values())

    @rule(uid=st.integers(1, 2))
    def open(self, uid: int) -> None:
        same_user = sum(user == uid for user in self.users.values())
        if len(self.owned) == LIMITS.sessions_max or same_user == LIMITS.sessions_per_user_max:
            is_refused(self.sessions, lambda: new_session(self.sessions, uid), OverBudget)
        else:
            record = new_session(self.sessions, uid)
            self.owned[record.id], self.users[record.id] = {}, uid

    @precondition(lambda self: self.owned)
    @rule(
        data=st.data(),
        segment=st.integers(1, 4),
        byte_size=st.sampled_from([1, 400, 500, 600, 1000, 1001]),
        device=st.sampled_from("AB"),
        keep_size=st.booleans(),
    )
    def attach(
        self, data: st.DataObject, segment: int, byte_size: int, device: str, keep_size: bool
    ) -> None:
        record = self.record(data)
        owned = self.owned[record.id]
        size, devices = owned.get(segment, (byte_size, set()))
        if keep_size:
            byte_size = size
        is_new = segment not in owned
        session_bytes = sum(size for size, _ in owned.values())
        expected: type[InferdError] | None = None
        if device in devices or size != byte_size:
            expected = ProtocolViolation
        elif is_new and (
            len(owned) == LIMITS.segments_per_session_max
            or session_bytes + byte_size > LIMITS.segment_bytes_per_session_max
            or self.total() + byte_size > LIMITS.segment_bytes_max
        ):
            expected = OverBudget
        if expected is None:
            self.sessions.attach(record, segment, byte_size, device)
            owned[segment] = (byte_size, devices | {device})
        else:
            is_refused(
                self.sessions,
                lambda: self.sessions.attach(record, segment, byte_size, device),
                expected,
            )

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), segment=st.integers(1, 4), device=st.none() | st.sampled_from("AB"))
    def detach(self, data: st.DataObject, segment: int, device: str | None) -> None:
        record = self.record(data)
        _, devices = self.owned[record.id].get(segment, (0, set()))
        gone = devices & ({device} if device else devices)
        assert self.sessions.detach(record, segment, device) == gone
        self.forget(record.id, segment, gone)

    def forget(self, session: int, segment: int, gone: set[str]) -> None:
        size, devices = self.owned[session].pop(segment, (0, set()))
        if devices - gone:
            self.owned[session][segment] = (size, devices - gone)

    @rule(device=st.sampled_from("AB"))
    def lose_device(self, device: str) -> None:
        self.sessions.lose_device(device)
        for session, owned in self.owned.items():
            for segment in list(owned):
                self.forget(session, segment, {device})

    @precondition(lambda self: self.owned)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        record = self.record(data)
        self.sessions.close(record.id)
        assert self.sessions.get(record.id) is None
        del self.owned[record.id], self.users[record.id]

    @invariant()
    def every_session_has_what_it_was_given(self) -> None:
        assert contents(self.sessions) == [
            (
                session,
                {segment: size for segment, (size, _) in owned.items()},
                {segment: devices for segment, (_, devices) in owned.items()},
            )
            for session, owned in self.owned.items()
        ]
        assert len(self.sessions) == len(self.owned)

    @precondition(lambda self: len(self.owned) < LIMITS.sessions_max)
    @invariant()
    def counted_bytes_are_the_sum(self) -> None:
        free = LIMITS.segment_bytes_max - self.total()
        room = min(free, LIMITS.segment_bytes_per_session_max)
        probe = new_session(self.sessions, uid=0)
        with pytest.raises(OverBudget):
            self.sessions.attach(probe, 1, room + 1, "A")
        self.sessions.attach(probe, 1, room, "A")
        self.sessions.close(probe.id)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(LIMITS)


def test_a_session_is_what_it_was_opened_as(sessions: Sessions) -> None:
    record = sessions.open(b"secret", 1000, 42, "camera")
    assert (record.token, record.uid, record.pid, record.name) == (b"secret", 1000, 42, "camera")
    assert sessions.get(record.id) is record
    assert list(sessions) == [record]


def test_an_id_is_never_used_again(sessions: Sessions) -> None:
    first = new_session(sessions)
    sessions.close(first.id)
    assert new_session(sessions).id != first.id
    assert sessions.get(first.id) is None


def test_a_user_has_a_limit_of_sessions(sessions: Sessions) -> None:
    records = [new_session(sessions) for _ in range(3)]
    text = is_refused(sessions, lambda: new_session(sessions), OverBudget)
    assert "limits.sessions_per_user_max" in text
    new_session(sessions, uid=1001)
    sessions.close(records[0].id)
    new_session(sessions)


def test_the_daemon_has_a_limit_of_sessions(sessions: Sessions) -> None:
    records = [new_session(sessions, uid) for uid in range(4)]
    text = is_refused(sessions, lambda: new_session(sessions, 9), OverBudget)
    assert "limits.sessions_max" in text
    sessions.close(records[0].id)
    new_session(sessions, 9)


def test_a_session_has_a_limit_of_segments(sessions: Sessions) -> None:
    record = new_session(sessions)
    for segment in range(3):
        sessions.attach(record, segment, 1, "A")
    text = is_refused(sessions, lambda: sessions.attach(record, 3, 1, "A"), OverBudget)
    assert "limits.segments_per_session_max" in text
    sessions.attach(record, 2, 1, "B")


def test_a_session_has_a_limit_of_bytes_and_is_told_what_is_left(sessions: Sessions) -> None:
    record = new_session(sessions)
    sessions.attach(record, 1, 400, "A")
    text = is_refused(sessions, lambda: sessions.attach(record, 2, 601, "A"), OverBudget)
    assert "600 bytes more (limits.segment_bytes_per_session_max)" in text
    sessions.attach(record, 2, 600, "A")


def test_the_daemon_has_a_limit_of_bytes(sessions: Sessions) -> None:
    first, second = new_session(sessions), new_session(sessions)
    sessions.attach(first, 1, 1000, "A")
    text = is_refused(sessions, lambda: sessions.attach(second, 1, 501, "A"), OverBudget)
    assert "(limits.segment_bytes_max)" in text
    sessions.attach(second, 1, 500, "A")


def test_a_segment_on_two_devices_is_counted_once(sessions: Sessions) -> None:
    record = new_session(sessions)
    for device in "AB":
        sessions.attach(record, 1, 700, device)
    assert record.segment_bytes == 700
    sessions.attach(new_session(sessions), 1, 800, "A")
    assert sessions.detach(record, 1, "A") == {"A"}
    assert record.segment_bytes == 700
    assert sessions.detach(record, 1) == {"B"}
    assert record.segment_bytes == 0


def test_a_segment_is_attached_to_a_device_once_and_keeps_its_size(sessions: Sessions) -> None:
    record = new_session(sessions)
    sessions.attach(record, 1, 10, "A")
    again = is_refused(sessions, lambda: sessions.attach(record, 1, 10, "A"), ProtocolViolation)
    other = is_refused(sessions, lambda: sessions.attach(record, 1, 11, "B"), ProtocolViolation)
    assert again == "segment 1 is attached to A already"
    assert other == "segment 1 had 10 bytes"


def test_detaching_what_is_not_there_is_ignored(sessions: Sessions) -> None:
    record = new_session(sessions)
    sessions.attach(record, 1, 10, "A")
    assert sessions.detach(record, 2) == set()
    assert sessions.detach(record, 1, "B") == set()
    assert record.segment_bytes == 10


def test_a_lost_device_gives_back_what_only_it_had(sessions: Sessions) -> None:
    record = new_session(sessions)
    sessions.attach(record, 1, 10, "A")
    sessions.attach(record, 2, 20, "A")
    sessions.attach(record, 2, 20, "B")
    sessions.lose_device("A")
    assert (record.segments, record.attached) == ({2: 20}, {2: {"B"}})


def test_the_bytes_of_a_session_that_closes_are_free_again(sessions: Sessions) -> None:
    for _ in range(5):
        record = new_session(sessions)
        sessions.attach(record, 1, 1000, "A")
        sessions.close(record.id)
