"""Models whose shapes are known only when they run, or are set before they are compiled.

Every test compiles its own model: OpenVINO answers garbage or crashes when one request of a
dynamic model shares the caller's memory and another one, or the same one later, does not. Left
out, too: empty arrays of a wrong shape and lengths below a lower limit, which it lets pass.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Load = Callable[[bytes], Any]
Shape = tuple[int, ...]


def counting(*shape: int) -> Array:
    """0, 1, 2 ... in the given shape, float32."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(np.float32)


@pytest.fixture
def load(core: Any, tmp_path: Path) -> Load:
    """Compile a model for the CPU."""

    def load(model: bytes) -> Any:
        path = tmp_path / f"{hash(model)}.onnx"
        path.write_bytes(model)
        return core.compile_model(path, "CPU")

    return load


@pytest.fixture
def rows(load: Load) -> Any:
    """relu of (rows, 3)."""
    return load(models.relu(("rows", 3)))


@pytest.fixture
def request_(rows: Any) -> Any:
    return rows.create_infer_request()


@pytest.fixture
def image(load: Load) -> Any:
    """relu of (1, 3, height, width)."""
    return load(models.relu((1, 3, "height", "width")))


@pytest.fixture
def positions(load: Load) -> Any:
    """Where x (n) is not 0: (1, k), int64, k known only after the run."""
    return load(models.non_zero())


def is_relu(result: Array, array: Array) -> bool:
    return result.shape == array.shape and np.array_equal(result, np.maximum(array, 0))


# Ports


def test_a_dynamic_port_has_a_partial_shape_only(ov: Any, rows: Any) -> None:
    for port in (rows.input(0), rows.output(0)):
        assert port.partial_shape == port.get_partial_shape() == ov.PartialShape([-1, 3])
        with pytest.raises(RuntimeError):
            _ = port.shape
        with pytest.raises(RuntimeError):
            port.get_shape()


def test_an_output_of_unknown_length_is_dynamic(ov: Any, positions: Any) -> None:
    assert positions.output(0).partial_shape == ov.PartialShape([1, -1])


def test_a_run_does_not_change_the_ports(ov: Any, rows: Any) -> None:
    rows.create_infer_request().infer(counting(5, 3))
    assert rows.input(0).partial_shape == ov.PartialShape([-1, 3])
    assert rows.output(0).partial_shape == ov.PartialShape([-1, 3])


def test_tensors_are_empty_before_the_first_run(request_: Any) -> None:
    assert request_.get_input_tensor().shape == [0, 3]
    assert request_.get_output_tensor().shape == [0, 3]


# Any shape that the model allows

SEQUENCES: Final = [(1, 2, 3), (5, 1, 5), (4, 4, 4), (100, 1, 7), (2, 0, 2), (1, 1000, 1)]


@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
@pytest.mark.parametrize("lengths", SEQUENCES, ids=str)
def test_the_shape_may_change_from_call_to_call(
    request_: Any, lengths: Sequence[int], share: bool
) -> None:
    for length in lengths:
        array = counting(length, 3) - 2
        expected = np.maximum(array, 0)
        result = request_.infer(array, share_inputs=share)[0]
        assert result.shape == (length, 3)
        assert np.array_equal(result, expected)
        assert request_.get_input_tensor().shape == [length, 3]
        assert request_.get_output_tensor().shape == [length, 3]


@pytest.mark.parametrize(
    ("height", "width"), [(4, 4), (8, 2), (1, 1), (16, 16), (1, 300), (7, 5)], ids=str
)
def test_an_image_may_be_of_any_size(image: Any, height: int, width: int) -> None:
    array = counting(1, 3, height, width) - 20
    assert is_relu(image.create_infer_request().infer(array)[0], array)
    assert is_relu(image(array)[0], array)
    assert is_relu(image.infer_new_request(array)[0], array)


def test_images_of_different_sizes_follow_each_other(image: Any) -> None:
    request = image.create_infer_request()
    for height, width in ((4, 4), (8, 2), (2, 8), (1, 1), (16, 16), (3, 5)):
        array = counting(1, 3, height, width) - 20
        assert is_relu(request.infer(array)[0], array)


def test_requests_of_one_model_have_their_own_shapes(rows: Any) -> None:
    requests = [rows.create_infer_request() for _ in range(4)]
    for length, request in enumerate(requests, start=1):
        request.start_async(counting(length, 3))
    for length, request in enumerate(requests, start=1):
        request.wait()
        assert is_relu(request.results[0], counting(length, 3))


