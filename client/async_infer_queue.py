"""The async infer queue: a pool of requests; each job takes the one that is free the longest.

    FREE --start_async--> STARTING --sent--> RUNNING --ended--> CALLING BACK --> FREE
      ^-----refused----------+

A request is in `_free`, in `_jobs` (STARTING without a ticket, RUNNING with one), or called back.
The link's attendant thread moves it on and wakes who waits; whatever ends a job, the daemon's death
too, brings the request back. A job whose queue is gone ends in silence: it does not keep it alive.
"""

import functools
import operator
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from inferd.client.compiled_model import CompiledModel
from inferd.client.infer_request import InferRequest
from inferd.client.session import Ticket
from inferd.shm.errors import RequestBusy, RequestCancelled, WrongType

Callback = Callable[[InferRequest, Any], Any]


class AsyncInferQueue:
    """A pool of infer requests of one model, for jobs that are started one after the other.

    All members may be used from any thread and, where they need not wait for that very job, from
    callbacks. Dropping the queue waits for jobs that run, and their callbacks are not called.
    """

    def __init__(self, model: CompiledModel, jobs: int = 0) -> None:
        """Make ``jobs`` requests; 0 means as many as the device likes. May raise `WrongType`."""
        if not isinstance(model, CompiledModel):
            raise WrongType(f"a queue is made for a CompiledModel, got {type(model).__name__}")
        count = _whole_number(jobs, "the number of jobs")
        count = count or int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._link = model._handle.connection.link
        self._requests = [model.create_infer_request() for _ in range(count)]
        self._userdata: list[Any] = [None] * count
        self._callback: Callback = lambda request, userdata: None
        self._changed = threading.Condition()  # guards what follows; never held while waiting
        self._free = deque(range(count))
        self._jobs: dict[int, Ticket | None] = {}  # by request, the first started first
        self._errors: dict[int, BaseException] = {}  # by request, the first that ended first

    def start_async(
        self, inputs: Any = None, userdata: Any = None, share_inputs: bool = False
    ) -> None:
        """Wait for a free request, and start a job on it. Inputs are as for `InferRequest.infer`.

        The callback gets ``userdata``. If the last job of the request failed, or its callback did,
        and nobody heard of it, then that error is raised instead, once, and no job starts.

        Raises
        ------
        WrongType, PortNotFound, TensorMismatch
            An input does not fit. The request is free again.
        InferenceFailed, WorkerDied, DaemonDied, or what the callback raised
            How the last job on this request ended, or why this one can't start.
        RequestBusy
            This is a callback, and no request can become free before it returns.
        """
        index = self._take()
        self._userdata[index] = userdata
        try:
            attended = functools.partial(_end_job, weakref.ref(self), index)
            ticket = self._requests[index].start_attended(inputs, share_inputs, attended)
        except BaseException:
            self._give_back(index)
            raise
        with self._changed:
            if ticket.attending_thread is None:  # else the job's end was faster than we are
                self._jobs[index] = ticket
                self._changed.notify_all()

    def wait_all(self) -> None:
        """Wait until no job runs, those that callbacks start included.

        Raises
        ------
        RequestCancelled, InferenceFailed, WorkerDied, DaemonDied, or what a callback raised
            The first that nobody heard of; the others are forgotten. `RequestBusy` in a callback
            of this queue, which would wait for itself.
        """
        with self._changed:
            self._wait_until(lambda: len(self._free) == len(self._requests))
            if self._errors:
                try:
                    raise next(iter(self._errors.values()))
                finally:
                    self._errors.clear()

    def is_ready(self) -> bool:
        """Whether a request is free, so that `start_async` would not wait."""
        return bool(self._free)

    def get_idle_request_id(self) -> int:
        """Wait for a free request as `start_async` does; return its index without taking it."""
        with self._changed:
            self._wait_until(lambda: bool(self._free))
            return self._free[0]

    def set_callback(self, callback: Callback) -> None:
        """Have ``callback(request, userdata)`` called after each job that succeeds.

        It runs on a thread of this library, with the request idle but not yet free. What it raises
        is raised by `wait_all` or `start_async`, and stops no other job. `RequestBusy` is raised
        while a job runs, `WrongType` if the callback can't be called.
        """
        if not callable(callback):
            raise WrongType(f"a callback must be callable, got {type(callback).__name__}")
        with self._changed:
            if len(self._free) < len(self._requests):
                raise RequestBusy("Infer Request is busy: wait_all() before set_callback()")
            self._callback = callback

    @property
    def userdata(self) -> list[Any]:
        """What the last job on each request was given."""
        return list(self._userdata)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[InferRequest]:
        return iter(self._requests)

    def __getitem__(self, index: int) -> InferRequest:
        """Return a request, to read it; jobs are started by `start_async` of the queue."""
        return self._requests[_whole_number(index, "an index")]

    # --- Inside -------------------------------------------------------------------------------

    def _take(self) -> int:
        with self._changed:
            self._wait_until(lambda: bool(self._free))
            index = self._free[0]
            if not isinstance(self._errors.get(index), RequestCancelled | None):
                raise self._errors.pop(index)
            self._errors.pop(index, None)
            self._jobs[index] = None
            return self._free.popleft()

    def _give_back(self, index: int, error: BaseException | None = None) -> None:
        with self._changed:
            self._jobs.pop(index, None)
            if error is not None:
                self._errors[index] = error
            self._free.append(index)
            self._changed.notify_all()

    def _wait_until(self, is_enough: Callable[[], bool]) -> None:
        """Wait for jobs to end. ``_changed`` is held, but not while waiting."""
        while not is_enough():
            self._link.check_fork()
            running = next(filter(None, self._jobs.values()), None)
            if self._link.is_attendant and not self._jobs:
                raise RequestBusy("Infer Request is busy: a callback can't wait for its own job")
            if self._link.is_attendant and running is not None:
                self._attend(running)  # nobody else would
            else:
                self._changed.wait()

    def _attend(self, ticket: Ticket) -> None:
        self._changed.release()
        try:
            self._link.wait(ticket)
        finally:
            self._changed.acquire()


def _end_job(reference: "weakref.ref[AsyncInferQueue]", index: int, _: Ticket) -> None:
    """On the attendant thread: call back, and give the request back."""
    queue = reference()
    if queue is not None:
        with queue._changed:
            queue._jobs.pop(index, None)
        job = queue._callback, queue._requests[index], queue._userdata[index]
        queue._give_back(index, _call_back(*job))
        del queue  # a traceback from the callback keeps what is here alive


def _call_back(callback: Callback, request: InferRequest, userdata: Any) -> BaseException | None:
    """Return how the job or its callback failed."""
    try:
        request.wait()
        callback(request, userdata)
    except BaseException as why:  # a program's callback may raise anything
        return why
    return None


def _whole_number(value: Any, what: str) -> int:
    if not hasattr(value, "__index__") or operator.index(value) < 0:
        raise WrongType(f"{what} is a whole number from 0, got {value!r}")
    return operator.index(value)
