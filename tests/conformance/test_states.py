"""Models with a memory: variables that one inference leaves to the next of the same request.

Left out: what is read from a state after a reset and before the next run, whether a state's
tensor follows later runs, and using a VariableState while its request runs; OpenVINO leaves
these open.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import openvino
import openvino.opset13 as opset13
import pytest
from numpy.typing import NDArray
from openvino.op.util import Variable, VariableInfo

Array = NDArray[Any]
Load = Callable[[Any], Any]

# What builds the models; what runs them is the fixture ``ov``.
opset: Final[Any] = opset13
SLOW_SIZE: Final = 1024


def variable(name: str, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    info: Any = VariableInfo()
    info.variable_id = name
    info.data_shape = openvino.PartialShape(list(shape))
    info.data_type = openvino.Type(dtype)
    return Variable(info)


def named(result: Any, name: str) -> Any:
    result.output(0).set_names({name})
    return result


def parameter(name: str, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    return named(opset.parameter(list(shape), dtype, name=name), name)


def counter(start: float = 0, dtype: Any = np.float32) -> Any:
    """``sum`` of ``x`` (1, 4) over all runs, on top of ``start``; remembered as ``total``."""
    x = parameter("x", [1, 4], dtype)
    total = variable("total", [1, 4], dtype)
    remembered = opset.read_value(opset.constant(np.full((1, 4), start, dtype)), total)
    added = opset.add(remembered, x)
    return openvino.Model(
        [named(opset.result(added), "sum")], [opset.assign(added, total)], [x], "counter"
    )


def two_counters() -> Any:
    """``up`` counts x (1, 2) upwards, ``down`` downwards; remembered under the same names."""
    x = parameter("x", [1, 2])
    results, sinks = [], []
    for name, operation in (("up", opset.add), ("down", opset.subtract)):
        state = variable(name, [1, 2])
        counted = operation(
            opset.read_value(opset.constant(np.zeros((1, 2), np.float32)), state), x
        )
        sinks.append(opset.assign(counted, state))
        results.append(named(opset.result(counted), name))
    return openvino.Model(results, sinks, [x], "two_counters")


def growing() -> Any:
    """``all``: every ``x`` (1, n) so far, side by side; remembered as ``cache``."""
    x = parameter("x", [1, -1])
    cache = variable("cache", [1, -1])
    before = opset.read_value(opset.constant(np.zeros((1, 0), np.float32)), cache)
    joined = opset.concat([before, x], 1)
    return openvino.Model(
        [named(opset.result(joined), "all")], [opset.assign(joined, cache)], [x], "growing"
    )


def slow_counter(layers: int = 30) -> Any:
    """``runs``: how often it ran; many matrix products besides, so that a run takes its time."""
    x = parameter("x", [SLOW_SIZE, SLOW_SIZE])
    weights = opset.constant(np.eye(SLOW_SIZE, dtype=np.float32))
    product = x
    for _ in range(layers):
        product = opset.matmul(product, weights, False, False)
    total = variable("total", [1])
    zero, one = (opset.constant(np.full(1, value, np.float32)) for value in (0, 1))
    runs = opset.add(opset.read_value(zero, total), one)
    return openvino.Model(
        [named(opset.result(runs), "runs"), named(opset.result(product), "product")],
        [opset.assign(runs, total)],
        [x],
        "slow_counter",
    )


@pytest.fixture(scope="module")
def load(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Compile a model that OpenVINO built for the CPU, by way of an IR file."""
    core = ov.Core()

    def load(model: Any) -> Any:
        path = tmp_path_factory.mktemp("ir") / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return core.compile_model(path, "CPU")

    return load


@pytest.fixture(scope="module")
def model(load: Load) -> Any:
    return load(counter())


@pytest.fixture
def request_(model: Any) -> Any:
    return model.create_infer_request()


def ones(count: int = 4, dtype: Any = np.float32) -> Array:
    return np.ones((1, count), dtype)


def line(*values: float) -> Array:
    return np.array([values], np.float32)


def run(request: Any, times: int = 1) -> float:
    """The counter after some runs with ones."""
    for _ in range(times):
        (values,) = request.infer(ones()).values()
    assert (values == values[0, 0]).all()
    return float(values[0, 0])


def state_of(request: Any, name: str = "total") -> Any:
    (state,) = [state for state in request.query_state() if state.name == name]
    return state