def test_a_queue_takes_jobs_of_different_shapes(ov: Any, rows: Any) -> None:
    queue = ov.AsyncInferQueue(rows, 2)
    queue.start_async(counting(2, 3))
    queue.start_async(counting(5, 3))
    queue.wait_all()
    assert [list(request.get_output_tensor().shape) for request in queue] == [[2, 3], [5, 3]]


def test_two_dynamic_inputs_are_broadcast_at_run_time(load: Load) -> None:
    request = load(models.add(("rows", 4))).create_infer_request()
    for first, second, rows in ((2, 2, 2), (1, 3, 3), (4, 1, 4)):
        result = request.infer([counting(first, 4), counting(second, 4)])[0]
        assert np.array_equal(result, counting(first, 4) + counting(second, 4))
        assert result.shape == (rows, 4)


# Shapes that the model does not allow


@pytest.mark.parametrize("shape", [(2, 4), (2, 2), (3,), (1, 2, 3)], ids=str)
def test_a_shape_that_the_model_does_not_allow_is_refused(request_: Any, shape: Shape) -> None:
    with pytest.raises(RuntimeError):
        request_.infer(counting(*shape))
    assert is_relu(request_.infer(counting(2, 3))[0], counting(2, 3))


@pytest.mark.parametrize("shape", [(2, 4), (3,), (1, 2, 3)], ids=str)
def test_a_tensor_that_the_model_does_not_allow_is_refused_when_set(
    ov: Any, request_: Any, shape: Shape
) -> None:
    request_.infer(counting(2, 3))
    tensor = ov.Tensor(counting(*shape))
    with pytest.raises(RuntimeError):
        request_.set_input_tensor(tensor)
    assert is_relu(request_.infer()[0], counting(2, 3))


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4, 4), (1, 3, 4), (3, 4, 4)], ids=str)
def test_the_fixed_lengths_of_an_image_stay_fixed(image: Any, shape: Shape) -> None:
    request = image.create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer(counting(*shape))


def test_inputs_that_do_not_fit_each_other_fail_when_they_run(load: Load) -> None:
    request = load(models.add(("rows", 4))).create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer([counting(2, 4), counting(3, 4)])
    request.start_async([counting(2, 4), counting(3, 4)])
    with pytest.raises(RuntimeError):
        request.wait()
    assert request.infer([counting(2, 4), counting(2, 4)])[0].shape == (2, 4)


# Tensors of a dynamic model


def test_an_input_tensor_can_be_given_a_shape(request_: Any) -> None:
    tensor = request_.get_input_tensor()
    for length in (3, 1, 6):
        tensor.shape = [length, 3]
        tensor.data[:] = counting(length, 3)
        assert is_relu(request_.infer()[0], counting(length, 3))


def test_an_input_tensor_can_be_set_and_changed(ov: Any, request_: Any) -> None:
    tensor = ov.Tensor(counting(4, 3))
    request_.set_input_tensor(tensor)
    assert is_relu(request_.infer()[0], counting(4, 3))
    tensor.shape = [2, 3]
    tensor.data[:] = 7
    assert request_.infer()[0].tolist() == [[7, 7, 7], [7, 7, 7]]


def test_a_held_output_tensor_takes_the_shape_of_each_run(request_: Any) -> None:
    tensor = request_.get_output_tensor()
    for length in (2, 6, 1, 0, 3):
        request_.infer(counting(length, 3))
        assert tensor.shape == [length, 3]
        assert is_relu(tensor.data, counting(length, 3))


def test_a_held_output_tensor_follows_an_output_of_unknown_length(positions: Any) -> None:
    request = positions.create_infer_request()
    tensor = request.get_output_tensor()
    for array in ([0, 1, 0, 2], [1, 1, 1], [0, 0], [0] * 50 + [1]):
        request.infer(np.array(array, np.float32))
        assert tensor.data.tolist() == [np.flatnonzero(array).tolist()]


def test_copied_results_stay_when_the_shape_changes(request_: Any) -> None:
    first = request_.infer(counting(2, 3))[0]
    request_.infer(counting(50, 3) + 1)
    assert is_relu(first, counting(2, 3))


# Output tensors that were set beforehand


@pytest.mark.parametrize("room", [(4, 3), (0, 3), (1, 3), (100, 3)], ids=str)
def test_an_owned_output_tensor_takes_any_size(ov: Any, request_: Any, room: Shape) -> None:
    tensor = ov.Tensor(ov.Type.f32, room)
    request_.set_output_tensor(tensor)
    for length in (4, 2, 9):
        request_.infer(counting(length, 3))
        assert tensor.shape == [length, 3]
        assert is_relu(tensor.data, counting(length, 3))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_shared_output_tensor_takes_what_it_has_room_for(
    ov: Any, request_: Any, length: int
) -> None:
    array = np.full((4, 3), -1, np.float32)
    tensor = ov.Tensor(array, shared_memory=True)
    request_.set_output_tensor(tensor)
    request_.infer(counting(length, 3))
    assert tensor.shape == [length, 3]
    assert is_relu(array[:length], counting(length, 3))
    assert (array[length:] == -1).all()


