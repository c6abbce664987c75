"""AsyncInferQueue: a pool of requests, each job taking the next that is free.

Left out, because OpenVINO crashes, hangs or answers garbage there: using a queue after it has
reported a failure, starting jobs of one queue in several threads, a tensor of a wrong type, a
handle that outlives a queue with running jobs, and an index past the end.
"""

import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Load = Callable[[bytes], Any]
MakeQueue = Callable[[Any, int], Any]

DEADLINE_S: Final = 30
SLOW_SIZE: Final = 1024


@pytest.fixture(scope="module")
def load(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Compile a model for the CPU, once.

    OpenVINO's threads want the interpreter's lock once more after a callback has returned, and
    hang if their model is dropped then: it is kept until they are idle.
    """
    core = ov.Core()
    folder = tmp_path_factory.mktemp("models")

    @functools.cache
    def load(model: bytes) -> Any:
        path = folder / f"{hash(model)}.onnx"
        path.write_bytes(model)
        loaded.append(core.compile_model(path, "CPU"))
        return loaded[-1]

    loaded: list[Any] = []
    yield load
    for model in loaded:
        request = model.create_infer_request()
        request.start_async()
        request.wait()


@pytest.fixture(scope="module")
def make_queue(ov: Any, load: Load) -> MakeQueue:
    """Make a queue, kept until the threads that call back are idle, for the same reason."""
    kept = []

    def make_queue(model: Any, jobs: int) -> Any:
        kept.append(ov.AsyncInferQueue(model, jobs))
        return kept[-1]

    return make_queue


@pytest.fixture(scope="module")
def relu(load: Load) -> Any:
    return load(models.relu((1, 4)))


@pytest.fixture(scope="module")
def add(load: Load) -> Any:
    return load(models.add((1, 4)))


@pytest.fixture(scope="module")
def slow(load: Load) -> Any:
    """Takes long enough for a caller to meddle with it."""
    return load(models.slow(SLOW_SIZE, layers=60))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a callback waits for; opened at the end, so that no test waits for ever."""
    gate = threading.Event()
    yield gate
    gate.set()


def row(value: float) -> Array:
    return np.full((1, 4), value, np.float32)


def slow_input(value: float = 0) -> Array:
    return np.full((SLOW_SIZE, SLOW_SIZE), value, np.float32)


def outputs(queue: Any) -> list[Any]:
    """The first number of each request's output."""
    return [float(request.get_output_tensor().data.flat[0]) for request in queue]


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` comes true before the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def hold(queue: Any, gate: threading.Event) -> threading.Event:
    """Let every job of the queue wait for ``gate`` in its callback; answers when one does."""
    entered = threading.Event()

    def callback(request: Any, userdata: Any) -> None:
        entered.set()
        gate.wait(DEADLINE_S)

    queue.set_callback(callback)
    return entered


def record(queue: Any) -> list[Any]:
    """What userdata the callback is called with, in order."""
    seen: list[Any] = []
    queue.set_callback(lambda request, userdata: seen.append(userdata))
    return seen


# Its size


@pytest.mark.parametrize("jobs", [1, 2, 5, np.int64(3)])
def test_a_queue_has_as_many_requests_as_jobs(ov: Any, relu: Any, jobs: int) -> None:
    queue = ov.AsyncInferQueue(relu, jobs)
    assert len(queue) == len(list(queue)) == len(queue.userdata) == jobs


@pytest.mark.parametrize("arguments", [(), (0,)])
def test_a_queue_takes_the_optimal_size_by_default(ov: Any, relu: Any, arguments: Any) -> None:
    optimal = relu.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    assert len(ov.AsyncInferQueue(relu, *arguments)) == optimal


def test_the_arguments_of_a_queue_have_names(ov: Any, relu: Any) -> None:
    assert len(ov.AsyncInferQueue(model=relu, jobs=2)) == 2


@pytest.mark.parametrize("jobs", [-1, 1.5, "2", None])
def test_a_queue_has_a_whole_positive_number_of_jobs(ov: Any, relu: Any, jobs: object) -> None:
    with pytest.raises(TypeError):
        ov.AsyncInferQueue(relu, jobs)


@pytest.mark.parametrize("model", [None, "model.onnx", 3])
def test_a_queue_is_for_a_compiled_model(ov: Any, model: object) -> None:
    with pytest.raises(TypeError):
        ov.AsyncInferQueue(model, 1)


def test_a_queue_needs_its_model_and_not_more(ov: Any, relu: Any) -> None:
    with pytest.raises(TypeError):
        ov.AsyncInferQueue()
    with pytest.raises(TypeError):
        ov.AsyncInferQueue(relu, 1, 2)


# Its requests


def test_requests_are_read_by_index_and_by_iteration(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 3)
    for value in (1, 2, 3):
        queue.start_async(row(value))
    queue.wait_all()
    assert outputs(queue) == [1, 2, 3]
    assert [float(queue[index].results[0][0, 0]) for index in range(3)] == [1, 2, 3]


def test_a_request_of_a_queue_is_an_infer_request(
    ov: Any, make_queue: MakeQueue, relu: Any
) -> None:
    queue = make_queue(relu, 1)
    queue.start_async(row(5))
    queue.wait_all()
    request = queue[0]
    assert isinstance(request, ov.InferRequest)
    assert request.get_input_tensor().data.tolist() == row(5).tolist()
    assert request.get_tensor("y").data.tolist() == row(5).tolist()
    assert request.model_outputs == relu.outputs
    assert request.userdata is None
    assert request.latency > 0


@pytest.mark.parametrize("index", [-1, "0", 0.0, slice(0, 1), None])
def test_requests_are_counted_from_zero(make_queue: MakeQueue, relu: Any, index: object) -> None:
    queue = make_queue(relu, 2)
    with pytest.raises(TypeError):
        queue[index]


def test_a_handle_outlives_its_idle_queue(ov: Any, relu: Any) -> None:
    queue = ov.AsyncInferQueue(relu, 1)
    queue.start_async(row(5))
    queue.wait_all()
    request = queue[0]
    del queue
    gc.collect()
    assert request.get_output_tensor().data.tolist() == row(5).tolist()


def test_a_queue_outlives_its_model(ov: Any, core: Any, tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(models.relu((1, 4)))
    queue = ov.AsyncInferQueue(core.compile_model(path, "CPU"), 2)
    gc.collect()
    queue.start_async(row(5))
    queue.wait_all()
    assert outputs(queue)[0] == 5


def test_a_queue_can_be_weakly_referenced(ov: Any, relu: Any) -> None:
    queue = ov.AsyncInferQueue(relu, 1)
    reference = weakref.ref(queue)
    assert reference() is queue
    del queue
    gc.collect()
    assert reference() is None


# Starting jobs

INPUTS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "array": lambda ov, model: row(7),
    "list": lambda ov, model: [row(7)],
    "tuple": lambda ov, model: (row(7),),
    "by index": lambda ov, model: {0: row(7)},
    "by name": lambda ov, model: {"x": row(7)},
    "by port": lambda ov, model: {model.input(0): row(7)},
    "tensor": lambda ov, model: ov.Tensor(row(7)),
    "tensor by name": lambda ov, model: {"x": ov.Tensor(row(7))},
    "tensor in a list": lambda ov, model: [ov.Tensor(row(7))],
    "other type": lambda ov, model: row(7).astype(np.int64),
}


@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS.keys())
def test_a_job_takes_what_infer_takes(
    ov: Any, make_queue: MakeQueue, relu: Any, make: Callable[[Any, Any], Any], share: bool
) -> None:
    queue = make_queue(relu, 1)
    inputs = make(ov, relu)
    queue.start_async(inputs, share_inputs=share)
    queue.wait_all()
    assert queue[0].get_output_tensor().data.tolist() == row(7).tolist()


def test_the_arguments_of_a_job_have_names_and_an_order(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    seen = record(queue)
    queue.start_async(inputs=row(1), userdata="named", share_inputs=False)
    queue.start_async(row(1), "in order", True)
    queue.wait_all()
    assert seen == ["named", "in order"]


def test_a_job_takes_no_other_arguments(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    with pytest.raises(TypeError):
        queue.start_async(row(1), None, False, None)
    with pytest.raises(TypeError):
        queue.start_async(row(1), shared_memory=True)


def test_inputs_left_out_keep_their_value(make_queue: MakeQueue, add: Any) -> None:
    queue = make_queue(add, 1)
    queue.start_async([row(1), row(2)])
    queue.wait_all()
    queue.start_async({"b": row(10)})
    queue.wait_all()
    assert outputs(queue) == [11]
    queue.start_async()
    queue.wait_all()
    assert outputs(queue) == [11]


def test_inputs_are_copied_before_start_async_returns(make_queue: MakeQueue, slow: Any) -> None:
    queue = make_queue(slow, 1)
    array = slow_input(0)
    queue.start_async(array)
    array[:] = 1
    queue.wait_all()
    assert outputs(queue) == [0]
    assert not np.shares_memory(queue[0].get_input_tensor().data, array)


def test_shared_inputs_are_the_memory_of_the_request(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    array = row(3)
    queue.start_async(array, share_inputs=True)
    queue.wait_all()
    assert np.shares_memory(queue[0].get_input_tensor().data, array)


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"nope": row(1)}, RuntimeError),
        ({7: row(1)}, RuntimeError),
        ([row(1), row(1)], RuntimeError),
        ({1.5: row(1)}, TypeError),
        ({1, 2}, TypeError),
        (object(), TypeError),
    ],
    ids=["name", "index", "too many", "key", "set", "object"],
)
def test_refused_inputs_leave_the_queue_usable(
    make_queue: MakeQueue, relu: Any, inputs: Any, error: type[Exception]
) -> None:
    queue = make_queue(relu, 2)
    for _ in range(3):
        with pytest.raises(error):
            queue.start_async(inputs)
    assert queue.is_ready()
    for value in range(5):
        queue.start_async(row(value), value)
    queue.wait_all()
    assert sorted(queue.userdata) == [3, 4]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_job_is_done_once(make_queue: MakeQueue, relu: Any, jobs: int) -> None:
    queue = make_queue(relu, jobs)
    seen: list[tuple[int, float]] = []
    queue.set_callback(
        lambda request, userdata: seen.append(
            (userdata, float(request.get_output_tensor().data[0, 0]))
        )
    )
    for number in range(50):
        queue.start_async(row(number), number)
    queue.wait_all()
    assert sorted(seen) == [(number, number) for number in range(50)]


# Free requests


def test_a_new_queue_is_ready(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 2)
    assert queue.is_ready()
    assert queue.get_idle_request_id() == 0


def test_free_requests_are_taken_in_turn(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 3)
    taken = []
    for _ in range(6):
        taken.append(queue.get_idle_request_id())
        queue.start_async(row(1))
        queue.wait_all()
    assert taken == [0, 1, 2, 0, 1, 2]


def test_asking_for_a_free_request_does_not_take_it(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 2)
    assert [queue.get_idle_request_id() for _ in range(5)] == [0] * 5
    assert queue.is_ready()


def test_a_queue_is_ready_while_one_request_is_free(
    make_queue: MakeQueue, relu: Any, gate: threading.Event
) -> None:
    queue = make_queue(relu, 2)
    hold(queue, gate)
    queue.start_async(row(1))
    assert queue.is_ready()
    assert queue.get_idle_request_id() == 1
    queue.start_async(row(1))
    assert not queue.is_ready()
    gate.set()
    queue.wait_all()
    assert queue.is_ready()


def test_a_request_is_not_free_during_its_callback(
    make_queue: MakeQueue, relu: Any, gate: threading.Event
) -> None:
    queue = make_queue(relu, 1)
    entered = hold(queue, gate)
    queue.start_async(row(1))
    assert entered.wait(DEADLINE_S)
    assert not queue.is_ready()


def test_asking_for_a_free_request_waits_for_one(
    make_queue: MakeQueue, relu: Any, gate: threading.Event
) -> None:
    queue = make_queue(relu, 1)
    entered = hold(queue, gate)
    queue.start_async(row(1))
    assert entered.wait(DEADLINE_S)
    answers: list[tuple[int, bool]] = []

    def ask() -> None:
        answers.append((queue.get_idle_request_id(), gate.is_set()))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.05)
    gate.set()
    asking.join(DEADLINE_S)
    assert answers == [(0, True)]
    queue.wait_all()


def test_a_job_waits_for_a_free_request(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    seen = record(queue)
    for number in range(20):
        queue.start_async(row(number), number)
        assert seen[:number] == list(range(number))
    queue.wait_all()
    assert seen == list(range(20))


def test_a_running_request_of_a_queue_is_busy(make_queue: MakeQueue, slow: Any) -> None:
    queue = make_queue(slow, 1)
    queue.start_async(slow_input())
    with pytest.raises(RuntimeError, match="busy"):
        queue[0].get_output_tensor()
    queue.wait_all()
    assert queue[0].get_output_tensor().shape == [SLOW_SIZE, SLOW_SIZE]


# wait_all


def test_waiting_for_nothing_returns(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 2)
    queue.wait_all()
    queue.start_async(row(1))
    queue.wait_all()
    queue.wait_all()
    assert queue.is_ready()


def test_waiting_for_all_waits_for_the_callbacks_too(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 3)
    seen: list[int] = []

    def callback(request: Any, userdata: int) -> None:
        time.sleep(0.02)
        seen.append(userdata)

    queue.set_callback(callback)
    for number in range(3):
        queue.start_async(row(number), number)
    queue.wait_all()
    assert sorted(seen) == [0, 1, 2]


def test_many_threads_may_wait(make_queue: MakeQueue, relu: Any, gate: threading.Event) -> None:
    queue = make_queue(relu, 2)
    hold(queue, gate)
    queue.start_async(row(1))
    queue.start_async(row(2))
    open_when_back: list[bool] = []

    def wait() -> None:
        queue.wait_all()
        open_when_back.append(gate.is_set())

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    waiting[0].join(0.05)
    gate.set()
    for thread in waiting:
        thread.join(DEADLINE_S)
    assert open_when_back == [True] * 3


# Callbacks and userdata


def test_a_callback_gets_the_request_and_the_userdata(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    thing = object()
    seen: list[Any] = []

    def callback(request: Any, userdata: Any) -> None:
        seen.append(
            (request.get_output_tensor().data.tolist(), request.get_tensor("x").data.tolist())
        )
        seen.append(userdata)

    queue.set_callback(callback)
    queue.start_async(row(4), thing)
    queue.wait_all()
    assert seen == [(row(4).tolist(), row(4).tolist()), thing]


def test_a_callback_reads_results_by_port(make_queue: MakeQueue, load: Load) -> None:
    model = load(models.two_outputs((1, 4)))
    queue = make_queue(model, 1)
    seen: list[dict[str, Any]] = []
    queue.set_callback(
        lambda request, userdata: seen.append(
            {port.any_name: request.results[port].tolist() for port in request.model_outputs}
        )
    )
    queue.start_async(row(3))
    queue.wait_all()
    assert seen == [{"positive": row(3).tolist(), "negated": row(-3).tolist()}]


def test_a_callback_gets_none_when_there_is_no_userdata(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    seen = record(queue)
    queue.start_async(row(1), "something")
    queue.start_async(row(1))
    queue.wait_all()
    assert seen == ["something", None]


def test_userdata_belongs_to_the_request_that_ran_the_job(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 3)
    assert queue.userdata == [None, None, None]
    for name in "abcd":
        queue.start_async(row(1), name)
        queue.wait_all()
    assert queue.userdata == ["d", "b", "c"]
    queue.start_async(row(1))
    queue.wait_all()
    assert queue.userdata == ["d", None, "c"]


def test_userdata_needs_no_callback(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    thing = object()
    queue.start_async(row(1), thing)
    queue.wait_all()
    assert queue.userdata[0] is thing


def test_a_callback_replaces_the_one_before(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 2)
    first = record(queue)
    queue.start_async(row(1), 1)
    queue.wait_all()
    second = record(queue)
    queue.start_async(row(1), 2)
    queue.wait_all()
    assert (first, second) == ([1], [2])


def test_a_callback_may_run_other_requests(make_queue: MakeQueue, relu: Any, add: Any) -> None:
    queue = make_queue(relu, 1)
    other = add.create_infer_request()
    seen: list[float] = []

    def callback(request: Any, userdata: Any) -> None:
        array = request.get_output_tensor().data
        seen.append(float(other.infer([array, array])[0][0, 0]))

    queue.set_callback(callback)
    for value in (1, 2, 3):
        queue.start_async(row(value))
    queue.wait_all()
    assert seen == [2, 4, 6]


def test_a_callback_may_feed_another_queue(make_queue: MakeQueue, relu: Any) -> None:
    first, second = make_queue(relu, 1), make_queue(relu, 1)
    seen: list[tuple[Any, float]] = []
    second.set_callback(
        lambda request, userdata: seen.append(
            (userdata, float(request.get_output_tensor().data[0, 0]))
        )
    )
    first.set_callback(
        lambda request, userdata: second.start_async(request.get_output_tensor().data + 1, userdata)
    )
    for value in (1, 2, 3):
        first.start_async(row(value), value)
    first.wait_all()
    second.wait_all()
    assert seen == [(1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("callback", [None, 3, "callback"])
def test_a_callback_can_be_called(make_queue: MakeQueue, relu: Any, callback: object) -> None:
    queue = make_queue(relu, 1)
    with pytest.raises(TypeError):
        queue.set_callback(callback)


def test_a_callback_is_the_only_argument(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    with pytest.raises(TypeError):
        queue.set_callback()
    with pytest.raises(TypeError):
        queue.set_callback(print, "userdata")


def test_a_callback_cannot_be_set_while_a_job_runs(make_queue: MakeQueue, slow: Any) -> None:
    queue = make_queue(slow, 2)
    queue.start_async(slow_input())
    with pytest.raises(RuntimeError, match="busy"):
        queue.set_callback(lambda request, userdata: None)
    queue.wait_all()


# Failures: a queue is not used again after one


class Odd(Exception):
    """An error that no library knows."""


@pytest.mark.parametrize("error", [Odd, ValueError, KeyError, ZeroDivisionError, RuntimeError])
def test_an_error_in_a_callback_keeps_its_type(
    make_queue: MakeQueue, relu: Any, error: type[Exception]
) -> None:
    queue = make_queue(relu, 1)

    def callback(request: Any, userdata: Any) -> None:
        raise error("from the callback")

    queue.set_callback(callback)
    queue.start_async(row(1))
    with pytest.raises(error, match="from the callback"):
        queue.wait_all()


def test_a_callback_takes_two_arguments(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)
    queue.set_callback(lambda userdata: None)
    queue.start_async(row(1))
    with pytest.raises(TypeError):
        queue.wait_all()


def test_the_next_job_reports_an_error_in_a_callback(make_queue: MakeQueue, relu: Any) -> None:
    queue = make_queue(relu, 1)

    def callback(request: Any, userdata: Any) -> None:
        raise Odd

    queue.set_callback(callback)
    queue.start_async(row(1))
    with pytest.raises(Odd):
        queue.start_async(row(2))


def test_an_error_in_a_callback_does_not_stop_the_others(
    make_queue: MakeQueue, relu: Any, gate: threading.Event
) -> None:
    queue = make_queue(relu, 3)
    seen: list[int] = []

    def callback(request: Any, userdata: int) -> None:
        gate.wait(DEADLINE_S)
        seen.append(userdata)
        if userdata == 0:
            raise Odd

    queue.set_callback(callback)
    for number in range(3):
        queue.start_async(row(number), number)
    gate.set()
    with pytest.raises(Odd):
        queue.wait_all()
    assert eventually(lambda: sorted(seen) == [0, 1, 2])


@pytest.fixture
def failing(make_queue: MakeQueue, load: Load) -> Any:
    """A queue of two requests, whose job fails when its two inputs differ in length."""
    return make_queue(load(models.add(("n",))), 2)


def start_one_that_fails(queue: Any) -> None:
    queue.start_async([np.ones(2, np.float32), np.ones(3, np.float32)], "bad")


def test_a_failed_job_is_reported_when_waiting(failing: Any) -> None:
    start_one_that_fails(failing)
    with pytest.raises(RuntimeError):
        failing.wait_all()


def test_a_failed_job_does_not_stop_the_others_and_calls_nobody(failing: Any) -> None:
    seen = record(failing)
    start_one_that_fails(failing)
    failing.start_async([np.ones(3, np.float32)] * 2, "good")
    with pytest.raises(RuntimeError):
        failing.wait_all()
    assert eventually(lambda: bool(seen))
    assert seen == ["good"]


def test_a_failed_job_leaves_other_queues_alone(
    make_queue: MakeQueue, failing: Any, relu: Any
) -> None:
    other = make_queue(relu, 2)
    start_one_that_fails(failing)
    other.start_async(row(1))
    other.wait_all()
    assert outputs(other)[0] == 1
    with pytest.raises(RuntimeError):
        failing.wait_all()


def test_a_cancelled_job_is_reported_and_calls_nobody(make_queue: MakeQueue, slow: Any) -> None:
    queue = make_queue(slow, 1)
    seen = record(queue)
    queue.start_async(slow_input())
    queue[0].cancel()
    with pytest.raises(RuntimeError, match="canceled"):
        queue.wait_all()
    assert seen == []


def test_dropping_a_queue_calls_nobody_back(ov: Any, slow: Any) -> None:
    queue = ov.AsyncInferQueue(slow, 2)
    seen = record(queue)
    queue.start_async(slow_input(), 1)
    queue.start_async(slow_input(), 2)
    del queue
    gc.collect()
    slow.create_infer_request().infer(slow_input())
    assert seen == []
