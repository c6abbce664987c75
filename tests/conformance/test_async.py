"""start_async(), wait(), wait_for(), cancel() and callbacks: one request's life, seen outside.

No test measures time. What must be seen *while* a request runs is tried again until the request
was found running afterwards too: then it ran all the while.
"""

import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Load = Callable[[bytes], Any]
Array = NDArray[Any]

SLOW_SIZE: Final = 512
ATTEMPTS: Final = 30  # to catch the slow model at work; on a quiet machine the first one does
DEADLINE_S: Final = 60.0  # for what must happen at once: only a broken test waits so long


@pytest.fixture(scope="module")
def load(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Compile a model for the CPU, once for all tests.

    OpenVINO may hang when a model goes while one of its threads still comes back from a callback:
    it joins that thread with the GIL held. So no model goes before a last run without one.
    """
    core, folder = ov.Core(), tmp_path_factory.mktemp("models")
    compiled: dict[bytes, Any] = {}

    def load(model: bytes) -> Any:
        if model not in compiled:
            path = folder / f"{len(compiled)}.onnx"
            path.write_bytes(model)
            compiled[model] = core.compile_model(path, "CPU")
        return compiled[model]

    yield load
    for model in compiled.values():
        request = model.create_infer_request()
        request.start_async()
        error_of(request.wait)


@pytest.fixture
def relu(load: Load) -> Any:
    """A request that has never run; the model is y = max(x, 0), float32 (1, 4)."""
    return load(models.relu((1, 4))).create_infer_request()


@pytest.fixture(scope="module")
def slow_model(load: Load) -> Any:
    return load(models.slow(SLOW_SIZE, layers=100))


@pytest.fixture
def slow(slow_model: Any) -> Any:
    return new_slow(slow_model)


@pytest.fixture(scope="module")
def slow_result(slow_model: Any) -> Array:
    """What every run of the slow model on ones answers."""
    answer: Array = new_slow(slow_model).infer()[0]
    return answer


def new_slow(slow_model: Any) -> Any:
    request = slow_model.create_infer_request()
    request.get_input_tensor().data[:] = 1
    return request


def row(*values: float) -> Array:
    return np.array([values or (-1, 2, -3, 4)], np.float32)


def run(request: Any, inputs: Any = None, **arguments: Any) -> Any:
    """The first output of an asynchronous run, as plain numbers."""
    request.start_async(inputs, **arguments)
    request.wait()
    return request.results[0].tolist()


def attempts() -> Iterator[int]:
    yield from range(ATTEMPTS)
    pytest.fail(f"not seen in {ATTEMPTS} attempts")


def error_of(action: Callable[[], object]) -> Exception | None:
    try:
        action()
    except Exception as why:
        return why
    return None


def error_while_running(request: Any, action: Callable[[], object]) -> Exception | None:
    """What the action raised while the request was running for certain.

    The action must not start the request: the run found afterwards might be its own.
    """
    for _ in attempts():
        request.start_async()
        error = error_of(action)
        still_running = not request.wait_for(0)
        request.wait()
        if still_running:
            return error
    raise AssertionError("attempts() ends in an error")


def cancel_while_running(request: Any) -> None:
    """Start and cancel until the cancel was in time: afterwards wait() raises."""
    for _ in attempts():
        request.start_async()
        request.cancel()
        if error_of(request.wait) is not None:
            return


# start_async and wait


def test_a_started_request_is_done_after_wait(relu: Any) -> None:
    assert relu.start_async(row(-1, 2, -3, 4)) is None
    assert relu.wait() is None
    assert relu.get_output_tensor().data.tolist() == [[0, 2, 0, 4]]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ov, request, x: x, id="array"),
        pytest.param(lambda ov, request, x: [x], id="list"),
        pytest.param(lambda ov, request, x: (x,), id="tuple"),
        pytest.param(lambda ov, request, x: {0: x}, id="by index"),
        pytest.param(lambda ov, request, x: {"x": x}, id="by name"),
        pytest.param(lambda ov, request, x: {request.model_inputs[0]: x}, id="by port"),
        pytest.param(lambda ov, request, x: ov.Tensor(x), id="tensor"),
    ],
)
@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
def test_start_async_takes_inputs_in_every_form(
    ov: Any, relu: Any, make: Callable[..., Any], share: bool
) -> None:
    inputs = make(ov, relu, row(-1, 2, -3, 4))
    assert run(relu, inputs, share_inputs=share) == [[0, 2, 0, 4]]


def test_start_async_without_inputs_uses_the_tensors_as_they_are(relu: Any) -> None:
    relu.get_input_tensor().data[:] = row(1, -2, 3, -4)
    assert run(relu) == [[1, 0, 3, 0]]


def test_start_async_copies_its_inputs_before_it_returns(slow: Any) -> None:
    x = np.full((SLOW_SIZE, SLOW_SIZE), 2, np.float32)
    slow.start_async(x)
    x[:] = 3
    slow.wait()
    assert (slow.get_input_tensor().data == 2).all()


def test_start_async_shares_its_inputs_when_asked(relu: Any) -> None:
    x = row(1, 2, 3, 4)
    assert run(relu, x, share_inputs=True) == [[1, 2, 3, 4]]
    x[:] = 9
    assert np.shares_memory(x, relu.get_input_tensor().data)
    assert run(relu) == [[9] * 4]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(lambda ov, x: {1}, TypeError, id="a set"),
        pytest.param(lambda ov, x: {0.0: x}, TypeError, id="float key"),
        pytest.param(lambda ov, x: {"nope": x}, RuntimeError, id="unknown name"),
        pytest.param(lambda ov, x: [x, x], RuntimeError, id="too many"),
        pytest.param(lambda ov, x: x[0], RuntimeError, id="wrong rank"),
        pytest.param(lambda ov, x: x[:, :3], RuntimeError, id="wrong shape"),
        pytest.param(lambda ov, x: ov.Tensor(x[0]), RuntimeError, id="tensor of wrong rank"),
        pytest.param(lambda ov, x: ov.Tensor(x.astype("f8")), RuntimeError, id="f64 tensor"),
    ],
)
@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
def test_a_refused_start_starts_nothing(
    ov: Any, relu: Any, make: Callable[..., Any], error: type[Exception], share: bool
) -> None:
    calls: list[Any] = []
    relu.set_callback(calls.append, None)
    with pytest.raises(error):
        relu.start_async(make(ov, row()), share_inputs=share)
    assert relu.wait_for(0) is False  # as one that was never started
    assert relu.wait() is None
    assert calls == []
    assert run(relu, row(-1, 2, -3, 4)) == [[0, 2, 0, 4]]


def test_the_arguments_of_start_async_are_named_as_documented(relu: Any) -> None:
    relu.start_async(inputs=row(1, 2, 3, 4), userdata=None, share_inputs=False)
    relu.wait()
    assert relu.results[0].tolist() == [[1, 2, 3, 4]]


def test_start_async_refuses_arguments_that_it_does_not_know(relu: Any) -> None:
    with pytest.raises(TypeError):
        relu.start_async(row(), None, False, True)
    with pytest.raises(TypeError):
        relu.start_async(row(), shared_memory=True)


def test_a_request_runs_again_and_again(relu: Any) -> None:
    for i in range(100):
        assert run(relu, row(i, -i, i + 1, 0)) == [[i, 0, i + 1, 0]]


def test_wait_returns_at_once_before_the_first_start(relu: Any) -> None:
    assert relu.wait() is None


def test_wait_may_be_called_again(relu: Any) -> None:
    run(relu, row())
    assert [relu.wait() for _ in range(3)] == [None, None, None]


def test_a_request_started_in_one_thread_is_awaited_in_another(slow: Any) -> None:
    with ThreadPoolExecutor() as threads:
        threads.submit(slow.start_async).result()
        threads.submit(slow.wait).result()
    assert slow.wait_for(0) is True


def test_many_threads_may_wait_for_one_request(slow: Any, slow_result: Array) -> None:
    slow.start_async()
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(slow.wait) for _ in range(4)]
        answers += [threads.submit(slow.wait_for, 60_000) for _ in range(4)]
    assert [answer.result() for answer in answers] == [None] * 4 + [True] * 4
    np.testing.assert_array_equal(slow.results[0], slow_result)


def test_wait_waits_for_an_infer_in_another_thread(slow: Any) -> None:
    with ThreadPoolExecutor(1) as threads:
        for _ in attempts():
            inferring = threads.submit(slow.infer)
            while error_of(slow.get_input_tensor) is None and not inferring.done():
                pass
            was_busy = error_of(slow.get_input_tensor) is not None
            slow.wait()
            assert slow.get_input_tensor() is not None  # refused if wait() came back too early
            inferring.result()
            if was_busy:
                return


# wait_for

TIMEOUTS = [0, 1, True, np.int32(2), np.int64(2), np.uint8(2)]


@pytest.mark.parametrize("timeout", TIMEOUTS, ids=lambda t: f"{type(t).__name__} {t}")
def test_wait_for_is_false_before_the_first_start(relu: Any, timeout: Any) -> None:
    assert relu.wait_for(timeout) is False


@pytest.mark.parametrize("timeout", [*TIMEOUTS, 2**31 - 1], ids=lambda t: f"{type(t).__name__} {t}")
def test_wait_for_is_true_once_the_request_is_done(relu: Any, timeout: Any) -> None:
    run(relu, row())
    assert relu.wait_for(timeout) is True


def test_wait_for_stays_true(relu: Any) -> None:
    run(relu, row())
    assert [relu.wait_for(0) for _ in range(3)] == [True, True, True]


def test_wait_for_is_true_after_infer(relu: Any) -> None:
    relu.infer(row())
    assert relu.wait() is None
    assert relu.wait_for(0) is True


def test_wait_for_is_false_while_running_and_true_in_the_end(slow: Any) -> None:
    for _ in attempts():
        slow.start_async()
        answers = [slow.wait_for(0), slow.wait_for(timeout=1)]
        assert slow.wait_for(60_000) is True
        if answers == [False, False]:
            return


def test_wait_for_comes_back_before_its_time_when_the_request_is_done(slow: Any) -> None:
    slow.start_async()
    assert slow.wait_for(2**31 - 1) is True


@pytest.mark.parametrize("finished", [False, True], ids=["never started", "finished"])
@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (1.0, TypeError),
        (0.5, TypeError),
        ("1", TypeError),
        (b"1", TypeError),
        (None, TypeError),
        ([1], TypeError),
        (2**31, TypeError),
        (2**64, TypeError),
        (-1, RuntimeError),
        (-(2**31), RuntimeError),
    ],
    ids=repr,
)
def test_wait_for_refuses_what_is_no_time(
    relu: Any, timeout: Any, error: type[Exception], finished: bool
) -> None:
    if finished:
        run(relu, row())
    with pytest.raises(error):
        relu.wait_for(timeout)
    assert relu.wait_for(0) is finished


def test_wait_for_takes_exactly_one_argument(relu: Any) -> None:
    for arguments in ((), (1, 2)):
        with pytest.raises(TypeError):
            relu.wait_for(*arguments)
    with pytest.raises(TypeError):
        relu.wait_for(time=1)


# A busy request


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda ov, r: r.infer(), id="infer"),
        pytest.param(lambda ov, r: r.infer(ones()), id="infer with inputs"),
        pytest.param(lambda ov, r: r.infer(ones(), share_inputs=True), id="infer shared"),
        pytest.param(lambda ov, r: r.set_callback(bool, None), id="set_callback"),
        pytest.param(lambda ov, r: r.results, id="results"),
        pytest.param(lambda ov, r: r.input_tensors, id="input_tensors"),
        pytest.param(lambda ov, r: r.output_tensors, id="output_tensors"),
        pytest.param(lambda ov, r: r.get_input_tensor(), id="get_input_tensor"),
        pytest.param(lambda ov, r: r.get_input_tensor(0), id="get_input_tensor by index"),
        pytest.param(lambda ov, r: r.get_output_tensor(), id="get_output_tensor"),
        pytest.param(lambda ov, r: r.get_output_tensor(0), id="get_output_tensor by index"),
        pytest.param(lambda ov, r: r.get_tensor("x"), id="get_tensor by name"),
        pytest.param(lambda ov, r: r.get_tensor("y"), id="get_tensor of an output"),
        pytest.param(lambda ov, r: r.get_tensor(r.model_inputs[0]), id="get_tensor by port"),
        pytest.param(lambda ov, r: r.set_input_tensor(ov.Tensor(ones())), id="set_input_tensor"),
        pytest.param(
            lambda ov, r: r.set_input_tensor(0, ov.Tensor(ones())), id="set_input_tensor by index"
        ),
        pytest.param(lambda ov, r: r.set_output_tensor(ov.Tensor(ones())), id="set_output_tensor"),
        pytest.param(
            lambda ov, r: r.set_output_tensor(0, ov.Tensor(ones())), id="set_output_tensor by index"
        ),
        pytest.param(lambda ov, r: r.set_tensor("x", ov.Tensor(ones())), id="set_tensor by name"),
        pytest.param(
            lambda ov, r: r.set_tensor(r.model_outputs[0], ov.Tensor(ones())),
            id="set_tensor by port",
        ),
        pytest.param(lambda ov, r: r.set_tensors({"x": ov.Tensor(ones())}), id="set_tensors"),
        pytest.param(
            lambda ov, r: r.set_input_tensors({0: ov.Tensor(ones())}), id="set_input_tensors"
        ),
        pytest.param(
            lambda ov, r: r.set_output_tensors({0: ov.Tensor(ones())}), id="set_output_tensors"
        ),
        pytest.param(lambda ov, r: r.get_profiling_info(), id="get_profiling_info"),
        pytest.param(lambda ov, r: r.profiling_info, id="profiling_info"),
        pytest.param(lambda ov, r: r.query_state(), id="query_state"),
        pytest.param(lambda ov, r: r.reset_state(), id="reset_state"),
    ],
)
def test_a_busy_request_refuses(
    ov: Any, slow: Any, slow_result: Array, use: Callable[[Any, Any], object]
) -> None:
    error = error_while_running(slow, lambda: use(ov, slow))
    assert isinstance(error, RuntimeError)
    assert "busy" in str(error)
    np.testing.assert_array_equal(slow.results[0], slow_result)  # and was not disturbed


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda ov, r: r.start_async(), id="start_async"),
        pytest.param(lambda ov, r: r.start_async({"x": ones()}), id="start_async with inputs"),
        pytest.param(lambda ov, r: r.start_async(ov.Tensor(ones())), id="start_async with tensor"),
    ],
)
def test_a_busy_request_refuses_to_be_started(
    ov: Any, slow: Any, slow_result: Array, start: Callable[[Any, Any], object]
) -> None:
    for _ in attempts():
        slow.start_async()
        error = error_of(lambda: start(ov, slow))
        slow.wait()
        if error is not None:  # else the run had ended by then
            break
    assert isinstance(error, RuntimeError)
    assert "busy" in str(error)
    np.testing.assert_array_equal(slow.results[0], slow_result)


def ones() -> Array:
    return np.ones((SLOW_SIZE, SLOW_SIZE), np.float32)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda r: r.wait_for(0), id="wait_for"),
        pytest.param(lambda r: r.userdata, id="userdata"),
        pytest.param(lambda r: r.latency, id="latency"),
        pytest.param(lambda r: r.model_inputs, id="model_inputs"),
        pytest.param(lambda r: r.model_outputs, id="model_outputs"),
        pytest.param(lambda r: r.get_compiled_model().inputs, id="get_compiled_model"),
    ],
)
def test_a_busy_request_still_tells(slow: Any, use: Callable[[Any], object]) -> None:
    assert error_while_running(slow, lambda: use(slow)) is None


def test_a_busy_request_does_not_keep_another_from_starting(
    slow_model: Any, slow_result: Array
) -> None:
    first, second = new_slow(slow_model), new_slow(slow_model)
    for _ in attempts():
        first.start_async()
        second.start_async()
        first_was_running = not first.wait_for(0)
        second.wait()
        first.wait()
        for request in (first, second):
            np.testing.assert_array_equal(request.results[0], slow_result)
        if first_was_running:
            return


def test_a_busy_request_refuses_other_threads_too(slow: Any) -> None:
    with ThreadPoolExecutor(1) as threads:
        error = error_while_running(slow, lambda: threads.submit(slow.infer).result())
    assert isinstance(error, RuntimeError)
    assert "busy" in str(error)


# Callbacks


def test_a_callback_gets_the_userdata_and_nothing_else(relu: Any) -> None:
    calls: list[Any] = []
    userdata = object()
    relu.set_callback(lambda *arguments: calls.append(arguments), userdata)
    run(relu, row())
    assert calls == [(userdata,)]
    assert calls[0][0] is userdata


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda calls: lambda userdata: calls.append(userdata), id="function"),
        pytest.param(lambda calls: calls.append, id="bound method"),
        pytest.param(lambda calls: functools.partial(calls.insert, 0), id="partial"),
        pytest.param(lambda calls: CallableObject(calls), id="object"),
    ],
)
def test_anything_callable_may_be_the_callback(relu: Any, make: Callable[[list[Any]], Any]) -> None:
    calls: list[Any] = []
    relu.set_callback(make(calls), 5)
    run(relu, row())
    assert calls == [5]


class CallableObject:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def __call__(self, userdata: Any) -> None:
        self.calls.append(userdata)


def test_a_callback_is_called_once_for_every_run(relu: Any) -> None:
    calls: list[Any] = []
    relu.set_callback(calls.append, "done")
    for _ in range(20):
        run(relu, row())
    assert calls == ["done"] * 20


def test_a_callback_has_returned_when_wait_returns(relu: Any) -> None:
    calls: list[Any] = []

    def slowly(userdata: Any) -> None:
        time.sleep(0.02)
        calls.append(userdata)

    relu.set_callback(slowly, None)
    for i in range(5):
        relu.start_async(row())
        relu.wait()
        assert len(calls) == i + 1


def test_wait_for_is_false_while_the_callback_runs(relu: Any) -> None:
    entered, leave = threading.Event(), threading.Event()

    def callback(userdata: Any) -> None:
        entered.set()
        leave.wait(DEADLINE_S)

    relu.set_callback(callback, None)
    relu.start_async(row())
    assert entered.wait(DEADLINE_S)
    assert relu.wait_for(0) is False
    assert relu.wait_for(5) is False
    leave.set()
    assert relu.wait_for(60_000) is True
    relu.wait()


def test_a_callback_runs_in_another_thread(relu: Any) -> None:
    threads: list[int] = []
    relu.set_callback(lambda userdata: threads.append(threading.get_ident()), None)
    run(relu, row())
    assert threads != [threading.get_ident()]
    assert len(threads) == 1


def test_the_request_is_idle_inside_its_callback(relu: Any) -> None:
    seen: list[Any] = []

    def callback(userdata: Any) -> None:
        seen.append(relu.get_input_tensor().data.tolist())
        seen.append(relu.get_output_tensor().data.tolist())
        seen.append(relu.results["y"].tolist())
        seen.append(relu.userdata)
        seen.append(relu.wait_for(0))

    relu.set_callback(callback, "frame-17")
    run(relu, row(-1, 2, -3, 4))
    assert seen == [[[-1, 2, -3, 4]], [[0, 2, 0, 4]], [[0, 2, 0, 4]], "frame-17", False]


def test_a_callback_may_infer(relu: Any) -> None:
    answers: list[Any] = []
    finished = threading.Event()

    def callback(userdata: Any) -> None:
        answers.append(relu.infer(row(5, 6, 7, 8))[0].tolist())
        finished.set()

    relu.set_callback(callback, None)
    relu.start_async(row(-1, 2, -3, 4))
    assert finished.wait(DEADLINE_S)
    relu.wait()
    assert answers == [[[5, 6, 7, 8]]]
    assert relu.results[0].tolist() == [[5, 6, 7, 8]]


def test_a_callback_may_start_its_request_again(relu: Any) -> None:
    answers: list[Any] = []
    finished = threading.Event()

    def again(userdata: Any) -> None:
        answers.append(relu.get_output_tensor().data[0, 0])
        if len(answers) < 10:
            relu.start_async(row(len(answers), 0, 0, 0))
        else:
            finished.set()

    relu.set_callback(again, None)
    relu.start_async(row(0, 0, 0, 0))
    assert finished.wait(DEADLINE_S)
    relu.wait()
    assert answers == list(range(10))


def test_a_callback_may_start_another_request(load: Load) -> None:
    model = load(models.relu((1, 4)))
    first, second = model.create_infer_request(), model.create_infer_request()
    finished = threading.Event()
    second.set_callback(lambda _: finished.set(), None)
    first.set_callback(lambda _: second.start_async(first.get_output_tensor()), None)
    first.start_async(row(-1, 2, -3, 4))
    assert finished.wait(DEADLINE_S)
    second.wait()
    assert second.results[0].tolist() == [[0, 2, 0, 4]]


def test_a_callback_may_replace_itself(relu: Any) -> None:
    calls: list[str] = []

    def first(userdata: Any) -> None:
        calls.append("first")
        relu.set_callback(lambda _: calls.append("second"), None)

    relu.set_callback(first, None)
    run(relu, row())
    run(relu, row())
    assert calls == ["first", "second"]


def test_a_new_callback_replaces_the_old_one(relu: Any) -> None:
    old: list[Any] = []
    new: list[Any] = []
    relu.set_callback(old.append, 1)
    run(relu, row())
    relu.set_callback(new.append, 2)
    run(relu, row())
    assert (old, new) == ([1], [2])


def test_infer_does_not_call_the_callback(relu: Any) -> None:
    calls: list[Any] = []
    relu.set_callback(calls.append, None)
    relu.infer(row())
    assert relu.wait_for(0) is True
    assert calls == []


@pytest.mark.parametrize("callback", [None, 3, "print", []], ids=repr)
def test_a_callback_must_be_callable(relu: Any, callback: Any) -> None:
    with pytest.raises(TypeError):
        relu.set_callback(callback, None)
    assert run(relu, row(1, 2, 3, 4)) == [[1, 2, 3, 4]]


def test_set_callback_takes_a_callback_and_userdata(relu: Any) -> None:
    for arguments in ((), (print,), (print, 1, 2)):
        with pytest.raises(TypeError):
            relu.set_callback(*arguments)
    calls: list[Any] = []
    relu.set_callback(callback=calls.append, userdata=7)
    run(relu, row())
    assert calls == [7]


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, ValueError, KeyError, RuntimeError, StopIteration])
def test_an_error_in_a_callback_is_raised_by_wait(relu: Any, error: type[Exception]) -> None:
    def fail(userdata: Any) -> None:
        raise error("text 17")

    relu.set_callback(fail, None)
    relu.start_async(row(-1, 2, -3, 4))
    for wait in (relu.wait, lambda: relu.wait_for(60_000), lambda: relu.wait_for(0)):
        with pytest.raises(RuntimeError, match="text 17") as raised:
            wait()
        assert error.__name__ in str(raised.value)
    assert relu.get_output_tensor().data.tolist() == [[0, 2, 0, 4]]
    assert relu.results[0].tolist() == [[0, 2, 0, 4]]


def test_a_callback_of_two_arguments_is_an_error_of_the_run(relu: Any) -> None:
    relu.set_callback(lambda request, userdata: None, None)
    relu.start_async(row())
    with pytest.raises(RuntimeError, match="TypeError"):
        relu.wait()


def failing_request(request: Any) -> Any:
    def fail(userdata: Any) -> None:
        raise Broken(f"text {userdata}")

    request.set_callback(fail, 17)
    request.start_async(row())
    with pytest.raises(RuntimeError, match="text 17"):
        request.wait()
    return request


def test_an_error_in_a_callback_is_forgotten_at_the_next_infer(relu: Any) -> None:
    request = failing_request(relu)
    assert request.infer(row(1, 2, 3, 4))[0].tolist() == [[1, 2, 3, 4]]
    assert request.wait() is None
    assert request.wait_for(0) is True


def test_an_error_in_a_callback_is_forgotten_at_the_next_start(relu: Any) -> None:
    request = failing_request(relu)
    request.set_callback(lambda userdata: None, None)
    assert run(request, row(1, 2, 3, 4)) == [[1, 2, 3, 4]]
    assert request.wait_for(0) is True


def test_a_callback_that_fails_is_called_again_and_fails_again(relu: Any) -> None:
    request = failing_request(relu)
    request.start_async(row(), 18)
    with pytest.raises(RuntimeError, match="text 18"):
        request.wait()


# userdata


def test_userdata_is_none_at_first(relu: Any) -> None:
    assert relu.userdata is None


def test_userdata_is_what_set_callback_was_given(relu: Any) -> None:
    userdata = object()
    relu.set_callback(print, userdata)
    assert relu.userdata is userdata
    relu.set_callback(print, None)
    assert relu.userdata is None


def test_userdata_of_a_start_stays_for_the_next_ones(relu: Any) -> None:
    calls: list[Any] = []
    relu.set_callback(calls.append, "first")
    for userdata in (None, "second", None, "third", None):
        relu.start_async(row(), userdata)
        relu.wait()
    assert calls == ["first", "second", "second", "third", "third"]
    assert relu.userdata == "third"


@pytest.mark.parametrize("userdata", [0, False, "", (), 0.0], ids=repr)
def test_only_none_counts_as_no_userdata(relu: Any, userdata: Any) -> None:
    calls: list[Any] = []
    relu.set_callback(calls.append, "old")
    run(relu, row(), userdata=userdata)
    assert calls == [userdata]
    assert relu.userdata == userdata


def test_userdata_without_a_callback_is_dropped_with_a_warning(relu: Any) -> None:
    with pytest.warns(RuntimeWarning):
        relu.start_async(row(-1, 2, -3, 4), userdata="lost")
    relu.wait()
    assert relu.userdata is None
    assert relu.results[0].tolist() == [[0, 2, 0, 4]]


@pytest.mark.parametrize("name", ["userdata", "latency"])
def test_what_the_request_tells_is_read_only(relu: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(relu, name, 1)


# A run that fails


def start_failing(request: Any) -> None:
    """The shape (3, 3) does not hold the four values: known only once it runs."""
    request.start_async([row(1, 2, 3, 4), np.array([3, 3])])


def test_a_run_that_fails_is_raised_by_every_wait(load: Load) -> None:
    request = load(models.sum_of_reshaped()).create_infer_request()
    start_failing(request)
    for wait in (request.wait, request.wait, lambda: request.wait_for(0)):
        with pytest.raises(RuntimeError):
            wait()


def test_a_run_that_fails_does_not_call_the_callback(load: Load) -> None:
    request = load(models.sum_of_reshaped()).create_infer_request()
    calls: list[Any] = []
    request.set_callback(calls.append, "done")
    start_failing(request)
    with pytest.raises(RuntimeError):
        request.wait()
    assert calls == []
    assert run(request, {"target": np.array([2, 2])}) == 10
    assert calls == ["done"]


def test_a_run_that_fails_leaves_a_request_that_works(load: Load) -> None:
    request = load(models.sum_of_reshaped()).create_infer_request()
    start_failing(request)
    with pytest.raises(RuntimeError):
        request.wait()
    assert request.infer({"target": np.array([4, 1])})[0] == 10
    assert request.wait() is None
    assert request.wait_for(0) is True


# cancel


def test_cancel_before_the_first_start_does_nothing(relu: Any) -> None:
    assert relu.cancel() is None
    assert relu.wait() is None
    assert relu.wait_for(0) is False
    assert run(relu, row(1, 2, 3, 4)) == [[1, 2, 3, 4]]


def test_cancel_after_the_end_does_nothing(relu: Any) -> None:
    run(relu, row(-1, 2, -3, 4))
    relu.cancel()
    assert relu.wait() is None
    assert relu.wait_for(0) is True
    assert relu.results[0].tolist() == [[0, 2, 0, 4]]
    assert run(relu, row(1, 2, 3, 4)) == [[1, 2, 3, 4]]


def test_a_cancelled_run_is_raised_by_every_wait(slow: Any) -> None:
    cancel_while_running(slow)
    for wait in (slow.wait, lambda: slow.wait_for(0), lambda: slow.wait_for(5), slow.wait):
        with pytest.raises(RuntimeError, match="canceled"):
            wait()


def test_cancelling_twice_is_as_good_as_once(slow: Any) -> None:
    for _ in attempts():
        slow.start_async()
        slow.cancel()
        slow.cancel()
        if error_of(slow.wait) is not None:
            break
    slow.cancel()
    with pytest.raises(RuntimeError, match="canceled"):
        slow.wait()


def test_a_cancelled_run_does_not_call_the_callback(slow: Any) -> None:
    for _ in attempts():
        calls: list[Any] = []
        slow.set_callback(calls.append, "done")
        slow.start_async()
        slow.cancel()
        if error_of(slow.wait) is not None:
            break
    assert calls == []
    slow.start_async()
    slow.wait()
    assert calls == ["done"]


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda request: request.infer(), id="infer"),
        pytest.param(lambda request: request.start_async(), id="start_async"),
    ],
)
def test_a_cancelled_request_runs_again(
    slow: Any, slow_result: Array, again: Callable[[Any], object]
) -> None:
    cancel_while_running(slow)
    again(slow)
    assert slow.wait() is None
    assert slow.wait_for(0) is True
    np.testing.assert_array_equal(slow.results[0], slow_result)


def test_the_tensors_of_a_cancelled_request_are_accessible(slow: Any) -> None:
    cancel_while_running(slow)
    assert (slow.get_input_tensor().data == 1).all()
    assert slow.results[0].shape == (SLOW_SIZE, SLOW_SIZE)


def test_everybody_who_waits_learns_of_the_cancel(slow: Any) -> None:
    with ThreadPoolExecutor(3) as threads:
        for _ in attempts():
            slow.start_async()
            waits = [threads.submit(slow.wait) for _ in range(3)]
            slow.cancel()
            errors = [wait.exception() for wait in waits]
            if error_of(slow.wait) is not None:
                break
    assert all(isinstance(error, RuntimeError) for error in errors)
    assert all("canceled" in str(error) for error in errors)


def test_an_infer_is_cancelled_from_another_thread(slow: Any, slow_result: Array) -> None:
    with ThreadPoolExecutor(1) as threads:
        for _ in attempts():
            inferring = threads.submit(slow.infer)
            while not inferring.done():
                slow.cancel()
            error = inferring.exception()
            if error is not None:
                break
    assert isinstance(error, RuntimeError)
    assert "canceled" in str(error)
    np.testing.assert_array_equal(slow.infer()[0], slow_result)


def test_a_cancelled_request_does_not_take_others_with_it(
    slow_model: Any, slow_result: Array
) -> None:
    before, cancelled, after = (new_slow(slow_model) for _ in range(3))
    for _ in attempts():
        for request in (before, cancelled, after):
            request.start_async()
        cancelled.cancel()
        for request in (before, after):
            assert request.wait() is None
            np.testing.assert_array_equal(request.results[0], slow_result)
        error = error_of(cancelled.wait)
        if error is not None:
            break
    assert isinstance(error, RuntimeError)
    assert "canceled" in str(error)


# latency


def test_latency_is_zero_before_the_first_run(relu: Any) -> None:
    assert relu.latency == 0.0
    assert isinstance(relu.latency, float)


@pytest.mark.parametrize(
    "run_once",
    [
        pytest.param(lambda request: request.infer(), id="infer"),
        pytest.param(lambda request: run(request), id="start_async"),
    ],
)
def test_latency_is_in_milliseconds(slow: Any, run_once: Callable[[Any], object]) -> None:
    began_s = time.perf_counter()
    run_once(slow)
    took_ms = (time.perf_counter() - began_s) * 1000
    assert took_ms / 100 < slow.latency <= took_ms  # in any other unit a thousand times off


def test_latency_does_not_include_the_callback(relu: Any) -> None:
    seen: list[float] = []

    def callback(userdata: Any) -> None:
        seen.append(relu.latency)
        time.sleep(0.01)

    relu.set_callback(callback, None)
    run(relu, row())
    assert seen == [relu.latency]
    assert seen[0] > 0


# Many at once


def test_many_requests_are_in_flight_and_none_gets_the_answer_of_another(load: Load) -> None:
    model = load(models.relu((1, 4)))
    requests = [model.create_infer_request() for _ in range(64)]
    done: list[int] = []
    for i, request in enumerate(requests):
        request.set_callback(done.append, i)
        request.start_async(row(i, -i, 2 * i, 1))
    for request in reversed(requests):
        request.wait()
    assert sorted(done) == list(range(64))
    for i, request in enumerate(requests):
        assert request.results[0].tolist() == [[i, 0, 2 * i, 1]]


def test_every_thread_runs_requests_of_its_own(load: Load) -> None:
    model = load(models.relu((1, 4)))

    def work(thread: int) -> None:
        request = model.create_infer_request()
        for i in range(25):
            value = 100 * thread + i
            assert request.infer(row(value, -value, i, 0))[0].tolist() == [[value, 0, i, 0]]
            assert run(request, row(-value, value, 0, i)) == [[0, value, 0, i]]

    with ThreadPoolExecutor(8) as threads:
        for answer in [threads.submit(work, thread) for thread in range(8)]:
            answer.result()


def test_threads_that_race_for_one_request_run_or_are_refused(relu: Any) -> None:
    relu.get_input_tensor().data[:] = row(-1, 2, -3, 4)
    with ThreadPoolExecutor(4) as threads:
        errors = [threads.submit(error_of, relu.infer) for _ in range(200)]
    refusals = [error for answer in errors if (error := answer.result()) is not None]
    assert len(refusals) < 200
    assert all(isinstance(error, RuntimeError) and "busy" in str(error) for error in refusals)
    assert relu.results[0].tolist() == [[0, 2, 0, 4]]


# Letting go


def test_a_request_dropped_while_running_does_not_call_its_callback(slow_model: Any) -> None:
    for _ in attempts():
        calls: list[Any] = []
        request = new_slow(slow_model)
        request.set_callback(calls.append, "done")
        request.start_async()
        was_running = not request.wait_for(0)
        del request
        gc.collect()
        new_slow(slow_model).infer()  # the dropped run has ended by then
        if was_running and not calls:
            return


def test_nothing_is_written_after_a_running_request_was_dropped(
    ov: Any, slow_model: Any, slow_result: Array
) -> None:
    for _ in attempts():
        output = ov.Tensor(np.zeros_like(slow_result))
        request = new_slow(slow_model)
        request.set_output_tensor(output)
        request.start_async()
        was_running = not request.wait_for(0)
        del request
        gc.collect()
        left = output.data.copy()
        new_slow(slow_model).infer()
        np.testing.assert_array_equal(output.data, left)
        if was_running:
            return


def test_a_cancelled_request_may_be_dropped(slow_model: Any, slow_result: Array) -> None:
    for _ in range(5):
        request = new_slow(slow_model)
        request.start_async()
        request.cancel()
        del request
    np.testing.assert_array_equal(new_slow(slow_model).infer()[0], slow_result)


def test_a_finished_request_is_let_go(load: Load) -> None:
    request = load(models.relu((1, 4))).create_infer_request()
    run(request, row())
    reference = weakref.ref(request)
    assert reference() is request
    del request
    gc.collect()
    assert reference() is None
