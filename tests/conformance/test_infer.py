"""infer(): what it takes, what it copies and what it shares, what it answers, how it refuses.

Values are small integers: every device computes them exactly, in every precision it may choose.
"""

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import models
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

Load = Callable[[bytes], Any]
Array = NDArray[Any]
Make = Callable[..., Any]

copied_and_shared = pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])


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
def relu(load: Load) -> Any:
    return load(models.relu((1, 4)))


@pytest.fixture
def add(load: Load) -> Any:
    return load(models.add((1, 4)))


@pytest.fixture
def two_outputs(load: Load) -> Any:
    return load(models.two_outputs((1, 4)))


def row(*values: float) -> Array:
    """A float32 array of shape (1, 4), new each time: inputs may be shared."""
    return np.array([values or (-1, 2, -3, 4)], np.float32)


def infer(request: Any, inputs: Any = None, share: bool = False) -> Any:
    """The first output, as plain numbers."""
    return request.infer(inputs, share_inputs=share)[0].tolist()


class ArrayLike:
    """Not an array, but offers one, as tensors of other libraries do."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.array.copy() if copy else self.array


# What one input may be given as


@copied_and_shared
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ov, model, x: x, id="array"),
        pytest.param(lambda ov, model, x: ov.Tensor(x), id="tensor"),
        pytest.param(lambda ov, model, x: ArrayLike(x), id="array-like"),
        pytest.param(lambda ov, model, x: [x], id="list"),
        pytest.param(lambda ov, model, x: (x,), id="tuple"),
        pytest.param(lambda ov, model, x: {0: x}, id="by index"),
        pytest.param(lambda ov, model, x: {"x": x}, id="by name"),
        pytest.param(lambda ov, model, x: {model.input(): x}, id="by port"),
        pytest.param(lambda ov, model, x: [ov.Tensor(x)], id="list of tensor"),
        pytest.param(lambda ov, model, x: {"x": ov.Tensor(x)}, id="tensor by name"),
        pytest.param(lambda ov, model, x: {model.input(): ov.Tensor(x)}, id="tensor by port"),
        pytest.param(lambda ov, model, x: [ArrayLike(x)], id="list of array-like"),
        pytest.param(lambda ov, model, x: {0: ArrayLike(x)}, id="array-like by index"),
    ],
)
def test_one_input_is_taken_in_every_form(ov: Any, relu: Any, make: Make, share: bool) -> None:
    request = relu.create_infer_request()
    inputs = make(ov, relu, row(-1, 2, -3, 4))
    assert infer(request, inputs, share) == [[0, 2, 0, 4]]


@copied_and_shared
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ov, model, a, b: [a, b], id="list"),
        pytest.param(lambda ov, model, a, b: (a, b), id="tuple"),
        pytest.param(lambda ov, model, a, b: {0: a, 1: b}, id="by index"),
        pytest.param(lambda ov, model, a, b: {1: b, 0: a}, id="by index, in any order"),
        pytest.param(lambda ov, model, a, b: {"b": b, "a": a}, id="by name"),
        pytest.param(
            lambda ov, model, a, b: dict(zip(model.inputs, (a, b), strict=True)), id="by port"
        ),
        pytest.param(lambda ov, model, a, b: {0: a, "b": b}, id="by index and name"),
        pytest.param(lambda ov, model, a, b: {model.input(0): a, 1: b}, id="by port and index"),
        pytest.param(lambda ov, model, a, b: [ov.Tensor(a), b], id="tensor and array"),
        pytest.param(lambda ov, model, a, b: {"a": a, "b": ov.Tensor(b)}, id="array and tensor"),
    ],
)
def test_two_inputs_are_told_apart_in_every_form(
    ov: Any, load: Load, make: Make, share: bool
) -> None:
    minus = load(models.subtract((1, 4)))
    request = minus.create_infer_request()
    inputs = make(ov, minus, row(10, 20, 30, 40), row(1, 2, 3, 4))
    assert infer(request, inputs, share) == [[9, 18, 27, 36]]


@copied_and_shared
def test_the_results_of_one_model_are_inputs_of_the_next_by_position(
    two_outputs: Any, add: Any, share: bool
) -> None:
    results = two_outputs.create_infer_request().infer(row(1, 2, -3, -4))
    assert infer(add.create_infer_request(), results, share) == [[0, 0, 3, 4]]


@pytest.mark.parametrize("nothing", [None, {}, ()], ids=["None", "empty dict", "empty tuple"])
def test_without_inputs_the_previous_ones_are_used_again(relu: Any, nothing: Any) -> None:
    request = relu.create_infer_request()
    infer(request, row(1, 2, 3, 4))
    assert infer(request, nothing) == [[1, 2, 3, 4]]


def test_without_inputs_what_was_written_into_the_tensors_is_used(relu: Any) -> None:
    request = relu.create_infer_request()
    request.get_input_tensor().data[:] = row(-1, 2, -3, 4)
    assert infer(request) == [[0, 2, 0, 4]]


@copied_and_shared
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda ports, x: [x], 501, id="list fills the first"),
        pytest.param(lambda ports, x: (x,), 501, id="tuple fills the first"),
        pytest.param(lambda ports, x: {0: x}, 501, id="first by index"),
        pytest.param(lambda ports, x: {"a": x}, 501, id="first by name"),
        pytest.param(lambda ports, x: {ports[0]: x}, 501, id="first by port"),
        pytest.param(lambda ports, x: {1: x}, 510, id="second by index"),
        pytest.param(lambda ports, x: {"b": x}, 510, id="second by name"),
        pytest.param(lambda ports, x: {ports[1]: x}, 510, id="second by port"),
        pytest.param(lambda ports, x: [], 11, id="empty list"),
    ],
)
def test_an_input_left_out_keeps_its_value(
    add: Any, make: Make, expected: int, share: bool
) -> None:
    request = add.create_infer_request()
    infer(request, [np.full((1, 4), 10, np.float32), np.full((1, 4), 1, np.float32)])
    inputs = make(add.inputs, np.full((1, 4), 500, np.float32))
    assert infer(request, inputs, share) == [[expected] * 4]


@copied_and_shared
@pytest.mark.parametrize(
    "value",
    [3, 3.0, True, np.float32(3), np.float64(3), np.int64(3), np.uint8(3)],
    ids=lambda value: f"{type(value).__name__}",
)
def test_a_scalar_input_takes_any_number(load: Load, value: Any, share: bool) -> None:
    request = load(models.unary("Neg", ())).create_infer_request()
    assert infer(request, value, share) == -float(value)
    assert infer(request, {"x": value}, share) == -float(value)
    assert infer(request, [np.array(value)], share) == -float(value)


@pytest.mark.parametrize(
    ("element_type", "dtype"),
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.INT32, np.int32),
        (TensorProto.INT64, np.int64),
    ],
)
def test_scalars_take_the_element_type_of_their_input(
    load: Load, element_type: int, dtype: type
) -> None:
    request = load(models.add((), element_type)).create_infer_request()
    result = request.infer({"a": 3.0, "b": 4})[0]
    assert (result.shape, result.dtype) == ((), dtype)
    assert result == 7


@copied_and_shared
def test_a_list_of_plain_numbers_is_one_input(load: Load, share: bool) -> None:
    request = load(models.unary("Neg", (4,), TensorProto.INT64)).create_infer_request()
    assert infer(request, [1, 2, 3, 4], share) == [-1, -2, -3, -4]
    assert infer(request, {"x": [5, 6, 7, 8]}, share) == [-5, -6, -7, -8]


@copied_and_shared
def test_a_list_of_lists_of_plain_numbers_is_one_input(load: Load, share: bool) -> None:
    request = load(models.unary("Neg", (2, 2), TensorProto.INT64)).create_infer_request()
    assert infer(request, [[1, 2], [3, 4]], share) == [[-1, -2], [-3, -4]]


# Conversion: arrays take the element type and the order in memory that the input has


@pytest.mark.parametrize(
    "given", [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_]
)
@pytest.mark.parametrize(
    ("element_type", "dtype"),
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.INT8, np.int8),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.INT32, np.int32),
        (TensorProto.INT64, np.int64),
    ],
)
def test_an_array_of_another_type_is_cast(
    load: Load, element_type: int, dtype: type, given: type
) -> None:
    request = load(models.add((4,), element_type)).create_infer_request()
    inputs: list[Array] = [np.array(bits).astype(given) for bits in ([0, 0, 1, 1], [0, 1, 0, 1])]
    for share in (False, True):
        result = request.infer(inputs, share_inputs=share)[0]
        assert result.dtype == dtype
        assert result.tolist() == [0, 1, 1, 2]


@copied_and_shared
def test_casting_to_integers_drops_the_fraction(load: Load, share: bool) -> None:
    request = load(models.unary("Neg", (4,), TensorProto.INT32)).create_infer_request()
    assert infer(request, np.array([1.9, -1.9, 0.5, 3.0]), share) == [-1, 1, 0, -3]


@copied_and_shared
def test_casting_to_fewer_bits_wraps_around(load: Load, share: bool) -> None:
    request = load(models.add((4,), TensorProto.UINT8)).create_infer_request()
    zeros = np.zeros(4, np.uint8)
    assert infer(request, [np.array([255, 256, 300, -1]), zeros], share) == [255, 0, 44, 255]


def read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def unaligned(array: Array) -> Array:
    memory = np.frombuffer(bytearray(b"\0" + array.tobytes()), np.uint8)
    return memory[1:].view(array.dtype).reshape(array.shape)


ODD_LAYOUTS = [
    pytest.param(np.asfortranarray, id="Fortran order"),
    pytest.param(lambda x: np.repeat(x, 2, axis=1)[:, ::2], id="strided"),
    pytest.param(lambda x: x[::-1].copy()[::-1], id="reversed"),
    pytest.param(lambda x: x.T.copy().T, id="transposed"),
    pytest.param(lambda x: np.hstack([x, x])[:, : x.shape[1]], id="slice of a wider array"),
    pytest.param(lambda x: read_only(x.copy()), id="read-only"),
    pytest.param(lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape), id="of bytes"),
    pytest.param(lambda x: read_only(x.astype(np.float64)), id="read-only of another type"),
    pytest.param(lambda x: np.asfortranarray(x.astype(np.int16)), id="Fortran of another type"),
    pytest.param(lambda x: x.astype(">f4"), id="big-endian"),
]


@copied_and_shared
@pytest.mark.parametrize("lay_out", [*ODD_LAYOUTS, pytest.param(unaligned, id="unaligned")])
def test_an_array_is_read_in_whatever_layout_it_has(
    load: Load, lay_out: Callable[[Array], Array], share: bool
) -> None:
    x = np.arange(-4, 8, dtype=np.float32).reshape(3, 4)
    request = load(models.relu((3, 4))).create_infer_request()
    assert infer(request, lay_out(x), share) == np.maximum(x, 0).tolist()


def test_a_broadcast_array_is_read_as_if_it_were_whole(load: Load) -> None:
    x = np.broadcast_to(row(1, -2, 3, -4), (3, 4))
    request = load(models.relu((3, 4))).create_infer_request()
    assert infer(request, x) == [[1, 0, 3, 0]] * 3


# Copies and shares


def test_a_copied_input_is_no_longer_needed(relu: Any) -> None:
    request = relu.create_infer_request()
    x = row(1, 2, 3, 4)
    infer(request, x)
    x[:] = 100
    assert not np.shares_memory(x, request.get_input_tensor().data)
    assert infer(request) == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda x: x, id="array"),
        pytest.param(lambda x: [x], id="list"),
        pytest.param(lambda x: (x,), id="tuple"),
        pytest.param(lambda x: {0: x}, id="dict"),
        pytest.param(ArrayLike, id="array-like"),
        pytest.param(lambda x: {"x": ArrayLike(x)}, id="dict of array-like"),
    ],
)
def test_a_shared_array_becomes_the_input_tensor(relu: Any, make: Make) -> None:
    request = relu.create_infer_request()
    x = row(1, 2, 3, 4)
    assert infer(request, make(x), share=True) == [[1, 2, 3, 4]]
    assert np.shares_memory(x, request.get_input_tensor().data)
    x[:] = 100
    assert infer(request) == [[100] * 4]


def test_a_shared_scalar_array_becomes_the_input_tensor(load: Load) -> None:
    request = load(models.unary("Neg", ())).create_infer_request()
    x = np.array(3, np.float32)
    infer(request, x, share=True)
    x[...] = 5
    assert infer(request) == -5


def test_a_contiguous_part_of_an_array_is_shared(relu: Any) -> None:
    request = relu.create_infer_request()
    frames = np.zeros((3, 4), np.float32)
    infer(request, frames[1:2], share=True)
    frames[1] = 7
    assert infer(request) == [[7] * 4]


@pytest.mark.parametrize("lay_out", ODD_LAYOUTS)
def test_an_array_that_cannot_be_shared_is_copied(
    load: Load, lay_out: Callable[[Array], Array]
) -> None:
    x = lay_out(np.ones((3, 4), np.float32))
    request = load(models.relu((3, 4))).create_infer_request()
    infer(request, x, share=True)
    held = request.get_input_tensor().data
    assert not np.shares_memory(x, held)
    held[:] = 9
    assert (x == 1).all()


@copied_and_shared
def test_a_tensor_is_used_itself(ov: Any, relu: Any, share: bool) -> None:
    request = relu.create_infer_request()
    tensor = ov.Tensor(row(1, 2, 3, 4))
    infer(request, tensor, share)
    tensor.data[:] = 9
    assert np.shares_memory(tensor.data, request.get_input_tensor().data)
    assert infer(request) == [[9] * 4]


def test_a_copied_array_is_written_into_the_tensor_that_the_request_holds(
    ov: Any, relu: Any
) -> None:
    request = relu.create_infer_request()
    tensor = ov.Tensor(row())
    request.set_input_tensor(tensor)
    infer(request, row(5, 6, 7, 8))
    assert tensor.data.tolist() == [[5, 6, 7, 8]]


def test_a_copied_array_is_written_into_the_array_that_was_shared_before(relu: Any) -> None:
    request = relu.create_infer_request()
    shared = row()
    infer(request, shared, share=True)
    infer(request, row(5, 6, 7, 8))
    assert shared.tolist() == [[5, 6, 7, 8]]


def test_results_own_their_data(relu: Any) -> None:
    request = relu.create_infer_request()
    first = request.infer(row(1, 2, 3, 4))[0]
    assert first.flags.owndata
    request.infer(row(5, 6, 7, 8))
    assert first.tolist() == [[1, 2, 3, 4]]
    first[:] = 0
    assert request.get_output_tensor().data.tolist() == [[5, 6, 7, 8]]


def test_results_outlive_the_request(relu: Any) -> None:
    request = relu.create_infer_request()
    results = request.infer(row(1, 2, 3, 4))
    del request
    assert results[0].tolist() == [[1, 2, 3, 4]]


def test_shared_results_are_views_that_the_next_run_overwrites(relu: Any) -> None:
    request = relu.create_infer_request()
    view = request.infer(row(1, 2, 3, 4), share_outputs=True)[0]
    assert not view.flags.owndata
    assert np.shares_memory(view, request.get_output_tensor().data)
    assert view.tolist() == [[1, 2, 3, 4]]
    request.infer(row(5, 6, 7, 8))
    assert view.tolist() == [[5, 6, 7, 8]]


def test_shared_results_outlive_the_request(relu: Any) -> None:
    request = relu.create_infer_request()
    results = request.infer(row(1, 2, 3, 4), share_outputs=True)
    view = results[0]
    del request, results
    assert view.tolist() == [[1, 2, 3, 4]]


# Refusals: the type of the exception, and a request that works as before


@copied_and_shared
@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(lambda ov, x: {1}, TypeError, id="a set"),
        pytest.param(lambda ov, x: memoryview(x), TypeError, id="a memoryview"),
        pytest.param(lambda ov, x: bytearray(16), TypeError, id="a bytearray"),
        pytest.param(lambda ov, x: object(), TypeError, id="an object"),
        pytest.param(lambda ov, x: iter([x]), TypeError, id="an iterator"),
        pytest.param(lambda ov, x: [None], TypeError, id="None in a list"),
        pytest.param(lambda ov, x: {0: None}, TypeError, id="None in a dict"),
        pytest.param(lambda ov, x: {0: object()}, TypeError, id="an object in a dict"),
        pytest.param(lambda ov, x: {0: {1}}, TypeError, id="a set in a dict"),
        pytest.param(lambda ov, x: {0: (1, 2, 3, 4)}, TypeError, id="a tuple in a dict"),
        pytest.param(lambda ov, x: {0.0: x}, TypeError, id="float key"),
        pytest.param(lambda ov, x: {np.int64(0): x}, TypeError, id="numpy key"),
        pytest.param(lambda ov, x: {(0,): x}, TypeError, id="tuple key"),
        pytest.param(lambda ov, x: {-1: x}, TypeError, id="negative index"),
        pytest.param(lambda ov, x: {1: x}, RuntimeError, id="index out of range"),
        pytest.param(lambda ov, x: {"nope": x}, RuntimeError, id="unknown name"),
        pytest.param(lambda ov, x: {"": x}, RuntimeError, id="empty name"),
        pytest.param(lambda ov, x: [x, x], RuntimeError, id="list too long"),
        pytest.param(lambda ov, x: (x, x), RuntimeError, id="tuple too long"),
        pytest.param(lambda ov, x: x[:, :3], RuntimeError, id="array too small"),
        pytest.param(lambda ov, x: np.hstack([x, x]), RuntimeError, id="array too large"),
        pytest.param(lambda ov, x: np.vstack([x, x]), RuntimeError, id="batch too large"),
        pytest.param(lambda ov, x: x[0], RuntimeError, id="rank too low"),
        pytest.param(lambda ov, x: x[None], RuntimeError, id="rank too high"),
        pytest.param(lambda ov, x: x.reshape(2, 2), RuntimeError, id="same size, other shape"),
        pytest.param(lambda ov, x: x[:0], RuntimeError, id="empty array"),
        pytest.param(lambda ov, x: 1.0, RuntimeError, id="scalar for a matrix"),
        pytest.param(lambda ov, x: x.tolist(), RuntimeError, id="list of another type"),
        pytest.param(lambda ov, x: {"x": [[1, 2, 3, 4]]}, RuntimeError, id="list of integers"),
        pytest.param(lambda ov, x: ov.Tensor(x[:, :3]), RuntimeError, id="tensor too small"),
        pytest.param(lambda ov, x: ov.Tensor(x[0]), RuntimeError, id="tensor of lower rank"),
        pytest.param(lambda ov, x: ov.Tensor(x.astype("f8")), RuntimeError, id="f64 tensor"),
        pytest.param(lambda ov, x: [ov.Tensor(x.astype("i4"))], RuntimeError, id="i32 tensor"),
        pytest.param(lambda ov, x: "many words", ValueError, id="text for numbers"),
        pytest.param(lambda ov, x: np.array([list("abcd")]), ValueError, id="array of text"),
    ],
)
def test_a_refused_input_leaves_a_request_that_works(
    ov: Any, relu: Any, make: Make, error: type[Exception], share: bool
) -> None:
    request = relu.create_infer_request()
    for _ in range(2):
        with pytest.raises(error):
            request.infer(make(ov, row()), share_inputs=share)
        assert infer(request, row(-1, 2, -3, 4)) == [[0, 2, 0, 4]]


@copied_and_shared
def test_the_port_of_another_model_is_refused(relu: Any, add: Any, share: bool) -> None:
    request = relu.create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer({add.input("a"): row()}, share_inputs=share)
    assert infer(request, row(1, 2, 3, 4)) == [[1, 2, 3, 4]]


def test_the_port_of_another_compilation_of_the_same_model_is_taken(core: Any, relu: Any) -> None:
    again = core.compile_model(core.read_model(models.relu((1, 4))), "CPU")
    assert infer(relu.create_infer_request(), {again.input(): row(1, 2, 3, 4)}) == [[1, 2, 3, 4]]


@copied_and_shared
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ov, x: x, id="one array"),
        pytest.param(lambda ov, x: np.stack([x, x]), id="one array of two"),
        pytest.param(lambda ov, x: ov.Tensor(x), id="one tensor"),
        pytest.param(lambda ov, x: 1.0, id="one scalar"),
        pytest.param(lambda ov, x: [1.0, 2.0], id="one list of numbers"),
        pytest.param(lambda ov, x: [x, x, x], id="three arrays"),
        pytest.param(lambda ov, x: {"a": x, "c": x}, id="one good name and one bad"),
        pytest.param(lambda ov, x: {0: x, 2: x}, id="one good index and one bad"),
        pytest.param(lambda ov, x: [x, x[0]], id="one good shape and one bad"),
    ],
)
def test_two_inputs_are_refused_unless_it_is_plain_which_is_which(
    ov: Any, add: Any, make: Make, share: bool
) -> None:
    request = add.create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer(make(ov, row()), share_inputs=share)
    assert infer(request, [row(1, 2, 3, 4), row(1, 1, 1, 1)]) == [[2, 3, 4, 5]]


def test_the_arguments_of_infer_are_named_as_documented(relu: Any) -> None:
    request = relu.create_infer_request()
    results = request.infer(
        inputs=row(1, 2, 3, 4), share_inputs=False, share_outputs=False, decode_strings=True
    )
    assert results[0].tolist() == [[1, 2, 3, 4]]


def test_a_fourth_positional_argument_is_refused(relu: Any) -> None:
    with pytest.raises(TypeError):
        relu.create_infer_request().infer(row(), False, False, True)


@pytest.mark.parametrize("name", ["shared_memory", "input", "userdata"])
def test_an_unknown_argument_is_refused(relu: Any, name: str) -> None:
    with pytest.raises(TypeError):
        relu.create_infer_request().infer(row(), **{name: True})


def test_a_run_that_fails_says_so_and_leaves_a_request_that_works(load: Load) -> None:
    request = load(models.sum_of_reshaped()).create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer([row(1, 2, 3, 4), np.array([3, 3])])
    assert infer(request, {"target": np.array([2, 2])}) == 10


# The mapping of results


@pytest.fixture
def results(two_outputs: Any) -> Any:
    return two_outputs.create_infer_request().infer(row(-1, 2, -3, 4))


POSITIVE, NEGATED = [[0, 2, 0, 4]], [[1, -2, 3, -4]]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (0, POSITIVE),
        (1, NEGATED),
        (-1, NEGATED),
        (-2, POSITIVE),
        ("positive", POSITIVE),
        ("negated", NEGATED),
    ],
)
def test_a_result_is_found_by_index_and_name(results: Any, key: Any, expected: Any) -> None:
    assert results[key].tolist() == expected
    assert key in results
    assert results.get(key) is results[key]


def test_a_result_is_found_by_port(results: Any, two_outputs: Any) -> None:
    assert results[two_outputs.output("positive")].tolist() == POSITIVE
    assert results[two_outputs.output(1)].tolist() == NEGATED
    assert two_outputs.output(1) in results


def test_a_result_is_found_by_any_of_its_names(load: Load) -> None:
    results = load(models.two_names((1, 4))).create_infer_request().infer(row())
    assert results["early"] is results["late"]
    assert results.names() == ({"early", "late"},)


@pytest.mark.parametrize("key", [2, -3, 99, "nope", "x", ""])
def test_an_unknown_result_is_a_key_error(results: Any, key: Any) -> None:
    with pytest.raises(KeyError):
        results[key]
    assert key not in results
    assert results.get(key) is None
    assert results.get(key, 7) == 7


def test_a_port_that_is_no_output_of_this_model_is_a_key_error(
    results: Any, two_outputs: Any, relu: Any
) -> None:
    for port in (two_outputs.input(), relu.output()):
        with pytest.raises(KeyError):
            results[port]
        assert port not in results


@pytest.mark.parametrize("key", [0.0, None, np.int64(0), (0,), b"positive"], ids=repr)
def test_a_key_of_another_type_is_a_type_error(results: Any, key: Any) -> None:
    with pytest.raises(TypeError):
        results[key]


def test_results_are_a_mapping_from_ports_in_the_order_of_the_outputs(
    results: Any, two_outputs: Any
) -> None:
    assert isinstance(results, Mapping)
    assert len(results) == 2
    assert list(results) == list(results.keys()) == two_outputs.outputs
    assert [value.tolist() for value in results.values()] == [POSITIVE, NEGATED]
    assert [port.any_name for port, _ in results.items()] == ["positive", "negated"]
    assert all(value is results[port] for port, value in results.items())


def test_results_unpack_in_the_order_of_the_outputs(results: Any) -> None:
    positive, negated = results.values()
    assert (positive.tolist(), negated.tolist()) == (POSITIVE, NEGATED)


def test_the_names_of_the_results_are_a_tuple_of_sets(results: Any) -> None:
    assert results.names() == ({"positive"}, {"negated"})


def test_results_become_a_plain_dict(results: Any, two_outputs: Any) -> None:
    for plain in (results.to_dict(), dict(results)):
        assert type(plain) is dict
        assert list(plain) == two_outputs.outputs
        assert plain[two_outputs.output(1)] is results[1]


def test_results_become_a_plain_tuple(results: Any) -> None:
    plain = results.to_tuple()
    assert type(plain) is tuple
    assert len(plain) == 2
    assert plain[0] is results[0]
    assert plain[1] is results[1]


def test_results_refuse_assignment_and_deletion(results: Any) -> None:
    with pytest.raises(TypeError):
        results[0] = row()
    with pytest.raises(TypeError):
        del results[0]
    assert results[0].tolist() == POSITIVE
    assert len(results) == 2


def test_results_can_be_referred_to_weakly(results: Any) -> None:
    assert weakref.ref(results)() is results


def test_the_request_gives_the_results_of_its_last_run_again(two_outputs: Any) -> None:
    request = two_outputs.create_infer_request()
    request.infer(row(9, 9, 9, 9))
    answered = request.infer(row(-1, 2, -3, 4))
    assert type(request.results) is type(answered)
    assert list(request.results) == list(answered)
    assert request.results["positive"].tolist() == POSITIVE
    assert request.results[-1].tolist() == NEGATED


def test_the_results_of_a_request_own_their_data(relu: Any) -> None:
    request = relu.create_infer_request()
    request.infer(row(1, 2, 3, 4))
    results = request.results
    assert results[0].flags.owndata
    request.infer(row(5, 6, 7, 8))
    assert results[0].tolist() == [[1, 2, 3, 4]]
    assert request.results[0].tolist() == [[5, 6, 7, 8]]


def test_results_before_the_first_run_have_their_shape(two_outputs: Any) -> None:
    results = two_outputs.create_infer_request().results
    assert [value.shape for value in results.values()] == [(1, 4), (1, 4)]


def test_the_results_of_a_request_are_read_only(relu: Any) -> None:
    request = relu.create_infer_request()
    with pytest.raises(AttributeError):
        request.results = {}
