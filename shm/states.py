"""The state machines, as tables: everything that decides what may follow what lives here.

A missing row is a bug of ours, and `step` says so. Nothing in this file knows a process or a clock.
"""

import enum
from collections.abc import Mapping
from typing import Final, TypeVar

State = TypeVar("State", bound=enum.Enum)
Event = TypeVar("Event", bound=enum.Enum)


class IllegalTransition(AssertionError):
    """Our own code stepped a machine in a way that its table does not know."""


def step(table: Mapping[tuple[State, Event], State], state: State, event: Event) -> State:
    """Return the state that follows."""
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(f"{state} does not know {event}") from None


class _Word(enum.Enum):
    """A state or an event: there is one object of each, so its identity will do as its hash."""

    __hash__ = object.__hash__


class Job(_Word):
    """One submission, in the worker. It ends exactly once, in one of the last three states."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobEvent(_Word):
    START = "start"
    CANCEL = "cancel"
    FINISH = "finish"
    FAIL = "fail"


# Cancelling a running job asks the engine to stop; what the engine then says is ignored.
JOB: Final[Mapping[tuple[Job, JobEvent], Job]] = {
    (Job.QUEUED, JobEvent.START): Job.RUNNING,
    (Job.QUEUED, JobEvent.CANCEL): Job.CANCELLED,
    (Job.QUEUED, JobEvent.FAIL): Job.FAILED,
    (Job.RUNNING, JobEvent.FINISH): Job.DONE,
    (Job.RUNNING, JobEvent.FAIL): Job.FAILED,
    (Job.RUNNING, JobEvent.CANCEL): Job.CANCELLING,
    (Job.CANCELLING, JobEvent.CANCEL): Job.CANCELLING,
    (Job.CANCELLING, JobEvent.FINISH): Job.CANCELLED,
    (Job.CANCELLING, JobEvent.FAIL): Job.CANCELLED,
}


class Worker(_Word):
    """One device's worker, in the supervisor."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    LOST = "lost"


class WorkerEvent(_Word):
    SPEAK_READY = "speak ready"
    DRAIN = "drain"
    DIE = "die"
    SPAWN = "spawn"


WORKER: Final[Mapping[tuple[Worker, WorkerEvent], Worker]] = {
    (Worker.STARTING, WorkerEvent.SPEAK_READY): Worker.READY,
    (Worker.STARTING, WorkerEvent.DRAIN): Worker.DRAINING,
    (Worker.STARTING, WorkerEvent.DIE): Worker.LOST,
    (Worker.READY, WorkerEvent.DRAIN): Worker.DRAINING,
    (Worker.READY, WorkerEvent.DIE): Worker.LOST,
    (Worker.DRAINING, WorkerEvent.SPEAK_READY): Worker.DRAINING,
    (Worker.DRAINING, WorkerEvent.DIE): Worker.LOST,
    (Worker.LOST, WorkerEvent.SPAWN): Worker.STARTING,
}


class Model(_Word):
    """One compiled model, in the worker."""

    COMPILING = "compiling"
    READY = "ready"
    FAILED = "failed"


class ModelEvent(_Word):
    COMPILED = "compiled"
    FAIL = "fail"


MODEL: Final[Mapping[tuple[Model, ModelEvent], Model]] = {
    (Model.COMPILING, ModelEvent.COMPILED): Model.READY,
    (Model.COMPILING, ModelEvent.FAIL): Model.FAILED,
}


class Request(_Word):
    """One infer request, in the client. Its tensors may be touched only while it is idle."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


class RequestEvent(_Word):
    START = "start"
    CANCEL = "cancel"
    END = "end"


REQUEST: Final[Mapping[tuple[Request, RequestEvent], Request]] = {
    (Request.IDLE, RequestEvent.START): Request.RUNNING,
    (Request.IDLE, RequestEvent.CANCEL): Request.IDLE,
    (Request.RUNNING, RequestEvent.CANCEL): Request.CANCELLING,
    (Request.RUNNING, RequestEvent.END): Request.IDLE,
    (Request.CANCELLING, RequestEvent.CANCEL): Request.CANCELLING,
    (Request.CANCELLING, RequestEvent.END): Request.IDLE,
}