# Remembering


def test_a_request_remembers_from_run_to_run(request_: Any) -> None:
    assert [run(request_) for _ in range(4)] == [1, 2, 3, 4]


def test_asynchronous_runs_remember_too(request_: Any) -> None:
    for expected in (1, 2, 3):
        request_.start_async(ones())
        request_.wait()
        assert request_.results["sum"].tolist() == [[expected] * 4]


@pytest.mark.parametrize("start", [0, 5, -2.5])
def test_a_state_begins_with_the_value_in_the_model(load: Load, start: float) -> None:
    request = load(counter(start)).create_infer_request()
    assert [run(request), run(request)] == [start + 1, start + 2]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "int8", "uint8"])
def test_a_state_has_the_type_in_the_model(ov: Any, load: Load, dtype: str) -> None:
    request = load(counter(dtype=np.dtype(dtype).type)).create_infer_request()
    for expected in (1, 2):
        assert request.infer(ones(dtype=dtype))[0].tolist() == [[expected] * 4]
    assert state_of(request).state.element_type == ov.Type(np.dtype(dtype))


def test_each_request_remembers_on_its_own(model: Any) -> None:
    first, second = model.create_infer_request(), model.create_infer_request()
    assert [run(first), run(first), run(second), run(first), run(second)] == [1, 2, 1, 3, 2]


def test_requests_that_run_at_once_remember_on_their_own(model: Any) -> None:
    requests = [model.create_infer_request() for _ in range(4)]
    for _ in range(3):
        for number, request in enumerate(requests):
            request.start_async(np.full((1, 4), number, np.float32))
        for request in requests:
            request.wait()
    assert [request.results[0][0, 0] for request in requests] == [0, 3, 6, 9]


def test_two_models_remember_on_their_own(load: Load) -> None:
    first, second = load(counter()).create_infer_request(), load(counter(10)).create_infer_request()
    assert [run(first), run(second), run(first), run(second)] == [1, 11, 2, 12]


# query_state


def test_a_request_lists_its_states(request_: Any) -> None:
    assert [state.name for state in request_.query_state()] == ["total"]


def test_every_variable_is_a_state(load: Load) -> None:
    request = load(two_counters()).create_infer_request()
    assert {state.name for state in request.query_state()} == {"up", "down"}


def test_a_state_is_the_result_of_the_last_run(ov: Any, request_: Any) -> None:
    run(request_, times=3)
    tensor = state_of(request_).state
    assert isinstance(tensor, ov.Tensor)
    assert tensor.element_type == ov.Type.f32
    assert tensor.data.tolist() == [[3, 3, 3, 3]]


def test_a_state_queried_once_follows_the_request(request_: Any) -> None:
    state = state_of(request_)
    for expected in (1, 2, 3):
        run(request_)
        assert state.state.data.tolist() == [[expected] * 4]


def test_a_state_outlives_its_request(model: Any) -> None:
    request = model.create_infer_request()
    run(request, times=2)
    state = state_of(request)
    del request
    gc.collect()
    assert state.name == "total"
    assert state.state.data.tolist() == [[2, 2, 2, 2]]


def test_the_name_of_a_state_cannot_be_assigned(request_: Any) -> None:
    state = state_of(request_)
    with pytest.raises(AttributeError):
        state.name = "other"


# Setting


def test_a_state_can_be_set(ov: Any, request_: Any) -> None:
    run(request_)
    state_of(request_).state = ov.Tensor(np.full((1, 4), 10, np.float32))
    assert state_of(request_).state.data.tolist() == [[10, 10, 10, 10]]
    assert [run(request_), run(request_)] == [11, 12]


def test_a_state_can_be_set_before_the_first_run(ov: Any, request_: Any) -> None:
    state_of(request_).state = ov.Tensor(np.full((1, 4), 10, np.float32))
    assert run(request_) == 11


def test_a_state_is_set_to_a_copy(ov: Any, request_: Any) -> None:
    source = ov.Tensor(np.full((1, 4), 10, np.float32))
    state_of(request_).state = source
    source.data[:] = 99
    assert state_of(request_).state.data.tolist() == [[10, 10, 10, 10]]
    assert run(request_) == 11


def test_a_state_is_set_from_shared_memory(ov: Any, request_: Any) -> None:
    array = np.full((1, 4), 10, np.float32)
    state_of(request_).state = ov.Tensor(array, shared_memory=True)
    array[:] = 99
    assert run(request_) == 11