def test_a_shared_output_tensor_without_room_fails_the_run(ov: Any, request_: Any) -> None:
    array = np.full((4, 3), -1, np.float32)
    request_.set_output_tensor(ov.Tensor(array, shared_memory=True))
    with pytest.raises(RuntimeError):
        request_.infer(counting(5, 3))
    assert (array == -1).all()
    request_.infer(counting(4, 3))
    assert is_relu(array, counting(4, 3))


def test_a_shared_output_tensor_without_room_fails_the_wait(ov: Any, request_: Any) -> None:
    array = np.zeros((1, 3), np.float32)
    request_.set_output_tensor(ov.Tensor(array, shared_memory=True))
    request_.start_async(counting(5, 3))
    with pytest.raises(RuntimeError):
        request_.wait()


@pytest.mark.parametrize("array", [[0, 1, 0, 2], [1], [1, 1], [0, 0, 0]], ids=str)
def test_an_output_of_unknown_length_goes_where_there_is_room(
    ov: Any, positions: Any, array: list[int]
) -> None:
    request = positions.create_infer_request()
    room = np.full((1, 2), -1, np.int64)
    tensor = ov.Tensor(room, shared_memory=True)
    request.set_output_tensor(tensor)
    request.infer(np.array(array, np.float32))
    expected = np.flatnonzero(array)
    assert tensor.shape == [1, len(expected)]
    assert room[0, : len(expected)].tolist() == expected.tolist()


def test_an_output_of_unknown_length_without_room_fails(ov: Any, positions: Any) -> None:
    request = positions.create_infer_request()
    room = np.full((1, 2), -1, np.int64)
    request.set_output_tensor(ov.Tensor(room, shared_memory=True))
    with pytest.raises(RuntimeError):
        request.infer(np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("name", "shape"), [("f32", [4, 4]), ("f32", [12]), ("f32", [1, 4, 3]), ("i32", [4, 3])]
)
def test_an_output_tensor_that_can_never_fit_is_refused(
    ov: Any, request_: Any, name: str, shape: list[int]
) -> None:
    tensor = ov.Tensor(getattr(ov.Type, name), shape)
    with pytest.raises(RuntimeError):
        request_.set_output_tensor(tensor)


# Outputs whose length is known only after the run


@pytest.mark.parametrize(
    "array", [[0, 1, 0, 2], [1] * 5, [0, 0], [0], [-1, 0, 1], list(range(100))], ids=len
)
def test_the_length_of_an_output_may_depend_on_the_values(positions: Any, array: list[int]) -> None:
    result = positions.create_infer_request().infer(np.array(array, np.float32))[0]
    assert result.dtype == np.int64
    assert result.tolist() == [np.flatnonzero(array).tolist()]


def test_the_length_of_an_output_may_change_while_the_input_stays(positions: Any) -> None:
    request = positions.create_infer_request()
    for count in (0, 3, 1, 8, 0, 8):
        array = np.zeros(8, np.float32)
        array[:count] = 1
        request.start_async(array)
        request.wait()
        assert request.results[0].tolist() == [list(range(count))]


# Shapes set before the model is compiled


@pytest.fixture
def source(core: Any, tmp_path: Path) -> Any:
    """relu of (rows, 3), not yet compiled."""
    path = tmp_path / "rows.onnx"
    path.write_bytes(models.relu(("rows", 3)))
    return core.read_model(path)


def test_a_model_that_was_read_is_dynamic(ov: Any, source: Any) -> None:
    assert source.is_dynamic()
    assert source.input(0).partial_shape == ov.PartialShape([-1, 3])
    with pytest.raises(RuntimeError):
        _ = source.input(0).shape


RESHAPES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "list": lambda ov, model: [2, 3],
    "tuple": lambda ov, model: (2, 3),
    "text": lambda ov, model: "[2,3]",
    "partial shape": lambda ov, model: ov.PartialShape([2, 3]),
    "by name": lambda ov, model: {"x": [2, 3]},
    "by index": lambda ov, model: {0: [2, 3]},
    "by port": lambda ov, model: {model.input(0): [2, 3]},
    "text by name": lambda ov, model: {"x": "2,3"},
    "partial shape by name": lambda ov, model: {"x": ov.PartialShape([2, 3])},
}


