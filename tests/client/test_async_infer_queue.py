"""AsyncInferQueue after failures, inside callbacks and at the end: where OpenVINO's own crashes,
hangs or goes on reporting what is over. What both do is in `tests/conformance`."""

import contextlib
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import programs
import pytest
from daemons import DEADLINE_S, Daemon, wait_until
from numpy.typing import NDArray

import inferd.client as ov
from inferd.shm import errors

SLOW_SIZE: Final = 1024


@pytest.fixture(scope="module")
def core(shared_daemon: Daemon) -> ov.Core:
    return ov.Core()


@pytest.fixture(scope="module")
def relu(core: ov.Core) -> ov.CompiledModel:
    return core.compile_model(models.relu((1, 4)), "CPU")


@pytest.fixture(scope="module")
def slow(core: ov.Core) -> ov.CompiledModel:
    """Takes long enough for a caller to meddle with it."""
    return core.compile_model(models.slow(SLOW_SIZE, layers=60), "CPU")


@pytest.fixture(scope="module")
def may_fail(core: ov.Core) -> ov.CompiledModel:
    return core.compile_model(models.sum_of_reshaped(), "CPU")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a callback waits for; opened at the end, so that no test waits for ever."""
    gate = threading.Event()
    yield gate
    gate.set()


def row(value: float) -> NDArray[np.float32]:
    return np.full((1, 4), value, np.float32)


def reshaped(*target: int) -> list[NDArray[Any]]:
    """Inputs of `may_fail`: any other target than one of four numbers makes the job fail."""
    return [row(1), np.array(target)]


def record(queue: ov.AsyncInferQueue) -> list[Any]:
    """What userdata the callback is called with, in order."""
    seen: list[Any] = []
    queue.set_callback(lambda request, userdata: seen.append(userdata))
    return seen


def works(queue: ov.AsyncInferQueue, *inputs: Any) -> bool:
    """Whether three rounds of jobs go through, on all requests."""
    seen = record(queue)
    numbers = list(range(3 * len(queue)))
    for number in numbers:
        queue.start_async(list(inputs) or row(number), number)
    queue.wait_all()
    return sorted(seen) == numbers and queue.is_ready()


def raise_once(error: BaseException) -> Callable[[Any, Any], None]:
    """Return a callback that raises at its first call."""
    waiting = [error]

    def callback(request: Any, userdata: Any) -> None:
        if waiting:
            raise waiting.pop()

    return callback


class Odd(Exception):
    """An error that no library knows."""


# After a failure


@pytest.mark.parametrize("error", [Odd("odd"), SystemExit(3)], ids=["exception", "exit"])
def test_an_error_in_a_callback_is_raised_once(
    relu: ov.CompiledModel, error: BaseException
) -> None:
    queue = ov.AsyncInferQueue(relu, 2)
    queue.set_callback(raise_once(error))
    queue.start_async(row(1))
    with pytest.raises(type(error)) as raised:
        queue.wait_all()
    assert raised.value is error
    queue.wait_all()
    assert works(queue)


def test_an_error_in_a_callback_refuses_one_start_and_not_the_next(relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(relu, 1)
    queue.set_callback(raise_once(Odd()))
    queue.start_async(row(1))
    with pytest.raises(Odd):
        queue.start_async(row(2), "refused")
    queue.start_async(row(3), "started")
    queue.wait_all()
    assert queue.userdata == ["started"]
    assert works(queue)


def test_of_many_errors_the_first_is_raised_and_the_others_are_forgotten(
    relu: ov.CompiledModel, gate: threading.Event
) -> None:
    queue = ov.AsyncInferQueue(relu, 3)

    def callback(request: Any, userdata: int) -> None:
        gate.wait(DEADLINE_S)
        called.append(userdata)
        raise Odd(userdata)

    called: list[int] = []
    queue.set_callback(callback)
    for number in range(3):
        queue.start_async(row(number), number)
    gate.set()
    with pytest.raises(Odd) as raised:
        queue.wait_all()
    assert sorted(called) == [0, 1, 2]
    assert raised.value.args == (called[0],)
    queue.wait_all()
    assert works(queue)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_tensor_of_a_wrong_type_gives_the_request_back(relu: ov.CompiledModel, jobs: int) -> None:
    queue = ov.AsyncInferQueue(relu, jobs)
    for _ in range(3 * jobs):
        with pytest.raises(errors.TensorMismatch):
            queue.start_async(ov.Tensor(row(1).astype(np.int64)))
        assert queue.is_ready()
        assert queue.get_idle_request_id() in range(jobs)
    queue.wait_all()
    assert works(queue)


def test_a_busy_request_is_given_back(slow: ov.CompiledModel, relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(slow, 1)
    queue[0].start_async()  # a queue's requests are for reading, but nobody is stopped
    with pytest.raises(errors.RequestBusy):
        queue.start_async()
    queue[0].wait()
    assert queue.is_ready()
    queue.start_async()
    queue.wait_all()


def test_a_cancelled_job_is_told_once_and_its_request_starts_again(slow: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(slow, 1)
    queue.start_async(userdata="cancelled")
    queue[0].cancel()
    with pytest.raises(errors.RequestCancelled):
        queue.wait_all()
    queue.wait_all()
    seen = record(queue)
    queue.start_async(userdata="next")
    queue.wait_all()
    assert seen == ["next"]


def test_a_cancelled_job_does_not_refuse_the_next(slow: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(slow, 1)
    seen = record(queue)
    for number in range(5):
        queue.start_async(userdata=number)
        queue[0].cancel()
    queue.start_async(userdata="last")
    queue.wait_all()
    assert seen == ["last"]


def test_a_failed_job_is_told_once_when_waiting(may_fail: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(may_fail, 2)
    queue.start_async(reshaped(3, 3))
    with pytest.raises(errors.InferenceFailed):
        queue.wait_all()
    queue.wait_all()
    assert works(queue, *reshaped(2, 2))


def test_a_failed_job_is_told_once_when_its_request_is_used_again(
    may_fail: ov.CompiledModel,
) -> None:
    queue = ov.AsyncInferQueue(may_fail, 1)
    queue.start_async(reshaped(3, 3))
    with pytest.raises(errors.InferenceFailed):
        queue.start_async(reshaped(2, 2))
    assert works(queue, *reshaped(2, 2))


def test_an_index_past_the_end_is_an_error(relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(relu, 2)
    with pytest.raises(IndexError):
        queue[2]


# Callbacks that use queues


def test_a_callback_starts_another_job_if_a_request_is_free(relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(relu, 2)
    seen: list[int] = []

    def callback(request: ov.InferRequest, userdata: int) -> None:
        seen.append(userdata)
        if userdata < 20:
            queue.start_async(request.get_output_tensor().data + 1, userdata + 1)

    queue.set_callback(callback)
    queue.start_async(row(0), 0)
    queue.wait_all()  # for the jobs that callbacks start, too
    assert seen == list(range(21))
    assert max(float(request.get_output_tensor().data[0, 0]) for request in queue) == 20


@pytest.mark.parametrize("use", ["start_async", "get_idle_request_id", "wait_all"])
def test_a_callback_that_would_wait_for_itself_is_refused(relu: ov.CompiledModel, use: str) -> None:
    queue = ov.AsyncInferQueue(relu, 1)
    queue.set_callback(lambda request, userdata: getattr(queue, use)())
    queue.start_async(row(1))
    with pytest.raises(errors.RequestBusy, match="its own job"):
        queue.wait_all()
    assert works(queue)


def test_a_callback_waits_for_the_other_jobs_of_its_queue(
    relu: ov.CompiledModel, gate: threading.Event
) -> None:
    queue = ov.AsyncInferQueue(relu, 2)
    seen: list[str] = []

    def callback(request: Any, userdata: str) -> None:
        gate.wait(DEADLINE_S)  # both requests are taken
        if not seen:
            seen.append("waits")
            queue.start_async(row(3), "third")
        seen.append(userdata)

    queue.set_callback(callback)
    queue.start_async(row(1), "first")
    queue.start_async(row(2), "second")
    gate.set()
    queue.wait_all()
    assert sorted(seen) == ["first", "second", "third", "waits"]


def test_many_callbacks_of_one_queue_share_a_request_of_another(relu: ov.CompiledModel) -> None:
    many, one = ov.AsyncInferQueue(relu, 40), ov.AsyncInferQueue(relu, 1)
    seen = record(one)
    many.set_callback(lambda request, userdata: one.start_async(row(1), userdata))
    for number in range(400):
        many.start_async(row(1), number)
    many.wait_all()
    one.wait_all()
    assert sorted(seen) == list(range(400))


def test_threads_share_a_queue(relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(relu, 3)
    seen: list[tuple[int, float]] = []
    queue.set_callback(
        lambda request, userdata: seen.append((userdata, float(request.results[0][0, 0])))
    )

    def start(first: int) -> None:
        for number in range(first, first + 100):
            queue.start_async(row(number), number)
        queue.wait_all()

    threads = [threading.Thread(target=start, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(seen) == [(number, number) for number in range(400)]


def test_threads_and_callbacks_share_a_queue(relu: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(relu, 2)
    seen: list[int] = []
    refused: list[int] = []

    def callback(request: Any, userdata: int) -> None:
        seen.append(userdata)
        try:
            if userdata < 100:
                queue.start_async(row(1), userdata + 100)
        except errors.RequestBusy:
            refused.append(userdata + 100)

    queue.set_callback(callback)

    def start(first: int) -> None:
        for number in range(first, first + 50):
            queue.start_async(row(1), number)

    threads = [threading.Thread(target=start, args=(first,)) for first in (0, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    queue.wait_all()
    assert sorted(seen + refused) == list(range(200))


# The end


def fail(queue: ov.AsyncInferQueue) -> None:
    """Let a callback fail, and wait until it has."""
    queue.set_callback(raise_once(Odd()))
    queue.start_async(row(1))
    wait_until(lambda: not queue._jobs and len(queue._free) == len(queue))


@pytest.mark.parametrize("use", ["nothing", "start_async", "wait_all"])
def test_a_queue_is_gone_with_its_last_reference(relu: ov.CompiledModel, use: str) -> None:
    gc.disable()
    try:
        queue = ov.AsyncInferQueue(relu, 1)
        fail(queue)
        with contextlib.suppress(Odd):
            getattr(queue, use, queue.is_ready)()
        reference = weakref.ref(queue)
        del queue
        wait_until(lambda: reference() is None, "the end of the queue")
    finally:
        gc.enable()


def test_a_dropped_queue_waits_for_its_jobs_and_calls_nobody(slow: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(slow, 2)
    seen = record(queue)
    output = ov.Tensor(np.zeros((SLOW_SIZE, SLOW_SIZE), np.float32), shared_memory=True)
    queue[0].set_output_tensor(output)
    queue.start_async(np.ones((SLOW_SIZE, SLOW_SIZE), np.float32), 1)
    queue.start_async(userdata=2)
    del queue
    before = output.data.copy()
    slow.create_infer_request().infer()
    assert np.array_equal(output.data, before)  # nobody writes any more
    assert seen == []


def test_a_request_outlives_its_queue_with_a_running_job(slow: ov.CompiledModel) -> None:
    queue = ov.AsyncInferQueue(slow, 1)
    seen = record(queue)
    queue.start_async(np.zeros((SLOW_SIZE, SLOW_SIZE), np.float32))
    request = queue[0]
    del queue
    request.wait()
    assert not request.get_output_tensor().data.any()
    assert seen == []


def test_a_queue_may_be_dropped_in_its_callback(relu: ov.CompiledModel) -> None:
    queues = [ov.AsyncInferQueue(relu, 2)]
    reference = weakref.ref(queues[0])
    queues[0].set_callback(lambda request, userdata: queues.clear())
    queues[0].start_async(row(1))
    wait_until(lambda: reference() is None, "the end of the queue")
    assert works(ov.AsyncInferQueue(relu, 2))


def test_a_program_may_end_with_running_jobs(shared_daemon: Daemon, tmp_path: Path) -> None:
    path = programs.write_model(tmp_path, models.slow(SLOW_SIZE, layers=200))
    program = """
        queue = ov.AsyncInferQueue(ov.Core().compile_model(sys.argv[1], "CPU"), 2)
        queue.set_callback(lambda request, userdata: queue.start_async())
        queue.start_async()
        queue.start_async()
        print("ends")
    """
    assert programs.run(program, path) == "ends"


def test_a_forked_process_does_not_wait_for_its_parents_jobs(
    shared_daemon: Daemon, tmp_path: Path
) -> None:
    path = programs.write_model(tmp_path, models.slow(SLOW_SIZE, layers=60))
    program = """
        queue = ov.AsyncInferQueue(ov.Core().compile_model(sys.argv[1], "CPU"), 1)
        queue.start_async()
        if os.fork() == 0:
            for wait in (queue.wait_all, queue.start_async, queue.get_idle_request_id):
                try:
                    wait()
                except RuntimeError as error:
                    print(type(error).__name__, flush=True)
            os._exit(0)
        os.wait()
        queue.wait_all()
    """
    assert programs.run(program, path).split() == ["SessionForked"] * 3


@pytest.mark.parametrize("use", ["start_async", "wait_all"])
def test_who_waits_hears_of_the_daemons_death(daemon: Daemon, use: str) -> None:
    model = ov.Core().compile_model(models.slow(SLOW_SIZE, layers=200), "CPU")
    queue = ov.AsyncInferQueue(model, 1)
    seen = record(queue)
    queue.start_async()
    kill = threading.Timer(0.05, daemon.process.kill)
    kill.start()
    with pytest.raises(errors.DaemonDied):
        getattr(queue, use)()
    kill.join()
    with pytest.raises(errors.DaemonDied):
        queue.start_async()
    queue.wait_all()
    assert queue.is_ready()
    assert seen == []


def test_who_waits_hears_of_the_workers_death(daemon: Daemon) -> None:
    model = ov.Core().compile_model(models.slow(SLOW_SIZE, layers=200), "CPU")
    queue = ov.AsyncInferQueue(model, 2)
    queue.start_async()
    queue.start_async()
    os.kill(daemon.worker_pid(), signal.SIGKILL)
    with pytest.raises(errors.WorkerDied):
        queue.wait_all()
    with pytest.raises(errors.WorkerDied):
        queue.start_async()
