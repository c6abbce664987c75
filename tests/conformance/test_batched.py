"""A batch given as a list of tensors, one for each item; and tensors given as a dict.

Left out: items of a wrong type or of a wrong shape apart from the batch, which OpenVINO lets pass.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import openvino
import openvino.opset13 as opset13
import pytest

Load = Callable[[Any], Any]

# What builds the models; what runs them is the fixture ``ov``.
opset: Final[Any] = opset13
ITEM: Final = (1, 2, 2, 3)
BATCH: Final = (4, 2, 2, 3)


def total(inputs: int = 1, layout: str | None = "NHWC", shape: Sequence[int] = BATCH) -> Any:
    """``y``: the sum of x0, x1 ..., each of ``shape``, negative numbers made 0."""
    parameters = []
    for number in range(inputs):
        x = opset.parameter(list(shape), np.float32, name=f"x{number}")
        x.output(0).set_names({f"x{number}"})
        if layout:
            x.set_layout(openvino.Layout(layout))
        parameters.append(x)
    added = parameters[0]
    for x in parameters[1:]:
        added = opset.add(added, x)
    result = opset.result(opset.relu(added))
    result.output(0).set_names({"y"})
    return openvino.Model([result], parameters, "total")


@pytest.fixture(scope="module")
def load(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """A request for a model that OpenVINO built, by way of an IR file, which keeps layouts."""
    core = ov.Core()

    def load(model: Any) -> Any:
        path = tmp_path_factory.mktemp("ir") / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return core.compile_model(path, "CPU").create_infer_request()

    return load


@pytest.fixture
def request_(load: Load) -> Any:
    """Takes four images."""
    return load(total())


@pytest.fixture
def request_of_two(load: Load) -> Any:
    """Adds two times four images."""
    return load(total(inputs=2))


def filled(ov: Any, value: float, shape: Sequence[int] = ITEM) -> Any:
    return ov.Tensor(np.full(shape, value, np.float32))


def items(ov: Any, *values: float, shape: Sequence[int] = ITEM) -> list[Any]:
    return [filled(ov, value, shape) for value in values]


def run(request: Any) -> list[float]:
    """The first number of each item of the output, of which all are equal."""
    (result,) = request.infer().values()
    rows = result.reshape(len(result), -1)
    assert (rows == rows[:, :1]).all()
    return [float(row[0]) for row in rows]


SETTERS: Final[dict[str, Callable[[Any, list[Any]], Any]]] = {
    "set_input_tensors": lambda request, tensors: request.set_input_tensors(tensors),
    "set_input_tensors by index": lambda request, tensors: request.set_input_tensors(0, tensors),
    "set_tensors by name": lambda request, tensors: request.set_tensors("x0", tensors),
    "set_tensors by port": lambda request, tensors: request.set_tensors(
        request.model_inputs[0], tensors
    ),
}
setters = pytest.mark.parametrize("set_batch", SETTERS.values(), ids=SETTERS.keys())
SetBatch = Callable[[Any, list[Any]], Any]


@setters
def test_a_list_of_tensors_is_a_batch(ov: Any, request_: Any, set_batch: SetBatch) -> None:
    set_batch(request_, items(ov, 0, 1, 2, 3))
    assert run(request_) == [0, 1, 2, 3]


@setters
def test_a_batch_is_read_again_each_time(ov: Any, request_: Any, set_batch: SetBatch) -> None:
    tensors = items(ov, 0, 1, 2, 3)
    set_batch(request_, tensors)
    run(request_)
    tensors[1].data[:] = 10
    tensors[3].data[:] = 30
    assert run(request_) == [0, 10, 2, 30]


@setters
def test_a_batch_replaces_the_batch_before(ov: Any, request_: Any, set_batch: SetBatch) -> None:
    set_batch(request_, items(ov, 0, 1, 2, 3))
    run(request_)
    set_batch(request_, items(ov, 4, 5, 6, 7))
    assert run(request_) == [4, 5, 6, 7]


def test_a_tensor_vector_is_a_batch(ov: Any, request_: Any) -> None:
    request_.set_input_tensors(ov.TensorVector(items(ov, 0, 1, 2, 3)))
    assert run(request_) == [0, 1, 2, 3]


def test_a_batch_can_be_run_asynchronously(ov: Any, request_: Any) -> None:
    request_.set_input_tensors(items(ov, 0, 1, 2, 3))
    request_.start_async()
    request_.wait()
    assert request_.get_output_tensor().data[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_the_items_of_a_batch_may_be_one_tensor(ov: Any, request_: Any) -> None:
    request_.set_input_tensors([filled(ov, 5)] * 4)
    assert run(request_) == [5, 5, 5, 5]


def test_the_items_of_a_batch_may_be_regions_without_gaps(ov: Any, request_: Any) -> None:
    whole = ov.Tensor(np.arange(4, dtype=np.float32).repeat(12).reshape(BATCH))
    regions = [ov.Tensor(whole, [row, 0, 0, 0], [row + 1, 2, 2, 3]) for row in (3, 1, 2, 0)]
    request_.set_input_tensors(regions)
    assert run(request_) == [3, 1, 2, 0]


def test_the_items_of_a_batch_may_share_arrays(ov: Any, request_: Any) -> None:
    arrays = [np.full(ITEM, value, np.float32) for value in range(4)]
    request_.set_input_tensors([ov.Tensor(array, shared_memory=True) for array in arrays])
    arrays[2][:] = 20
    assert run(request_) == [0, 1, 20, 3]
    assert (arrays[1] == 1).all()


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("N?", (3, 4)), ("N...", (3, 4)), ("NC", (3, 4)), ("NCHW", (3, 1, 2, 2)), ("N", (3,))],
)
def test_the_layout_says_where_the_batch_is(
    ov: Any, load: Load, layout: str, shape: tuple[int, ...]
) -> None:
    request = load(total(layout=layout, shape=shape))
    request.set_input_tensors(items(ov, 1, 2, 3, shape=(1, *shape[1:])))
    assert run(request) == [1, 2, 3]


def test_a_dynamic_batch_is_as_long_as_the_list(ov: Any, load: Load) -> None:
    request = load(total(layout="NC", shape=(-1, 4)))
    for count in (3, 1, 5, 2):
        request.set_input_tensors(items(ov, *range(count), shape=(1, 4)))
        assert run(request) == list(range(count))


# One list for one input


def test_each_input_takes_its_own_batch(ov: Any, request_of_two: Any) -> None:
    request_of_two.set_input_tensors(0, items(ov, 0, 1, 2, 3))
    request_of_two.set_input_tensors(1, items(ov, 0, 10, 20, 30))
    assert run(request_of_two) == [0, 11, 22, 33]


def test_a_batch_and_a_tensor_go_together(ov: Any, request_of_two: Any) -> None:
    request_of_two.set_tensors("x0", items(ov, 0, 1, 2, 3))
    request_of_two.set_tensor("x1", filled(ov, 5, BATCH))
    assert run(request_of_two) == [5, 6, 7, 8]


def test_a_batch_without_an_input_needs_a_model_of_one(ov: Any, request_of_two: Any) -> None:
    with pytest.raises(RuntimeError):
        request_of_two.set_input_tensors(items(ov, 0, 1, 2, 3))


# The tensor of an input that is a batch

READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "get_input_tensor": lambda request: request.get_input_tensor(),
    "get_input_tensor by index": lambda request: request.get_input_tensor(0),
    "get_tensor by name": lambda request: request.get_tensor("x0"),
    "get_tensor by port": lambda request: request.get_tensor(request.model_inputs[0]),
    "input_tensors": lambda request: request.input_tensors,
    "infer with an array": lambda request: request.infer(np.zeros(BATCH, np.float32)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_batch_has_no_single_tensor(ov: Any, request_: Any, read: Callable[[Any], Any]) -> None:
    request_.set_input_tensors(items(ov, 0, 1, 2, 3))
    with pytest.raises(RuntimeError):
        read(request_)
    assert run(request_) == [0, 1, 2, 3]


def test_a_tensor_replaces_a_batch(ov: Any, request_: Any) -> None:
    request_.set_input_tensors(items(ov, 0, 1, 2, 3))
    run(request_)
    request_.set_input_tensor(filled(ov, 9, BATCH))
    assert run(request_) == [9, 9, 9, 9]
    assert request_.get_input_tensor().shape == list(BATCH)


def test_a_tensor_that_is_passed_replaces_a_batch(ov: Any, request_: Any) -> None:
    request_.set_input_tensors(items(ov, 0, 1, 2, 3))
    request_.infer(filled(ov, 9, BATCH))
    assert run(request_) == [9, 9, 9, 9]


def test_a_list_of_one_is_a_tensor(ov: Any, request_: Any) -> None:
    request_.set_input_tensors([filled(ov, 9, BATCH)])
    assert run(request_) == [9, 9, 9, 9]
    assert request_.get_input_tensor().shape == list(BATCH)


# Refused


@setters
@pytest.mark.parametrize("count", [0, 2, 3, 5])
def test_a_batch_has_as_many_items_as_the_model_wants(
    ov: Any, request_: Any, set_batch: SetBatch, count: int
) -> None:
    request_.set_input_tensor(filled(ov, 7, BATCH))
    with pytest.raises(RuntimeError):
        set_batch(request_, items(ov, *range(count)))
    assert run(request_) == [7, 7, 7, 7]


@pytest.mark.parametrize("shape", [(2, 2, 2, 3), (0, 2, 2, 3), (2, 2, 3)], ids=str)
def test_an_item_has_a_batch_of_one(ov: Any, request_: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError):
        request_.set_input_tensors(items(ov, 0, 1, 2, 3, shape=shape))


def test_an_item_has_no_gaps(ov: Any, request_: Any) -> None:
    region = ov.Tensor(filled(ov, 1, (1, 4, 4, 3)), [0, 0, 0, 0], [1, 2, 2, 3])
    with pytest.raises(RuntimeError):
        request_.set_input_tensors([region] * 4)


@pytest.mark.parametrize("layout", [None, "HNWC", "CHWN", "HWC?"])
def test_a_batch_needs_a_layout_that_begins_with_it(
    ov: Any, load: Load, layout: str | None
) -> None:
    request = load(total(layout=layout))
    with pytest.raises(RuntimeError):
        request.set_input_tensors(items(ov, 0, 1, 2, 3))


def test_a_batch_is_for_an_input_of_the_model(ov: Any, request_: Any, load: Load) -> None:
    tensors = items(ov, 0, 1, 2, 3)
    with pytest.raises(RuntimeError):
        request_.set_input_tensors(1, tensors)
    with pytest.raises(RuntimeError):
        request_.set_tensors("nope", tensors)
    with pytest.raises(RuntimeError):
        request_.set_tensors("y", tensors)


@pytest.mark.parametrize("tensors", [None, 3, "x0"])
def test_a_batch_is_a_list(request_: Any, tensors: object) -> None:
    with pytest.raises(TypeError):
        request_.set_input_tensors(tensors)
    with pytest.raises(TypeError):
        request_.set_tensors("x0", tensors)


def test_a_batch_is_no_tuple(ov: Any, request_: Any) -> None:
    with pytest.raises(TypeError):
        request_.set_input_tensors(tuple(items(ov, 0, 1, 2, 3)))


def test_a_batch_goes_to_a_name_or_a_port(ov: Any, request_: Any) -> None:
    tensors = items(ov, 0, 1, 2, 3)
    for nonsense in (0, 1.5, None):
        with pytest.raises(TypeError):
            request_.set_tensors(nonsense, tensors)


def test_an_output_is_no_batch(ov: Any, request_: Any) -> None:
    with pytest.raises(TypeError):
        request_.set_output_tensors(items(ov, 0, 1, 2, 3))


# Several tensors at once, as a dict

KEYS: Final[dict[str, Callable[[Any], list[Any]]]] = {
    "names": lambda request: ["x0", "x1"],
    "indices": lambda request: [0, 1],
    "ports": lambda request: request.model_inputs,
    "mixed": lambda request: ["x0", 1],
    "port and name": lambda request: [request.model_inputs[0], "x1"],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_a_dict_sets_several_tensors(
    ov: Any, request_of_two: Any, keys: Callable[[Any], list[Any]]
) -> None:
    tensors = items(ov, 1, 20, shape=BATCH)
    request_of_two.set_tensors(dict(zip(keys(request_of_two), tensors, strict=True)))
    assert run(request_of_two) == [21] * 4
    tensors[0].data[:] = 2
    assert run(request_of_two) == [22] * 4


def test_a_dict_sets_inputs_by_index(ov: Any, request_of_two: Any) -> None:
    request_of_two.set_input_tensors({1: filled(ov, 20, BATCH), 0: filled(ov, 1, BATCH)})
    assert run(request_of_two) == [21] * 4


def test_a_dict_sets_outputs_by_index(ov: Any, request_of_two: Any) -> None:
    output = filled(ov, 0, BATCH)
    request_of_two.set_input_tensors(dict(enumerate(items(ov, 1, 20, shape=BATCH))))
    request_of_two.set_output_tensors({0: output})
    request_of_two.infer()
    assert (output.data == 21).all()


def test_a_dict_leaves_the_other_inputs(ov: Any, request_of_two: Any) -> None:
    request_of_two.set_tensors(dict(enumerate(items(ov, 1, 20, shape=BATCH))))
    request_of_two.set_tensors({"x1": filled(ov, 30, BATCH)})
    assert run(request_of_two) == [31] * 4


@pytest.mark.parametrize("key", ["nope", 2])
def test_a_dict_names_inputs_of_the_model(ov: Any, request_: Any, key: Any) -> None:
    with pytest.raises(RuntimeError):
        request_.set_tensors({key: filled(ov, 1, BATCH)})
