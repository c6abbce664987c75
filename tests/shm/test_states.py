"""The state machines: every state can be reached, and only the last ones are left for nothing."""

import enum
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from inferd.shm.states import (
    JOB,
    MODEL,
    REQUEST,
    WORKER,
    IllegalTransition,
    Job,
    JobEvent,
    Model,
    ModelEvent,
    Request,
    RequestEvent,
    Worker,
    WorkerEvent,
    step,
)

Table = Mapping[tuple[Any, Any], Any]
Kind = type[enum.Enum]

# A table, its states and events, where it begins, and the states that nothing follows.
MACHINES: dict[str, tuple[Table, Kind, Kind, enum.Enum, set[enum.Enum]]] = {
    "job": (JOB, Job, JobEvent, Job.QUEUED, {Job.DONE, Job.FAILED, Job.CANCELLED}),
    "worker": (WORKER, Worker, WorkerEvent, Worker.LOST, set()),
    "model": (MODEL, Model, ModelEvent, Model.COMPILING, {Model.READY, Model.FAILED}),
    "request": (REQUEST, Request, RequestEvent, Request.IDLE, set()),
}

machines = pytest.mark.parametrize("name", MACHINES)


@machines
def test_every_state_is_reachable(name: str) -> None:
    table, states, _, first, _ = MACHINES[name]
    reached = {first}
    for _ in states:
        reached |= {after for (before, _), after in table.items() if before in reached}
    assert reached == set(states)


@machines
def test_only_the_last_states_have_no_next_one(name: str) -> None:
    table, states, _, _, last = MACHINES[name]
    assert set(states) - {before for before, _ in table} == last


@machines
def test_every_state_that_is_not_last_leads_to_the_last_ones(name: str) -> None:
    table, states, _, _, last = MACHINES[name]
    ending = set(last)
    for _ in states:
        ending |= {before for (before, _), after in table.items() if after in ending}
    assert ending == (set(states) if last else set())


@machines
def test_every_event_is_known_to_some_state(name: str) -> None:
    table, _, events, _, _ = MACHINES[name]
    assert {event for _, event in table} == set(events)


@machines
def test_a_step_is_a_row_and_a_missing_row_is_a_bug_of_ours(name: str) -> None:
    table, states, events, _, _ = MACHINES[name]
    for state, event in itertools.product(states, events):
        if (state, event) in table:
            assert step(table, state, event) is table[state, event]
        else:
            with pytest.raises(IllegalTransition, match=f"{state} does not know {event}"):
                step(table, state, event)


@pytest.mark.parametrize("event", JobEvent)
@pytest.mark.parametrize("state", [Job.DONE, Job.FAILED, Job.CANCELLED])
def test_a_job_ends_once(state: Job, event: JobEvent) -> None:
    assert (state, event) not in JOB


def test_a_cancelled_job_never_counts_as_done_or_failed() -> None:
    for event in (JobEvent.FINISH, JobEvent.FAIL):
        assert step(JOB, step(JOB, Job.RUNNING, JobEvent.CANCEL), event) is Job.CANCELLED


@pytest.mark.parametrize("state", [Worker.STARTING, Worker.READY, Worker.DRAINING])
def test_a_worker_may_die_at_any_time(state: Worker) -> None:
    assert step(WORKER, state, WorkerEvent.DIE) is Worker.LOST