def test_a_state_is_set_for_one_request_only(ov: Any, model: Any) -> None:
    first, second = model.create_infer_request(), model.create_infer_request()
    state_of(first).state = ov.Tensor(np.full((1, 4), 10, np.float32))
    assert (run(first), run(second)) == (11, 1)


def test_a_state_is_set_for_one_variable_only(ov: Any, load: Load) -> None:
    request = load(two_counters()).create_infer_request()
    request.infer(ones(2))
    state_of(request, "up").state = ov.Tensor(np.full((1, 2), 10, np.float32))
    results = request.infer(ones(2))
    assert (results["up"].tolist(), results["down"].tolist()) == ([[11, 11]], [[-2, -2]])


def test_a_state_can_go_from_one_request_to_another(model: Any) -> None:
    first, second = model.create_infer_request(), model.create_infer_request()
    run(first, times=3)
    state_of(second).state = state_of(first).state
    assert (run(second), run(first)) == (4, 4)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "float16"])
def test_a_state_of_another_type_is_converted(ov: Any, request_: Any, dtype: str) -> None:
    state_of(request_).state = ov.Tensor(np.full((1, 4), 3, dtype))
    assert state_of(request_).state.element_type == ov.Type.f32
    assert run(request_) == 4


@pytest.mark.parametrize("shape", [(1, 3), (1, 5), (2, 4), (4,), (1, 1, 4), ()], ids=str)
def test_a_state_of_another_shape_is_refused(
    ov: Any, request_: Any, shape: tuple[int, ...]
) -> None:
    run(request_, times=2)
    state = state_of(request_)
    tensor = ov.Tensor(np.zeros(shape, np.float32))
    with pytest.raises(RuntimeError):
        state.state = tensor
    assert run(request_) == 3


@pytest.mark.parametrize("value", [np.zeros((1, 4), np.float32), [0.0], None, 0.0])
def test_a_state_is_set_to_a_tensor(request_: Any, value: object) -> None:
    state = state_of(request_)
    with pytest.raises(TypeError):
        state.state = value


# Resetting


@pytest.mark.parametrize("start", [0, 5])
def test_a_reset_brings_back_the_value_in_the_model(load: Load, start: float) -> None:
    request = load(counter(start)).create_infer_request()
    run(request, times=3)
    request.reset_state()
    assert [run(request), run(request)] == [start + 1, start + 2]


def test_one_state_can_be_reset(load: Load) -> None:
    request = load(two_counters()).create_infer_request()
    request.infer(ones(2))
    request.infer(ones(2))
    state_of(request, "up").reset()
    results = request.infer(ones(2))
    assert (results["up"].tolist(), results["down"].tolist()) == ([[1, 1]], [[-3, -3]])


def test_reset_state_resets_every_variable(load: Load) -> None:
    request = load(two_counters()).create_infer_request()
    request.infer(ones(2))
    request.reset_state()
    results = request.infer(ones(2))
    assert (results["up"].tolist(), results["down"].tolist()) == ([[1, 1]], [[-1, -1]])


def test_a_reset_takes_back_a_value_that_was_set(ov: Any, request_: Any) -> None:
    state_of(request_).state = ov.Tensor(np.full((1, 4), 10, np.float32))
    request_.reset_state()
    assert run(request_) == 1


def test_a_reset_before_the_first_run_changes_nothing(request_: Any) -> None:
    request_.reset_state()
    request_.reset_state()
    assert run(request_) == 1


def test_a_reset_is_for_one_request_only(model: Any) -> None:
    first, second = model.create_infer_request(), model.create_infer_request()
    run(first, times=2)
    run(second, times=2)
    first.reset_state()
    assert (run(first), run(second)) == (1, 3)


# A state whose shape grows


def test_a_state_of_dynamic_shape_grows(load: Load) -> None:
    request = load(growing()).create_infer_request()
    assert request.infer(line(1, 2))[0].tolist() == [[1, 2]]
    assert request.infer(line(3))[0].tolist() == [[1, 2, 3]]
    assert state_of(request, "cache").state.data.tolist() == [[1, 2, 3]]
    assert request.infer(line(4, 5, 6))[0].tolist() == [[1, 2, 3, 4, 5, 6]]


