"""The tensors of a request: got and set by index, name and port; aliases, never copies."""

import functools
import gc
import itertools
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Load = Callable[[bytes], Any]
Array = NDArray[Any]
Use = Callable[..., Any]


@pytest.fixture(scope="module")
def load(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Compile a model for the CPU, once for all tests."""
    core, folder = ov.Core(), tmp_path_factory.mktemp("models")

    @functools.cache
    def load(model: bytes) -> Any:
        path = folder / f"{hash(model)}.onnx"
        path.write_bytes(model)
        return core.compile_model(path, "CPU")

    return load


@pytest.fixture
def minus(load: Load) -> Any:
    """A request of difference = a - b, float32 (1, 4)."""
    return load(models.subtract((1, 4))).create_infer_request()


@pytest.fixture
def relu(load: Load) -> Any:
    """A request of y = max(x, 0), float32 (1, 4)."""
    return load(models.relu((1, 4))).create_infer_request()


@pytest.fixture
def two_outputs(load: Load) -> Any:
    """A request of positive = max(x, 0) and negated = -x, float32 (1, 4)."""
    return load(models.two_outputs((1, 4))).create_infer_request()


def row(*values: float) -> Array:
    return np.array([values or (-1, 2, -3, 4)], np.float32)


def full(ov: Any, value: float, shape: tuple[int, ...] = (1, 4), dtype: Any = np.float32) -> Any:
    """A tensor of the test's own."""
    return ov.Tensor(np.full(shape, value, dtype))


def same_memory(one: Any, other: Any) -> bool:
    return np.shares_memory(one.data, other.data)


def value(tensor: Any) -> Any:
    """The one value that all elements have."""
    (only,) = set(tensor.data.ravel().tolist())
    return only


# Getting

WAYS_TO_GET_A = [
    pytest.param(lambda r: r.get_input_tensor(0), id="index"),
    pytest.param(lambda r: r.get_input_tensor(index=0), id="keyword index"),
    pytest.param(lambda r: r.get_input_tensor(np.int64(0)), id="numpy index"),
    pytest.param(lambda r: r.get_tensor("a"), id="name"),
    pytest.param(lambda r: r.get_tensor(name="a"), id="keyword name"),
    pytest.param(lambda r: r.get_tensor(r.model_inputs[0]), id="port"),
    pytest.param(lambda r: r.get_tensor(port=r.model_inputs[0]), id="keyword port"),
    pytest.param(lambda r: r.get_tensor(r.get_compiled_model().input("a")), id="port of model"),
    pytest.param(lambda r: r.input_tensors[0], id="list"),
]

WAYS_TO_GET_DIFFERENCE = [
    pytest.param(lambda r: r.get_output_tensor(), id="only output"),
    pytest.param(lambda r: r.get_output_tensor(0), id="index"),
    pytest.param(lambda r: r.get_output_tensor(index=0), id="keyword index"),
    pytest.param(lambda r: r.get_tensor("difference"), id="name"),
    pytest.param(lambda r: r.get_tensor(r.model_outputs[0]), id="port"),
    pytest.param(lambda r: r.output_tensors[0], id="list"),
]


@pytest.mark.parametrize("get", WAYS_TO_GET_A)
def test_an_input_is_the_same_memory_however_it_is_got(minus: Any, get: Use) -> None:
    get(minus).data[:] = 7
    minus.get_input_tensor(1).data[:] = 5
    assert value(minus.get_input_tensor(0)) == 7
    assert value(get(minus)) == 7
    minus.infer()
    assert value(minus.get_output_tensor()) == 2


@pytest.mark.parametrize("get", WAYS_TO_GET_DIFFERENCE)
def test_an_output_is_the_same_memory_however_it_is_got(minus: Any, get: Use) -> None:
    minus.infer([row(9, 9, 9, 9), row(1, 2, 3, 4)])
    assert get(minus).data.tolist() == [[8, 7, 6, 5]]
    assert same_memory(get(minus), minus.get_output_tensor())


def test_tensors_have_the_shape_and_element_type_of_their_port(ov: Any, minus: Any) -> None:
    for tensor in (*minus.input_tensors, *minus.output_tensors):
        assert isinstance(tensor, ov.Tensor)
        assert tensor.shape == [1, 4]
        assert tensor.element_type == ov.Type.f32
        assert tensor.data.dtype == np.float32


def test_each_input_has_memory_of_its_own(minus: Any) -> None:
    a, b, difference = minus.get_tensor("a"), minus.get_tensor("b"), minus.get_tensor("difference")
    assert not same_memory(a, b)
    assert not same_memory(a, difference)


def test_each_request_has_memory_of_its_own(minus: Any) -> None:
    other = minus.get_compiled_model().create_infer_request()
    for mine, theirs in zip(minus.input_tensors, other.input_tensors, strict=True):
        assert not same_memory(mine, theirs)
    assert not same_memory(minus.get_output_tensor(), other.get_output_tensor())


def test_the_lists_of_tensors_are_in_the_order_of_the_ports(two_outputs: Any, minus: Any) -> None:
    assert isinstance(minus.input_tensors, list)
    assert isinstance(minus.output_tensors, list)
    minus.infer([row(1, 1, 1, 1), row(2, 2, 2, 2)])
    assert [value(tensor) for tensor in minus.input_tensors] == [1, 2]
    two_outputs.infer(row(3, 3, 3, 3))
    assert [value(tensor) for tensor in two_outputs.output_tensors] == [3, -3]


def test_an_output_is_found_by_any_of_its_names(load: Load) -> None:
    request = load(models.two_names((1, 4))).create_infer_request()
    request.infer(row(1, -2, 3, -4))
    assert request.get_tensor("early").data.tolist() == [[1, 0, 3, 0]]
    assert same_memory(request.get_tensor("early"), request.get_tensor("late"))


def test_the_only_input_needs_no_index(two_outputs: Any) -> None:
    assert same_memory(two_outputs.get_input_tensor(), two_outputs.get_input_tensor(0))


def test_the_port_of_another_compilation_of_the_same_model_is_taken(core: Any, relu: Any) -> None:
    again = core.compile_model(core.read_model(models.relu((1, 4))), "CPU")
    assert same_memory(relu.get_tensor(again.input()), relu.get_input_tensor())


@pytest.mark.parametrize(
    ("get", "error"),
    [
        pytest.param(lambda r, port: r.get_input_tensor(), RuntimeError, id="which of two inputs"),
        pytest.param(lambda r, port: r.get_input_tensor(2), RuntimeError, id="input 2 of 2"),
        pytest.param(lambda r, port: r.get_input_tensor(2**40), RuntimeError, id="input 2**40"),
        pytest.param(lambda r, port: r.get_input_tensor(-1), TypeError, id="input -1"),
        pytest.param(lambda r, port: r.get_input_tensor("a"), TypeError, id="input by name"),
        pytest.param(lambda r, port: r.get_input_tensor(0.0), TypeError, id="input 0.0"),
        pytest.param(lambda r, port: r.get_input_tensor(None), TypeError, id="input None"),
        pytest.param(lambda r, port: r.get_input_tensor(0, 1), TypeError, id="input 0, 1"),
        pytest.param(lambda r, port: r.get_input_tensor(idx=0), TypeError, id="input idx=0"),
        pytest.param(lambda r, port: r.get_output_tensor(1), RuntimeError, id="output 1 of 1"),
        pytest.param(lambda r, port: r.get_output_tensor(-1), TypeError, id="output -1"),
        pytest.param(lambda r, port: r.get_output_tensor("y"), TypeError, id="output by name"),
        pytest.param(lambda r, port: r.get_output_tensor(0.0), TypeError, id="output 0.0"),
        pytest.param(lambda r, port: r.get_output_tensor(None), TypeError, id="output None"),
        pytest.param(lambda r, port: r.get_output_tensor(idx=0), TypeError, id="output idx=0"),
        pytest.param(lambda r, port: r.get_tensor("nope"), RuntimeError, id="unknown name"),
        pytest.param(lambda r, port: r.get_tensor(""), RuntimeError, id="empty name"),
        pytest.param(lambda r, port: r.get_tensor(port), RuntimeError, id="foreign port"),
        pytest.param(lambda r, port: r.get_tensor(0), TypeError, id="tensor by index"),
        pytest.param(lambda r, port: r.get_tensor(None), TypeError, id="tensor None"),
        pytest.param(lambda r, port: r.get_tensor(1.5), TypeError, id="tensor 1.5"),
        pytest.param(lambda r, port: r.get_tensor(), TypeError, id="no name at all"),
    ],
)
def test_a_tensor_that_is_not_there_is_refused(
    minus: Any, relu: Any, get: Use, error: type[Exception]
) -> None:
    with pytest.raises(error):
        get(minus, relu.model_inputs[0])


def test_which_of_two_outputs_has_to_be_said(two_outputs: Any) -> None:
    with pytest.raises(RuntimeError):
        two_outputs.get_output_tensor()
    assert two_outputs.get_output_tensor(1).shape == [1, 4]
    with pytest.raises(RuntimeError):
        two_outputs.get_output_tensor(2)


@pytest.mark.parametrize(
    "name", ["input_tensors", "output_tensors", "model_inputs", "model_outputs"]
)
def test_the_lists_are_read_only(minus: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(minus, name, [])


# Setting: the request uses the tensor that it was given, and no copy of it

WAYS_TO_SET_A = [
    pytest.param(lambda r, t: r.set_input_tensor(0, t), id="index"),
    pytest.param(lambda r, t: r.set_input_tensor(index=0, tensor=t), id="keywords"),
    pytest.param(lambda r, t: r.set_tensor("a", t), id="name"),
    pytest.param(lambda r, t: r.set_tensor(r.model_inputs[0], t), id="port"),
    pytest.param(lambda r, t: r.set_tensors({"a": t}), id="dict by name"),
    pytest.param(lambda r, t: r.set_tensors({0: t}), id="dict by index"),
    pytest.param(lambda r, t: r.set_tensors({r.model_inputs[0]: t}), id="dict by port"),
    pytest.param(lambda r, t: r.set_input_tensors({0: t}), id="dict of inputs"),
    pytest.param(lambda r, t: r.infer({"a": t}), id="infer"),
]

WAYS_TO_SET_DIFFERENCE = [
    pytest.param(lambda r, t: r.set_output_tensor(t), id="only output"),
    pytest.param(lambda r, t: r.set_output_tensor(tensor=t), id="only output, keyword"),
    pytest.param(lambda r, t: r.set_output_tensor(0, t), id="index"),
    pytest.param(lambda r, t: r.set_output_tensor(index=0, tensor=t), id="keywords"),
    pytest.param(lambda r, t: r.set_tensor("difference", t), id="name"),
    pytest.param(lambda r, t: r.set_tensor(r.model_outputs[0], t), id="port"),
    pytest.param(lambda r, t: r.set_tensors({"difference": t}), id="dict by name"),
    pytest.param(lambda r, t: r.set_tensors({r.model_outputs[0]: t}), id="dict by port"),
    pytest.param(lambda r, t: r.set_output_tensors({0: t}), id="dict of outputs"),
]


@pytest.mark.parametrize("set_a", WAYS_TO_SET_A)
def test_an_input_that_was_set_is_read_by_every_later_run(ov: Any, minus: Any, set_a: Use) -> None:
    minus.get_tensor("b").data[:] = 1
    mine = full(ov, 5)
    set_a(minus, mine)
    assert same_memory(minus.get_input_tensor(0), mine)
    minus.infer()
    assert value(minus.get_output_tensor()) == 4
    mine.data[:] = 10
    minus.start_async()
    minus.wait()
    assert value(minus.get_output_tensor()) == 9
    assert value(minus.get_input_tensor(1)) == 1


@pytest.mark.parametrize("set_difference", WAYS_TO_SET_DIFFERENCE)
def test_an_output_that_was_set_is_written_by_every_later_run(
    ov: Any, minus: Any, set_difference: Use
) -> None:
    mine = full(ov, 0)
    set_difference(minus, mine)
    assert same_memory(minus.get_output_tensor(), mine)
    minus.infer([row(5, 5, 5, 5), row(1, 1, 1, 1)])
    assert value(mine) == 4
    minus.start_async([row(9, 9, 9, 9)])
    minus.wait()
    assert value(mine) == 8
    assert value(minus.get_output_tensor()) == 8


def test_the_array_behind_a_shared_tensor_is_read_and_written(ov: Any, relu: Any) -> None:
    given, answer = row(-1, 2, -3, 4), row(9, 9, 9, 9)
    relu.set_input_tensor(ov.Tensor(given, shared_memory=True))
    relu.set_output_tensor(ov.Tensor(answer, shared_memory=True))
    relu.infer()
    assert answer.tolist() == [[0, 2, 0, 4]]
    given[:] = row(5, -6, 7, -8)
    relu.start_async()
    relu.wait()
    assert answer.tolist() == [[5, 0, 7, 0]]


def test_part_of_an_array_is_an_output(ov: Any, relu: Any) -> None:
    answers = np.zeros((3, 4), np.float32)
    for i in range(3):
        relu.set_output_tensor(ov.Tensor(answers[i : i + 1], shared_memory=True))
        relu.infer(np.full((1, 4), i + 1, np.float32))
    assert answers.tolist() == [[1] * 4, [2] * 4, [3] * 4]


def test_results_are_copies_of_an_output_that_was_set(ov: Any, relu: Any) -> None:
    mine = full(ov, 0)
    relu.set_output_tensor(mine)
    result = relu.infer(row(1, 2, 3, 4))[0]
    assert result.tolist() == [[1, 2, 3, 4]]
    assert not np.shares_memory(result, mine.data)


def test_shared_results_are_views_of_an_output_that_was_set(ov: Any, relu: Any) -> None:
    mine = full(ov, 0)
    relu.set_output_tensor(mine)
    assert np.shares_memory(relu.infer(row(), share_outputs=True)[0], mine.data)


def test_a_tensor_that_was_replaced_is_left_alone(ov: Any, relu: Any) -> None:
    old_input, old_output = full(ov, 1), full(ov, 0)
    relu.set_input_tensor(old_input)
    relu.set_output_tensor(old_output)
    relu.infer()
    relu.set_input_tensor(full(ov, 2))
    relu.set_output_tensor(full(ov, 0))
    old_input.data[:] = 9
    relu.infer()
    assert value(old_output) == 1
    assert value(relu.get_output_tensor()) == 2


def test_a_request_keeps_the_tensor_that_it_was_given(ov: Any, relu: Any) -> None:
    relu.set_input_tensor(full(ov, 3))
    relu.set_output_tensor(full(ov, 0))
    gc.collect()
    relu.infer()
    assert value(relu.get_output_tensor()) == 3


def test_several_tensors_are_set_at_once(ov: Any, minus: Any) -> None:
    a, b, difference = full(ov, 7), full(ov, 3), full(ov, 0)
    minus.set_tensors({"a": a, 1: b, minus.model_outputs[0]: difference})
    minus.infer()
    assert value(difference) == 4
    assert same_memory(minus.get_tensor("a"), a)
    assert same_memory(minus.get_tensor("b"), b)


def test_all_inputs_and_all_outputs_are_set_at_once(ov: Any, minus: Any, two_outputs: Any) -> None:
    minus.set_input_tensors({1: full(ov, 3), 0: full(ov, 7)})
    minus.infer()
    assert value(minus.get_output_tensor()) == 4
    positive, negated = full(ov, 0), full(ov, 0)
    two_outputs.set_output_tensors({0: positive, 1: negated})
    two_outputs.infer(row(2, 2, 2, 2))
    assert (value(positive), value(negated)) == (2, -2)


@pytest.mark.parametrize("name", ["set_tensors", "set_input_tensors", "set_output_tensors"])
def test_an_empty_dict_changes_nothing(ov: Any, minus: Any, name: str) -> None:
    mine = full(ov, 5)
    minus.set_tensor("a", mine)
    getattr(minus, name)({})
    assert same_memory(minus.get_tensor("a"), mine)


REFUSED_TENSORS = [
    pytest.param(lambda ov: full(ov, 1, (1, 5)), RuntimeError, id="too large"),
    pytest.param(lambda ov: full(ov, 1, (1, 3)), RuntimeError, id="too small"),
    pytest.param(lambda ov: full(ov, 1, (4,)), RuntimeError, id="rank too low"),
    pytest.param(lambda ov: full(ov, 1, (1, 1, 4)), RuntimeError, id="rank too high"),
    pytest.param(lambda ov: full(ov, 1, (2, 2)), RuntimeError, id="same size, other shape"),
    pytest.param(lambda ov: full(ov, 1, (4, 1)), RuntimeError, id="transposed"),
    pytest.param(lambda ov: full(ov, 1, dtype=np.float64), RuntimeError, id="f64"),
    pytest.param(lambda ov: full(ov, 1, dtype=np.float16), RuntimeError, id="f16"),
    pytest.param(lambda ov: full(ov, 1, dtype=np.int32), RuntimeError, id="i32"),
    pytest.param(lambda ov: full(ov, 1, (1, 16), np.uint8), RuntimeError, id="as many bytes"),
    pytest.param(lambda ov: row(), TypeError, id="an array"),
    pytest.param(lambda ov: row().tolist(), TypeError, id="a list"),
    pytest.param(lambda ov: 1.0, TypeError, id="a number"),
    pytest.param(lambda ov: None, TypeError, id="None"),
]


@pytest.mark.parametrize(("make", "error"), REFUSED_TENSORS)
@pytest.mark.parametrize(
    "set_a",
    [
        pytest.param(lambda r, t: r.set_input_tensor(0, t), id="index"),
        pytest.param(lambda r, t: r.set_tensor("a", t), id="name"),
        pytest.param(lambda r, t: r.set_tensor(r.model_inputs[0], t), id="port"),
        pytest.param(lambda r, t: r.set_tensors({"a": t}), id="dict"),
    ],
)
def test_a_refused_input_leaves_the_old_one(
    ov: Any, minus: Any, set_a: Use, make: Use, error: type[Exception]
) -> None:
    minus.set_input_tensors({0: full(ov, 5), 1: full(ov, 2)})
    old = minus.get_input_tensor(0)
    with pytest.raises(error):
        set_a(minus, make(ov))
    assert same_memory(minus.get_input_tensor(0), old)
    minus.infer()
    assert value(minus.get_output_tensor()) == 3


@pytest.mark.parametrize(("make", "error"), REFUSED_TENSORS)
@pytest.mark.parametrize(
    "set_difference",
    [
        pytest.param(lambda r, t: r.set_output_tensor(t), id="only output"),
        pytest.param(lambda r, t: r.set_output_tensor(0, t), id="index"),
        pytest.param(lambda r, t: r.set_tensor("difference", t), id="name"),
    ],
)
def test_a_refused_output_leaves_the_old_one(
    ov: Any, minus: Any, set_difference: Use, make: Use, error: type[Exception]
) -> None:
    old = full(ov, 0)
    minus.set_output_tensor(old)
    with pytest.raises(error):
        set_difference(minus, make(ov))
    assert same_memory(minus.get_output_tensor(), old)
    minus.infer([row(3, 3, 3, 3), row(1, 1, 1, 1)])
    assert value(old) == 2


@pytest.mark.parametrize(
    ("set_tensor", "error"),
    [
        pytest.param(lambda r, t, p: r.set_input_tensor(t), RuntimeError, id="which of two inputs"),
        pytest.param(lambda r, t, p: r.set_input_tensor(2, t), RuntimeError, id="input 2 of 2"),
        pytest.param(lambda r, t, p: r.set_input_tensor(-1, t), TypeError, id="input -1"),
        pytest.param(lambda r, t, p: r.set_input_tensor("a", t), TypeError, id="input by name"),
        pytest.param(lambda r, t, p: r.set_input_tensor(0.0, t), TypeError, id="input 0.0"),
        pytest.param(lambda r, t, p: r.set_input_tensor(None, t), TypeError, id="input None"),
        pytest.param(lambda r, t, p: r.set_input_tensor(), TypeError, id="input without tensor"),
        pytest.param(lambda r, t, p: r.set_input_tensor(0, t, t), TypeError, id="input twice"),
        pytest.param(lambda r, t, p: r.set_output_tensor(1, t), RuntimeError, id="output 1 of 1"),
        pytest.param(lambda r, t, p: r.set_output_tensor(-1, t), TypeError, id="output -1"),
        pytest.param(lambda r, t, p: r.set_output_tensor("y", t), TypeError, id="output by name"),
        pytest.param(lambda r, t, p: r.set_output_tensor(None, t), TypeError, id="output None"),
        pytest.param(lambda r, t, p: r.set_output_tensor(), TypeError, id="output without tensor"),
        pytest.param(lambda r, t, p: r.set_tensor("nope", t), RuntimeError, id="unknown name"),
        pytest.param(lambda r, t, p: r.set_tensor(p, t), RuntimeError, id="foreign port"),
        pytest.param(lambda r, t, p: r.set_tensor(0, t), TypeError, id="tensor by index"),
        pytest.param(lambda r, t, p: r.set_tensor(None, t), TypeError, id="tensor None"),
        pytest.param(lambda r, t, p: r.set_tensor("a"), TypeError, id="name without tensor"),
        pytest.param(
            lambda r, t, p: r.set_tensors({"nope": t}), RuntimeError, id="dict: unknown name"
        ),
        pytest.param(lambda r, t, p: r.set_tensors({2: t}), RuntimeError, id="dict: input 2 of 2"),
        pytest.param(lambda r, t, p: r.set_tensors({p: t}), RuntimeError, id="dict: foreign port"),
        pytest.param(lambda r, t, p: r.set_tensors([t, t]), TypeError, id="a list for a dict"),
        pytest.param(lambda r, t, p: r.set_tensors(None), TypeError, id="None for a dict"),
        pytest.param(
            lambda r, t, p: r.set_input_tensors({2: t}), RuntimeError, id="inputs: 2 of 2"
        ),
        pytest.param(
            lambda r, t, p: r.set_input_tensors({"a": t}), TypeError, id="inputs: by name"
        ),
        pytest.param(
            lambda r, t, p: r.set_input_tensors({r.model_inputs[0]: t}),
            TypeError,
            id="inputs: by port",
        ),
        pytest.param(lambda r, t, p: r.set_input_tensors({0.0: t}), TypeError, id="inputs: 0.0"),
        pytest.param(
            lambda r, t, p: r.set_input_tensors({0: row()}), RuntimeError, id="inputs: array"
        ),
        pytest.param(lambda r, t, p: r.set_input_tensors(None), TypeError, id="inputs: None"),
        pytest.param(
            lambda r, t, p: r.set_output_tensors({1: t}), RuntimeError, id="outputs: 1 of 1"
        ),
        pytest.param(
            lambda r, t, p: r.set_output_tensors({"y": t}), TypeError, id="outputs: by name"
        ),
        pytest.param(
            lambda r, t, p: r.set_output_tensors({0: row()}), RuntimeError, id="outputs: array"
        ),
        pytest.param(lambda r, t, p: r.set_output_tensors(None), TypeError, id="outputs: None"),
    ],
)
def test_a_tensor_for_a_port_that_is_not_there_is_refused(
    ov: Any, minus: Any, relu: Any, set_tensor: Use, error: type[Exception]
) -> None:
    minus.set_tensors({"a": full(ov, 5), "b": full(ov, 3)})
    with pytest.raises(error):
        set_tensor(minus, full(ov, 9), relu.model_inputs[0])
    minus.infer()
    assert value(minus.get_output_tensor()) == 2


# Views live as long as somebody looks at them


def test_a_view_of_an_output_sees_later_runs(relu: Any) -> None:
    tensor = relu.get_output_tensor()
    view = tensor.data
    for i in range(1, 4):
        relu.infer(np.full((1, 4), i, np.float32))
        assert view.tolist() == [[i] * 4]
        assert value(tensor) == i


def test_what_is_written_into_a_view_of_an_input_is_read_by_the_next_run(relu: Any) -> None:
    view = relu.get_input_tensor().data
    for i in range(1, 4):
        view[:] = i
        assert relu.infer()[0].tolist() == [[i] * 4]


def test_a_view_of_an_input_sees_what_infer_was_given(relu: Any) -> None:
    view = relu.get_input_tensor().data
    relu.infer(row(1, 2, 3, 4))
    assert view.tolist() == [[1, 2, 3, 4]]


def test_views_outlive_their_request(load: Load) -> None:
    request = load(models.relu((1, 4))).create_infer_request()
    given, answer = request.get_input_tensor().data, request.get_output_tensor().data
    request.infer(row(-1, 2, -3, 4))
    del request
    gc.collect()
    assert given.tolist() == [[-1, 2, -3, 4]]
    assert answer.tolist() == [[0, 2, 0, 4]]
    given[:] = 9
    answer[:] = 7
    assert (given == 9).all()
    assert (answer == 7).all()


def test_tensors_outlive_their_request(load: Load) -> None:
    request = load(models.relu((1, 4))).create_infer_request()
    tensor = request.get_output_tensor()
    request.infer(row(1, 2, 3, 4))
    del request
    gc.collect()
    assert tensor.data.tolist() == [[1, 2, 3, 4]]
    assert tensor.shape == [1, 4]


def test_the_memory_of_a_dropped_request_is_not_given_to_the_next(load: Load) -> None:
    model = load(models.relu((1, 4)))
    views = []
    for i in range(20):
        request = model.create_infer_request()
        request.infer(np.full((1, 4), i, np.float32))
        views.append(request.get_output_tensor().data)
        del request
        gc.collect()
    assert [view[0, 0] for view in views] == list(range(20))


# One tensor in several places


def test_one_tensor_is_both_inputs(ov: Any, minus: Any) -> None:
    both = full(ov, 5)
    minus.set_tensor("a", both)
    minus.set_tensor("b", both)
    minus.infer()
    assert value(minus.get_output_tensor()) == 0
    assert same_memory(minus.get_input_tensor(0), minus.get_input_tensor(1))


def test_one_tensor_is_the_input_of_two_requests(ov: Any, relu: Any, two_outputs: Any) -> None:
    shared = full(ov, 5)
    relu.set_input_tensor(shared)
    two_outputs.set_input_tensor(shared)
    shared.data[:] = 6
    for request in (relu, two_outputs):
        request.start_async()
    for request in (relu, two_outputs):
        request.wait()
    assert value(relu.get_output_tensor()) == 6
    assert value(two_outputs.get_tensor("negated")) == -6


def test_the_input_of_one_request_is_set_to_the_input_of_another(minus: Any, relu: Any) -> None:
    minus.set_tensor("b", relu.get_input_tensor())
    relu.get_input_tensor().data[:] = 3
    minus.infer([row(5, 5, 5, 5)])
    assert value(minus.get_output_tensor()) == 2


def test_the_output_of_one_request_is_the_input_of_the_next(relu: Any, two_outputs: Any) -> None:
    two_outputs.set_input_tensor(relu.get_output_tensor())
    for given, expected in ((4, -4), (-4, 0), (7, -7)):
        relu.infer(np.full((1, 4), given, np.float32))
        two_outputs.infer()
        assert value(two_outputs.get_tensor("negated")) == expected


def test_the_input_of_the_next_request_is_the_output_of_one(relu: Any, two_outputs: Any) -> None:
    relu.set_output_tensor(two_outputs.get_input_tensor())
    relu.infer(row(4, 4, 4, 4))
    two_outputs.infer()
    assert value(two_outputs.get_tensor("negated")) == -4


def test_a_chain_of_requests_passes_on_its_tensors(load: Load) -> None:
    model = load(models.unary("Neg", (1, 4)))
    chain = [model.create_infer_request() for _ in range(5)]
    for before, after in itertools.pairwise(chain):
        after.set_input_tensor(before.get_output_tensor())
    for given in (3, 8):
        chain[0].get_input_tensor().data[:] = given
        for request in chain:
            request.start_async()
            request.wait()
        assert value(chain[-1].get_output_tensor()) == -given


def test_a_cascade_outlives_its_first_request(load: Load) -> None:
    model = load(models.unary("Neg", (1, 4)))
    first, second = model.create_infer_request(), model.create_infer_request()
    second.set_input_tensor(first.get_output_tensor())
    first.infer(row(5, 5, 5, 5))
    del first
    gc.collect()
    second.infer()
    assert value(second.get_output_tensor()) == 5


# The model behind the request


def test_the_ports_of_a_request_are_those_of_its_model(load: Load) -> None:
    model = load(models.subtract((1, 4)))
    request = model.create_infer_request()
    assert request.model_inputs == model.inputs
    assert request.model_outputs == model.outputs
    assert [port.any_name for port in request.model_inputs] == ["a", "b"]
    assert [port.any_name for port in request.model_outputs] == ["difference"]


def test_a_request_gives_its_compiled_model(ov: Any, load: Load) -> None:
    model = load(models.relu((1, 4)))
    again = model.create_infer_request().get_compiled_model()
    assert isinstance(again, ov.CompiledModel)
    assert again.inputs == model.inputs
    assert again.outputs == model.outputs
    assert again.create_infer_request().infer(row(1, 2, 3, 4))[0].tolist() == [[1, 2, 3, 4]]


def test_the_compiled_model_of_a_request_outlives_everything_else(ov: Any) -> None:
    core = ov.Core()
    model = core.compile_model(core.read_model(models.relu((1, 4))), "CPU")
    request = model.create_infer_request()
    again = request.get_compiled_model()
    del core, model, request
    gc.collect()
    assert again(row(-1, 2, -3, 4))[0].tolist() == [[0, 2, 0, 4]]


def test_a_request_is_made_by_its_model_only(ov: Any, load: Load) -> None:
    with pytest.raises(TypeError):
        ov.InferRequest()
    with pytest.raises(TypeError):
        ov.InferRequest(load(models.relu((1, 4))))
