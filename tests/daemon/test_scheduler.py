"""The scheduler: sessions take turns, and every submission ends exactly once."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inferd.daemon.scheduler import Entry, Scheduler
from inferd.shm.states import IllegalTransition, Job

ENDED = (Job.DONE, Job.FAILED, Job.CANCELLED)
sessions = st.integers(1, 4)


class AnyOrder(RuleBasedStateMachine):
    """Submits, starts, cancels, finishes and drops in any order."""

    @initialize(running_max=st.integers(1, 3))
    def open(self, running_max: int) -> None:
        self.scheduler: Scheduler[int] = Scheduler(running_max)
        self.queued: list[Entry[int]] = []
        self.running: list[Entry[int]] = []
        self.ended: list[Entry[int]] = []
        self.cancelled: set[Entry[int]] = set()  # running ones
        self.submitted = 0
        # Per session that waits: how often each other session was started meanwhile.
        self.overtaken: dict[int, Counter[int]] = {}

    def note_waiting(self) -> None:
        waiting = {entry.session for entry in self.queued}
        self.overtaken = {each: self.overtaken.get(each, Counter()) for each in waiting}

    @rule(session=sessions)
    def submit(self, session: int) -> None:
        self.submitted += 1
        entry = self.scheduler.submit(session, self.submitted, self.submitted)
        assert (entry.state, entry.work) == (Job.QUEUED, self.submitted)
        self.queued.append(entry)
        self.note_waiting()

    @rule()
    def start(self) -> None:
        can_start = self.scheduler.can_start
        assert can_start == (bool(self.queued) and len(self.running) < self.scheduler.running_max)
        entry = self.scheduler.start()
        assert (entry is not None) == can_start
        if entry is None:
            return
        own = [each for each in self.queued if each.session == entry.session]
        assert entry is own[0], "a session's submissions start in their order"
        assert entry.state is Job.RUNNING
        self.queued.remove(entry)
        self.running.append(entry)
        self.overtaken.pop(entry.session)
        for others in self.overtaken.values():
            others[entry.session] += 1
        self.note_waiting()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), failed=st.booleans())
    def finish(self, data: st.DataObject, failed: bool) -> None:
        entry = data.draw(st.sampled_from(self.running))
        expected = Job.CANCELLED if entry in self.cancelled else Job.FAILED if failed else Job.DONE
        assert self.scheduler.finish(entry, failed=failed) is entry.state is expected
        self.running.remove(entry)
        self.ended.append(entry)

    @precondition(lambda self: self.queued or self.running)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.queued + self.running))
        was_queued = entry in self.queued
        assert self.scheduler.cancel(entry) == was_queued
        if was_queued:
            assert entry.state is Job.CANCELLED
            self.queued.remove(entry)
            self.ended.append(entry)
            self.note_waiting()
        else:
            assert entry.state is Job.CANCELLING
            self.cancelled.add(entry)

    @rule(session=sessions)
    def drop(self, session: int) -> None:
        still_running = self.scheduler.drop(session)
        assert {id(each) for each in still_running} == {
            id(each) for each in self.running if each.session == session
        }
        self.cancelled |= set(still_running)
        self.ended += [each for each in self.queued if each.session == session]
        self.queued = [each for each in self.queued if each.session != session]
        self.note_waiting()

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def end_again(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.ended))
        state = entry.state
        with pytest.raises(IllegalTransition):
            self.scheduler.cancel(entry)
        with pytest.raises(IllegalTransition):
            self.scheduler.finish(entry, failed=False)
        assert entry.state is state

    @invariant()
    def the_device_is_never_asked_for_more_than_it_likes(self) -> None:
        assert self.scheduler.running == len(self.running) <= self.scheduler.running_max

    @invariant()
    def every_submission_is_in_exactly_one_place(self) -> None:
        assert self.scheduler.queued == len(self.queued)
        assert self.submitted == len(self.queued) + len(self.running) + len(self.ended)
        assert self.scheduler.is_idle == (not self.queued and not self.running)
        for session in range(1, 5):
            assert self.scheduler.in_flight(session) == sum(
                entry.session == session for entry in self.queued + self.running
            )

    @invariant()
    def what_ended_is_counted_once_by_how_it_ended(self) -> None:
        assert all(entry.state in ENDED for entry in self.ended)
        assert self.scheduler.ended == Counter(entry.state for entry in self.ended)

    @invariant()
    def nobody_is_overtaken_twice_by_the_same_session(self) -> None:
        assert all(count <= 1 for others in self.overtaken.values() for count in others.values())

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        while not self.scheduler.is_idle:
            self.start()
            while self.running:
                entry = self.running.pop()
                self.scheduler.finish(entry, failed=False)
                self.ended.append(entry)
        assert len(self.ended) == self.submitted == self.scheduler.ended.total()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


def start(scheduler: Scheduler[str]) -> Entry[str]:
    entry = scheduler.start()
    assert entry is not None
    return entry


@pytest.mark.parametrize("running_max", [1, 3])
def test_a_session_with_a_thousand_submissions_delays_another_by_one_turn(running_max: int) -> None:
    scheduler: Scheduler[str] = Scheduler(running_max)
    for sequence in range(1000):
        scheduler.submit(1, sequence, "busy")
    under_way = [start(scheduler) for _ in range(running_max)]
    scheduler.submit(2, 1, "patient")
    scheduler.finish(under_way[0], failed=False)
    turns = [start(scheduler)]
    while turns[-1].work == "busy":
        scheduler.finish(turns[-1], failed=False)
        turns.append(start(scheduler))
    assert len(turns) <= 2


def test_sessions_take_turns_however_much_each_has_queued() -> None:
    scheduler: Scheduler[str] = Scheduler()
    for session, amount in ((1, 5), (2, 1), (3, 3)):
        for sequence in range(amount):
            scheduler.submit(session, sequence, "")
    order = []
    while scheduler.can_start:
        entry = start(scheduler)
        order.append(entry.session)
        scheduler.finish(entry, failed=False)
    assert order == [1, 2, 3, 1, 3, 1, 3, 1, 1]


def test_cancelling_what_waits_ends_it_at_once_and_it_never_starts() -> None:
    scheduler: Scheduler[str] = Scheduler()
    first, second = (scheduler.submit(1, sequence, "") for sequence in (1, 2))
    assert scheduler.cancel(first)
    assert first.state is Job.CANCELLED
    assert start(scheduler) is second


def test_cancelling_what_runs_leaves_its_place_taken_until_the_engine_is_done() -> None:
    scheduler: Scheduler[str] = Scheduler()
    running, waiting = (scheduler.submit(1, sequence, "") for sequence in (1, 2))
    start(scheduler)
    assert not scheduler.cancel(running)
    assert scheduler.start() is None
    assert scheduler.finish(running, failed=True) is Job.CANCELLED
    assert start(scheduler) is waiting


def test_dropping_a_session_leaves_the_others_alone() -> None:
    scheduler: Scheduler[str] = Scheduler()
    running = scheduler.submit(1, 1, "")
    start(scheduler)
    queued = [scheduler.submit(session, 2, "") for session in (1, 2)]
    assert scheduler.drop(1) == [running]
    assert [entry.state for entry in (running, *queued)] == [
        Job.CANCELLING,
        Job.CANCELLED,
        Job.QUEUED,
    ]
    assert scheduler.drop(7) == []


def test_a_device_may_come_to_like_fewer_at_once() -> None:
    scheduler: Scheduler[str] = Scheduler(2)
    for sequence in range(3):
        scheduler.submit(1, sequence, "")
    first, second = start(scheduler), start(scheduler)
    scheduler.running_max = 1
    scheduler.finish(first, failed=False)
    assert scheduler.start() is None
    scheduler.finish(second, failed=False)
    assert scheduler.start() is not None