def test_a_state_of_dynamic_shape_grows_for_many_runs(load: Load) -> None:
    request = load(growing()).create_infer_request()
    for number in range(100):
        (joined,) = request.infer(line(number)).values()
    assert joined.tolist() == [list(range(100))]


@pytest.mark.parametrize("count", [1, 5])
def test_a_state_of_dynamic_shape_is_set_in_any_length(ov: Any, load: Load, count: int) -> None:
    request = load(growing()).create_infer_request()
    request.infer(line(9, 9))
    state_of(request, "cache").state = ov.Tensor(np.zeros((1, count), np.float32))
    assert request.infer(line(1))[0].tolist() == [[0] * count + [1]]


def test_a_state_of_dynamic_shape_keeps_its_fixed_lengths(ov: Any, load: Load) -> None:
    request = load(growing()).create_infer_request()
    state = state_of(request, "cache")
    tensor = ov.Tensor(np.zeros((2, 5), np.float32))
    with pytest.raises(RuntimeError):
        state.state = tensor


def test_a_reset_empties_a_state_that_has_grown(load: Load) -> None:
    request = load(growing()).create_infer_request()
    request.infer(line(1, 2))
    request.reset_state()
    assert request.infer(line(3))[0].tolist() == [[3]]


# CompiledModel


@pytest.fixture
def fresh(load: Load) -> Any:
    """A compiled model that was not called before."""
    return load(counter())


def test_calling_a_model_remembers(fresh: Any) -> None:
    assert [fresh(ones())[0][0, 0] for _ in range(3)] == [1, 2, 3]


def test_a_model_lists_and_resets_the_states_of_its_calls(fresh: Any) -> None:
    assert [state.name for state in fresh.query_state()] == ["total"]
    fresh(ones())
    fresh(ones())
    assert fresh.query_state()[0].state.data.tolist() == [[2, 2, 2, 2]]
    fresh.reset_state()
    assert fresh(ones())[0][0, 0] == 1


def test_a_state_of_a_model_can_be_set(ov: Any, fresh: Any) -> None:
    fresh.query_state()[0].state = ov.Tensor(np.full((1, 4), 10, np.float32))
    assert fresh(ones())[0][0, 0] == 11


def test_calls_and_requests_remember_on_their_own(fresh: Any) -> None:
    request = fresh.create_infer_request()
    fresh(ones())
    assert run(request) == 1
    fresh.reset_state()
    assert run(request) == 2


def test_infer_new_request_remembers_nothing(fresh: Any) -> None:
    fresh(ones())
    assert [fresh.infer_new_request(ones())[0][0, 0] for _ in range(2)] == [1, 1]
    assert fresh(ones())[0][0, 0] == 2


# Without a memory, and while running


@pytest.fixture
def stateless(load: Load) -> Any:
    x = parameter("x", [1, 4])
    return load(openvino.Model([named(opset.result(opset.relu(x)), "y")], [x], "stateless"))


def test_a_model_without_variables_has_no_states(stateless: Any) -> None:
    request = stateless.create_infer_request()
    assert request.query_state() == []
    assert stateless.query_state() == []


def test_a_model_without_variables_can_be_reset(stateless: Any) -> None:
    request = stateless.create_infer_request()
    request.reset_state()
    stateless.reset_state()
    assert request.infer(ones())[0].tolist() == [[1, 1, 1, 1]]


BUSY: Final[dict[str, Callable[[Any], Any]]] = {
    "query_state": lambda request: request.query_state(),
    "reset_state": lambda request: request.reset_state(),
}


@pytest.fixture(scope="module")
def slow(load: Load) -> Any:
    return load(slow_counter())


@pytest.mark.parametrize("access", BUSY.values(), ids=BUSY.keys())
def test_states_are_refused_while_the_request_runs(slow: Any, access: Callable[[Any], Any]) -> None:
    request = slow.create_infer_request()
    request.start_async(np.zeros((SLOW_SIZE, SLOW_SIZE), np.float32))
    with pytest.raises(RuntimeError, match="busy"):
        access(request)
    request.wait()
    assert request.results["runs"].tolist() == [1]
    access(request)


def test_a_state_knows_its_name_while_the_request_runs(slow: Any) -> None:
    request = slow.create_infer_request()
    state = state_of(request)
    request.start_async(np.zeros((SLOW_SIZE, SLOW_SIZE), np.float32))
    assert state.name == "total"
    request.wait()
    assert state.state.data.tolist() == [1]