@pytest.mark.parametrize("shape", RESHAPES.values(), ids=RESHAPES.keys())
def test_a_dynamic_model_can_be_made_static(
    ov: Any, core: Any, source: Any, shape: Callable[[Any, Any], Any]
) -> None:
    source.reshape(shape(ov, source))
    assert not source.is_dynamic()
    assert source.input(0).shape == source.output(0).shape == [2, 3]
    compiled = core.compile_model(source, "CPU")
    assert compiled.input(0).shape == compiled.output(0).shape == [2, 3]
    request = compiled.create_infer_request()
    assert request.get_output_tensor().shape == [2, 3]
    assert is_relu(request.infer(counting(2, 3))[0], counting(2, 3))


def test_a_static_model_refuses_other_shapes(core: Any, source: Any) -> None:
    source.reshape([2, 3])
    request = core.compile_model(source, "CPU").create_infer_request()
    with pytest.raises(RuntimeError):
        request.infer(counting(3, 3))


def test_a_static_model_can_be_made_dynamic(ov: Any, core: Any, tmp_path: Path) -> None:
    path = tmp_path / "static.onnx"
    path.write_bytes(models.relu((1, 3)))
    model = core.read_model(path)
    assert not model.is_dynamic()
    model.reshape([-1, 3])
    assert model.is_dynamic()
    compiled = core.compile_model(model, "CPU")
    assert compiled.output(0).partial_shape == ov.PartialShape([-1, 3])
    for length in (7, 1):
        assert is_relu(compiled(counting(length, 3))[0], counting(length, 3))


@pytest.mark.parametrize("shape", [[-1, 3], [(1, 4), 3], [(1, 4), -1], "[?,3]", "1..8,3"], ids=str)
def test_a_model_can_be_given_limits(ov: Any, source: Any, shape: Any) -> None:
    source.reshape(shape)
    assert source.input(0).partial_shape == ov.PartialShape(shape)
    assert source.output(0).partial_shape == ov.PartialShape(shape)


def test_a_model_with_an_upper_limit_takes_no_more(core: Any, ov: Any, source: Any) -> None:
    source.reshape([(1, 4), 3])
    compiled = core.compile_model(source, "CPU")
    assert compiled.input(0).partial_shape == ov.PartialShape([(1, 4), 3])
    request = compiled.create_infer_request()
    for length in (1, 4, 2):
        assert is_relu(request.infer(counting(length, 3))[0], counting(length, 3))
    with pytest.raises(RuntimeError):
        request.infer(counting(5, 3))
    too_long = ov.Tensor(counting(5, 3))
    with pytest.raises(RuntimeError):
        request.set_input_tensor(too_long)
    assert is_relu(request.infer(counting(3, 3))[0], counting(3, 3))


def test_reshaping_a_model_leaves_what_was_compiled(core: Any, source: Any) -> None:
    compiled = core.compile_model(source, "CPU")
    source.reshape([2, 3])
    assert is_relu(compiled(counting(5, 3))[0], counting(5, 3))
    assert is_relu(core.compile_model(source, "CPU")(counting(2, 3))[0], counting(2, 3))


def test_a_model_can_be_reshaped_again(source: Any) -> None:
    for length in (2, 5, 1):
        source.reshape([length, 3])
        assert source.output(0).shape == [length, 3]


def test_several_inputs_are_reshaped_together(core: Any, tmp_path: Path) -> None:
    path = tmp_path / "add.onnx"
    path.write_bytes(models.add((1, 4)))
    model = core.read_model(path)
    model.reshape({"a": [2, 4], "b": [2, 4]})
    assert model.output(0).shape == [2, 4]
    with pytest.raises(RuntimeError):
        model.reshape([3, 4])
    with pytest.raises(RuntimeError):
        model.reshape({"a": [2, 4], "b": [3, 4]})
    assert model.input("b").shape == [2, 4]
    assert core.compile_model(model, "CPU")([counting(2, 4)] * 2)[0].shape == (2, 4)


@pytest.mark.parametrize("shape", [3, None, {1.5: [1, 3]}, {"x": 3}, [1.5, 3]], ids=str)
def test_a_model_is_reshaped_to_shapes(source: Any, shape: object) -> None:
    with pytest.raises(TypeError):
        source.reshape(shape)


def test_a_model_has_no_other_inputs_to_reshape(source: Any) -> None:
    with pytest.raises(RuntimeError):
        source.reshape({"nope": [1, 3]})
