"""Core and CompiledModel: what can be compiled, and what the compiled model tells and does."""

import copy
import gc
import io
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

Load = Callable[[bytes], Any]
Array = NDArray[Any]
Use = Callable[..., Any]


@pytest.fixture
def load(core: Any, tmp_path: Path) -> Load:
    """Compile a model for the CPU."""

    def load(model: bytes) -> Any:
        path = tmp_path / f"{hash(model)}.onnx"
        path.write_bytes(model)
        return core.compile_model(path, "CPU")

    return load


@pytest.fixture
def minus(load: Load) -> Any:
    """difference = a - b, float32 (1, 4)."""
    return load(models.subtract((1, 4)))


@pytest.fixture
def relu(load: Load) -> Any:
    """y = max(x, 0), float32 (1, 4)."""
    return load(models.relu((1, 4)))


@pytest.fixture
def two_outputs(load: Load) -> Any:
    """positive = max(x, 0) and negated = -x, float32 (1, 4)."""
    return load(models.two_outputs((1, 4)))


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """y = max(x, 0), float32 (1, 4)."""
    path = tmp_path / "relu.onnx"
    path.write_bytes(models.relu((1, 4)))
    return path


@pytest.fixture
def ir_file(tmp_path: Path) -> Path:
    """y = x + (1, 2, 3, 4), float32 (4,); its weights lie beside it."""
    xml, weights = models.ir_add([1, 2, 3, 4])
    path = tmp_path / "add.xml"
    path.write_text(xml)
    path.with_suffix(".bin").write_bytes(weights)
    return path


def row(*values: float) -> Array:
    return np.array([values or (-1, 2, -3, 4)], np.float32)


def assert_is_relu(model: Any) -> None:
    answer = model.create_infer_request().infer(row(-1, 2, -3, 4))[0]
    assert answer.tolist() == [[0, 2, 0, 4]]


# Ports


def test_ports_are_in_the_order_of_the_model(minus: Any, two_outputs: Any) -> None:
    assert [port.any_name for port in minus.inputs] == ["a", "b"]
    assert [port.any_name for port in minus.outputs] == ["difference"]
    assert [port.any_name for port in two_outputs.inputs] == ["x"]
    assert [port.any_name for port in two_outputs.outputs] == ["positive", "negated"]


def test_ports_are_lists_of_const_outputs(ov: Any, two_outputs: Any) -> None:
    for ports in (two_outputs.inputs, two_outputs.outputs):
        assert isinstance(ports, list)
        assert all(isinstance(port, ov.ConstOutput) for port in ports)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
def test_the_lists_of_ports_are_read_only(relu: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(relu, name, [])


@pytest.mark.parametrize(
    ("get", "name"),
    [
        pytest.param(lambda m: m.input(0), "a", id="input 0"),
        pytest.param(lambda m: m.input(1), "b", id="input 1"),
        pytest.param(lambda m: m.input(np.int64(1)), "b", id="input of numpy index"),
        pytest.param(lambda m: m.input("b"), "b", id="input by name"),
        pytest.param(lambda m: m.input(index=1), "b", id="input by keyword index"),
        pytest.param(lambda m: m.input(tensor_name="b"), "b", id="input by keyword name"),
        pytest.param(lambda m: m.output(), "difference", id="only output"),
        pytest.param(lambda m: m.output(0), "difference", id="output 0"),
        pytest.param(lambda m: m.output("difference"), "difference", id="output by name"),
        pytest.param(lambda m: m.output(index=0), "difference", id="output by keyword index"),
        pytest.param(
            lambda m: m.output(tensor_name="difference"), "difference", id="output by keyword name"
        ),
    ],
)
def test_a_port_is_found(minus: Any, get: Use, name: str) -> None:
    assert get(minus).any_name == name
    assert get(minus) in (*minus.inputs, *minus.outputs)


@pytest.mark.parametrize(
    ("get", "error"),
    [
        pytest.param(lambda m: m.input(), RuntimeError, id="which of two inputs"),
        pytest.param(lambda m: m.input(2), RuntimeError, id="input 2 of 2"),
        pytest.param(lambda m: m.input("nope"), RuntimeError, id="unknown input"),
        pytest.param(lambda m: m.input(""), RuntimeError, id="input without name"),
        pytest.param(lambda m: m.input("difference"), RuntimeError, id="output as input"),
        pytest.param(lambda m: m.input(-1), TypeError, id="input -1"),
        pytest.param(lambda m: m.input(0.0), TypeError, id="input 0.0"),
        pytest.param(lambda m: m.input(None), TypeError, id="input None"),
        pytest.param(lambda m: m.input(name="a"), TypeError, id="input of unknown keyword"),
        pytest.param(lambda m: m.output(1), RuntimeError, id="output 1 of 1"),
        pytest.param(lambda m: m.output("nope"), RuntimeError, id="unknown output"),
        pytest.param(lambda m: m.output("a"), RuntimeError, id="input as output"),
        pytest.param(lambda m: m.output(-1), TypeError, id="output -1"),
        pytest.param(lambda m: m.output(0.0), TypeError, id="output 0.0"),
        pytest.param(lambda m: m.output(None), TypeError, id="output None"),
    ],
)
def test_a_port_that_is_not_there_is_refused(minus: Any, get: Use, error: type[Exception]) -> None:
    with pytest.raises(error):
        get(minus)


def test_which_of_two_outputs_has_to_be_said(two_outputs: Any) -> None:
    with pytest.raises(RuntimeError):
        two_outputs.output()
    assert two_outputs.input().any_name == "x"


@pytest.mark.parametrize(
    ("element_type", "name", "dtype"),
    [
        (TensorProto.FLOAT, "f32", np.float32),
        (TensorProto.FLOAT16, "f16", np.float16),
        (TensorProto.DOUBLE, "f64", np.float64),
        (TensorProto.INT8, "i8", np.int8),
        (TensorProto.UINT8, "u8", np.uint8),
        (TensorProto.INT16, "i16", np.int16),
        (TensorProto.INT32, "i32", np.int32),
        (TensorProto.INT64, "i64", np.int64),
    ],
)
def test_a_port_tells_its_element_type(
    ov: Any, load: Load, element_type: int, name: str, dtype: type
) -> None:
    model = load(models.add((2, 3), element_type))
    for port in (*model.inputs, *model.outputs):
        assert port.element_type == getattr(ov.Type, name)
        assert port.get_element_type() == port.element_type
        assert port.element_type.to_dtype() == dtype


@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (2, 3, 5), (1, 1, 1, 1, 2)], ids=str)
def test_a_port_tells_its_shape(ov: Any, load: Load, shape: tuple[int, ...]) -> None:
    model = load(models.unary("Neg", shape))
    for port in (model.input(), model.output()):
        assert port.shape == list(shape)
        assert tuple(port.shape) == shape
        assert port.get_shape() == port.shape
        assert port.partial_shape == ov.PartialShape(list(shape))
        assert port.get_partial_shape() == port.partial_shape
        assert not port.partial_shape.is_dynamic


def test_a_port_tells_its_names(load: Load) -> None:
    port = load(models.two_names()).output()
    assert port.names == port.get_names() == {"early", "late"}
    assert port.any_name == port.get_any_name() == "early"  # the first in the alphabet


def test_a_port_is_found_by_any_of_its_names(load: Load) -> None:
    model = load(models.two_names())
    assert model.output("early") == model.output("late") == model.output()


def test_the_index_of_a_port_is_that_of_its_node(minus: Any, two_outputs: Any) -> None:
    for port in (*minus.inputs, *minus.outputs, *two_outputs.outputs):
        assert port.index == port.get_index() == 0


def test_a_port_equals_itself_however_it_was_found(minus: Any) -> None:
    assert minus.input("a") == minus.input(0) == minus.inputs[0]
    assert hash(minus.input("a")) == hash(minus.input(0))
    assert (minus.input("a") != minus.input(0)) is False
    assert minus.inputs.index(minus.input("b")) == 1


def test_different_ports_are_different(minus: Any) -> None:
    ports = {*minus.inputs, *minus.outputs}
    assert len(ports) == 3
    assert minus.input("a") != minus.input("b")
    assert minus.input("a") != minus.output()
    assert minus.input("a") != "a"
    assert minus.input("a") != 0


def test_a_port_is_a_key(minus: Any) -> None:
    values = {port: port.any_name for port in minus.inputs}
    assert values[minus.input("b")] == "b"
    assert minus.output() not in values


def test_ports_of_different_models_are_different(relu: Any, two_outputs: Any, load: Load) -> None:
    assert relu.input() != two_outputs.input()
    assert relu.input() != load(models.relu((1, 4))).input()


def test_a_copy_of_a_port_is_equal(minus: Any) -> None:
    port = minus.input("b")
    again = copy.copy(port)
    assert again == port
    assert hash(again) == hash(port)
    assert again.any_name == "b"


def test_a_port_has_no_deep_copy_and_no_pickle(minus: Any) -> None:
    with pytest.raises(TypeError):
        copy.deepcopy(minus.input("a"))
    with pytest.raises(TypeError):
        pickle.dumps(minus.input("a"))


def test_a_port_is_made_by_a_model_only(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.ConstOutput()


@pytest.mark.parametrize(
    "name", ["any_name", "names", "shape", "partial_shape", "element_type", "index"]
)
def test_what_a_port_tells_is_read_only(minus: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(minus.input("a"), name, None)


def test_a_port_outlives_its_model(load: Load) -> None:
    model = load(models.relu((1, 4)))
    port = model.output()
    del model
    gc.collect()
    assert port.any_name == "y"
    assert port.shape == [1, 4]


# Running


def test_a_model_creates_requests(ov: Any, relu: Any) -> None:
    first, second = relu.create_infer_request(), relu.create_infer_request()
    assert isinstance(first, ov.InferRequest)
    first.infer(row(1, 1, 1, 1))
    second.infer(row(2, 2, 2, 2))
    assert first.results[0].tolist() == [[1, 1, 1, 1]]
    assert second.results[0].tolist() == [[2, 2, 2, 2]]


def test_create_infer_request_takes_no_arguments(relu: Any) -> None:
    with pytest.raises(TypeError):
        relu.create_infer_request(1)


def test_a_request_outlives_its_model_and_core(ov: Any, onnx_file: Path) -> None:
    core = ov.Core()
    model = core.compile_model(onnx_file, "CPU")
    request = model.create_infer_request()
    del core, model
    gc.collect()
    assert request.infer(row(-1, 2, -3, 4))[0].tolist() == [[0, 2, 0, 4]]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ov, m, a, b: [a, b], id="list"),
        pytest.param(lambda ov, m, a, b: (a, b), id="tuple"),
        pytest.param(lambda ov, m, a, b: {0: a, 1: b}, id="by index"),
        pytest.param(lambda ov, m, a, b: {"b": b, "a": a}, id="by name"),
        pytest.param(lambda ov, m, a, b: {m.input(1): b, m.input(0): a}, id="by port"),
        pytest.param(lambda ov, m, a, b: [ov.Tensor(a), b], id="tensor"),
    ],
)
@pytest.mark.parametrize("run", ["__call__", "infer_new_request"])
def test_a_model_infers_by_itself(ov: Any, minus: Any, make: Use, run: str) -> None:
    results = getattr(minus, run)(make(ov, minus, row(9, 9, 9, 9), row(1, 2, 3, 4)))
    assert results[0].tolist() == [[8, 7, 6, 5]]
    assert results["difference"] is results[minus.output()]
    assert results[0].flags.owndata


def test_a_called_model_keeps_the_inputs_of_its_last_call(minus: Any) -> None:
    minus([row(9, 9, 9, 9), row(1, 1, 1, 1)])
    assert minus()[0].tolist() == [[8, 8, 8, 8]]
    assert minus({"b": row(2, 2, 2, 2)}, share_inputs=False)[0].tolist() == [[7, 7, 7, 7]]


def test_a_called_model_shares_its_inputs_unless_told_otherwise(relu: Any) -> None:
    x = row(1, 2, 3, 4)
    relu(x)
    x[:] = 9
    assert relu()[0].tolist() == [[9, 9, 9, 9]]


def test_a_called_model_copies_its_inputs_when_told_so(relu: Any) -> None:
    x = row(1, 2, 3, 4)
    relu(x, share_inputs=False)
    x[:] = 9
    assert relu()[0].tolist() == [[1, 2, 3, 4]]


def test_a_called_model_shares_its_outputs_when_told_so(relu: Any) -> None:
    own = relu(row(1, 1, 1, 1))[0]
    view = relu(row(2, 2, 2, 2), share_outputs=True)[0]
    relu(row(3, 3, 3, 3))
    assert own.tolist() == [[1, 1, 1, 1]]
    assert view.tolist() == [[3, 3, 3, 3]]
    assert not view.flags.owndata


def test_the_hidden_request_is_not_one_of_the_others(relu: Any) -> None:
    request = relu.create_infer_request()
    request.infer(row(1, 1, 1, 1))
    relu(row(2, 2, 2, 2))
    assert relu.infer_new_request(row(3, 3, 3, 3))[0].tolist() == [[3, 3, 3, 3]]
    assert relu()[0].tolist() == [[2, 2, 2, 2]]
    assert request.infer()[0].tolist() == [[1, 1, 1, 1]]


def test_another_handle_of_the_model_has_a_hidden_request_of_its_own(relu: Any) -> None:
    again = relu.create_infer_request().get_compiled_model()
    relu(row(1, 1, 1, 1))
    again(row(2, 2, 2, 2))
    assert relu()[0].tolist() == [[1, 1, 1, 1]]
    assert again()[0].tolist() == [[2, 2, 2, 2]]


def test_the_arguments_of_a_call_are_named_as_documented(relu: Any) -> None:
    x = row(1, 2, 3, 4)
    called = relu(inputs=x, share_inputs=True, share_outputs=False, decode_strings=True)
    assert called[0].tolist() == [[1, 2, 3, 4]]
    assert relu.infer_new_request(inputs=x)[0].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda m: m(row(), True, False, True), id="four arguments"),
        pytest.param(lambda m: m(row(), shared_memory=True), id="unknown keyword"),
        pytest.param(lambda m: m.infer_new_request(row(), True), id="two for a new request"),
        pytest.param(lambda m: m.infer_new_request(row(), share_inputs=True), id="shared and new"),
        pytest.param(lambda m: m({1}), id="a set"),
        pytest.param(lambda m: m.infer_new_request({1}), id="a set for a new request"),
    ],
)
def test_a_call_of_another_form_is_refused(relu: Any, call: Use) -> None:
    with pytest.raises(TypeError):
        call(relu)
    assert relu(row(1, 2, 3, 4))[0].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("run", ["__call__", "infer_new_request"])
@pytest.mark.parametrize(
    "inputs",
    [{"nope": row()}, {2: row()}, [row()] * 3, row(), row()[0], {"a": row()[0]}],
    ids=["name", "index", "too many", "only one", "only one, of wrong rank", "rank"],
)
def test_an_input_that_does_not_fit_is_refused(minus: Any, run: str, inputs: Any) -> None:
    with pytest.raises(RuntimeError):
        getattr(minus, run)(inputs)
    good = [row(9, 9, 9, 9), row(1, 2, 3, 4)]
    assert getattr(minus, run)(good)[0].tolist() == [[8, 7, 6, 5]]


def test_two_threads_that_call_one_model_are_answered_or_refused_as_busy(load: Load) -> None:
    model = load(models.slow(256, layers=20))
    x = np.ones((256, 256), np.float32)
    expected = model(x)[0]
    start = threading.Barrier(2)

    def call() -> str:
        start.wait()
        try:
            np.testing.assert_array_equal(model(x)[0], expected)
        except RuntimeError as why:
            return str(why)
        return "answered"

    with ThreadPoolExecutor(2) as threads:
        for _ in range(100):
            answers = [threads.submit(call) for _ in range(2)]
            first, second = sorted(answer.result() for answer in answers)
            assert "answered" in (first, second)
            if "busy" in first + second:
                return
    pytest.fail("no call ever found the other one at work")


def test_threads_compile_and_run_models_of_their_own(core: Any, onnx_file: Path) -> None:
    def work(_: int) -> Any:
        return core.compile_model(onnx_file, "CPU")(row(-1, 2, -3, 4))[0].tolist()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(12))) == [[[0, 2, 0, 4]]] * 12


def test_released_memory_is_had_again_when_needed(relu: Any) -> None:
    relu(row(1, 1, 1, 1))
    relu.release_memory()
    assert relu(row(1, 2, 3, 4))[0].tolist() == [[1, 2, 3, 4]]


def test_a_model_is_made_by_a_core_only(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.CompiledModel()


# Properties


def test_a_model_tells_how_many_requests_it_likes(relu: Any) -> None:
    number = relu.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    assert type(number) is int
    assert number >= 1


def test_a_model_tells_its_devices(relu: Any) -> None:
    devices = relu.get_property("EXECUTION_DEVICES")
    assert list(devices) == ["CPU"]


def test_a_model_tells_its_name(core: Any, ir_file: Path, relu: Any) -> None:
    assert core.compile_model(ir_file, "CPU").get_property("NETWORK_NAME") == "add_four"
    assert isinstance(relu.get_property("NETWORK_NAME"), str)


def test_a_model_tells_which_properties_it_has(relu: Any) -> None:
    names = relu.get_property("SUPPORTED_PROPERTIES")
    for name in (
        "SUPPORTED_PROPERTIES",
        "OPTIMAL_NUMBER_OF_INFER_REQUESTS",
        "EXECUTION_DEVICES",
        "NETWORK_NAME",
    ):
        assert name in names
    assert "NO_SUCH_PROPERTY" not in names


@pytest.mark.parametrize(
    ("name", "error"),
    [("NO_SUCH_PROPERTY", RuntimeError), ("", RuntimeError), (3, TypeError), (None, TypeError)],
)
def test_an_unknown_property_is_refused(relu: Any, name: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        relu.get_property(name)


def test_the_properties_of_a_compiled_model_are_fixed(relu: Any) -> None:
    with pytest.raises(RuntimeError):
        relu.set_property({"NUM_STREAMS": "1"})


# Compiling


@pytest.mark.parametrize("as_path", [Path, str])
@pytest.mark.parametrize(
    "compile_",
    [
        pytest.param(lambda core, path: core.compile_model(path, "CPU"), id="for a device"),
        pytest.param(lambda core, path: core.compile_model(path), id="for the default device"),
        pytest.param(lambda core, path: core.compile_model(path, None), id="for device None"),
        pytest.param(lambda core, path: core.compile_model(path, "AUTO"), id="for AUTO"),
        pytest.param(lambda core, path: core.compile_model(path, "CPU", {}), id="with config"),
        pytest.param(lambda core, path: core.compile_model(path, "CPU", None), id="config None"),
        pytest.param(
            lambda core, path: core.compile_model(model=path, device_name="CPU", config={}),
            id="by keywords",
        ),
    ],
)
def test_a_file_is_compiled(core: Any, onnx_file: Path, compile_: Use, as_path: Use) -> None:
    assert_is_relu(compile_(core, as_path(onnx_file)))


@pytest.mark.parametrize("as_path", [Path, str])
def test_an_ir_file_is_compiled_with_the_weights_beside_it(
    core: Any, ir_file: Path, as_path: Use
) -> None:
    model = core.compile_model(as_path(ir_file), "CPU")
    assert model(np.zeros(4, np.float32))["y"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("as_text", [str, str.encode], ids=["text", "bytes"])
def test_an_ir_is_compiled_from_memory(core: Any, as_text: Use) -> None:
    xml, weights = models.ir_add([5, 6, 7, 8])
    model = core.compile_model(as_text(xml), "CPU", weights=weights)
    assert model(np.zeros(4, np.float32))["y"].tolist() == [5, 6, 7, 8]


def test_onnx_bytes_are_compiled(core: Any) -> None:
    assert_is_relu(core.compile_model(models.relu((1, 4)), "CPU", weights=b""))


@pytest.mark.parametrize("as_source", [bytes, io.BytesIO])
def test_a_model_that_was_read_from_memory_is_compiled(core: Any, as_source: Use) -> None:
    assert_is_relu(core.compile_model(core.read_model(as_source(models.relu((1, 4)))), "CPU"))


def test_a_model_that_was_read_from_a_file_is_compiled(core: Any, onnx_file: Path) -> None:
    assert_is_relu(core.compile_model(core.read_model(onnx_file), "CPU"))


def test_the_file_is_not_needed_any_more_once_compiled(core: Any, onnx_file: Path) -> None:
    model = core.compile_model(onnx_file, "CPU")
    onnx_file.unlink()
    assert_is_relu(model)


def test_a_file_that_has_changed_is_compiled_anew(core: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.unary("Neg", (1, 4)))
    old = core.compile_model(path, "CPU")
    path.write_bytes(models.relu((1, 4)))
    assert_is_relu(core.compile_model(path, "CPU"))
    assert old(row(-1, 2, -3, 4))[0].tolist() == [[1, -2, 3, -4]]


def test_one_file_is_compiled_more_than_once(core: Any, onnx_file: Path) -> None:
    first, second = core.compile_model(onnx_file, "CPU"), core.compile_model(onnx_file, "CPU")
    first(row(1, 1, 1, 1))
    second(row(2, 2, 2, 2))
    del first
    gc.collect()
    assert second()[0].tolist() == [[2, 2, 2, 2]]


def test_a_hint_is_taken(core: Any, onnx_file: Path) -> None:
    assert_is_relu(core.compile_model(onnx_file, "CPU", {"PERFORMANCE_HINT": "LATENCY"}))


def cut(path: Path, size_bytes: int) -> Path:
    path.write_bytes(path.read_bytes()[:size_bytes])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("as_path", [Path, str])
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda folder, onnx, ir: folder / "missing.onnx", id="missing ONNX"),
        pytest.param(lambda folder, onnx, ir: folder / "missing.xml", id="missing IR"),
        pytest.param(lambda folder, onnx, ir: folder / "no" / "folder.onnx", id="missing folder"),
        pytest.param(lambda folder, onnx, ir: folder, id="a directory"),
        pytest.param(lambda folder, onnx, ir: written(onnx, b"words " * 50), id="not an ONNX"),
        pytest.param(lambda folder, onnx, ir: written(ir, b"words " * 50), id="not an IR"),
        pytest.param(lambda folder, onnx, ir: written(onnx, b""), id="empty ONNX"),
        pytest.param(lambda folder, onnx, ir: written(ir, b""), id="empty IR"),
        pytest.param(lambda folder, onnx, ir: cut(onnx, 10), id="start of an ONNX"),
        pytest.param(lambda folder, onnx, ir: cut(onnx, -1), id="ONNX without its last byte"),
        pytest.param(lambda folder, onnx, ir: cut(ir, 300), id="start of an IR"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    core: Any, tmp_path: Path, onnx_file: Path, ir_file: Path, broken: Use, as_path: Use
) -> None:
    with pytest.raises(RuntimeError):
        core.compile_model(as_path(broken(tmp_path, onnx_file, ir_file)), "CPU")


@pytest.mark.parametrize("ruin", [lambda path: cut(path, 8), Path.unlink], ids=["cut", "missing"])
def test_an_ir_file_without_its_weights_is_refused(core: Any, ir_file: Path, ruin: Use) -> None:
    ruin(ir_file.with_suffix(".bin"))
    with pytest.raises(RuntimeError):
        core.compile_model(ir_file, "CPU")


@pytest.mark.parametrize(
    ("source", "weights"),
    [
        pytest.param(b"words " * 50, b"", id="words"),
        pytest.param(b"", b"", id="nothing"),
        pytest.param(models.relu()[:-1], b"", id="ONNX without its last byte"),
        pytest.param(models.IR_ADD_FOUR[:300], bytes(16), id="start of an IR"),
        pytest.param(models.IR_ADD_FOUR, bytes(8), id="IR with half its weights"),
        pytest.param(models.IR_ADD_FOUR, b"", id="IR without weights"),
    ],
)
def test_bytes_that_are_no_model_are_refused(core: Any, source: Any, weights: bytes) -> None:
    with pytest.raises(RuntimeError):
        core.compile_model(source, "CPU", weights=weights)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(("NO_SUCH_DEVICE",), RuntimeError, id="unknown device"),
        pytest.param(("",), RuntimeError, id="empty device"),
        pytest.param((3,), TypeError, id="a number for a device"),
        pytest.param(("CPU", {"NO_SUCH_KEY": "1"}), RuntimeError, id="unknown key"),
        pytest.param(("CPU", {"PERFORMANCE_HINT": "SLOWLY"}), RuntimeError, id="unknown value"),
        pytest.param(("CPU", "LATENCY"), TypeError, id="text for a config"),
        pytest.param(("CPU", {}, b""), TypeError, id="positional weights"),
    ],
)
def test_a_device_or_config_that_is_not_there_is_refused(
    core: Any, onnx_file: Path, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        core.compile_model(onnx_file, *arguments)
    assert_is_relu(core.compile_model(onnx_file, "CPU"))


def test_compile_model_refuses_arguments_that_it_does_not_know(core: Any, onnx_file: Path) -> None:
    with pytest.raises(TypeError):
        core.compile_model(onnx_file, device="CPU")
    with pytest.raises(TypeError):
        core.compile_model()


def test_the_available_devices_are_a_list_of_names(core: Any) -> None:
    devices = core.available_devices
    assert isinstance(devices, list)
    assert all(isinstance(name, str) for name in devices)
    assert "CPU" in devices
    assert core.get_available_devices() == devices


def test_the_available_devices_are_read_only(core: Any) -> None:
    with pytest.raises(AttributeError):
        core.available_devices = []


@pytest.mark.parametrize(
    "compile_",
    [
        pytest.param(lambda ov, path: ov.compile_model(path), id="for the default device"),
        pytest.param(lambda ov, path: ov.compile_model(str(path)), id="path as text"),
        pytest.param(lambda ov, path: ov.compile_model(path, "CPU"), id="for a device"),
        pytest.param(lambda ov, path: ov.compile_model(path, "CPU", {}), id="with config"),
        pytest.param(
            lambda ov, path: ov.compile_model(model=path, device_name="CPU", config=None),
            id="by keywords",
        ),
    ],
)
def test_the_module_compiles_without_a_core(ov: Any, onnx_file: Path, compile_: Use) -> None:
    model = compile_(ov, onnx_file)
    assert isinstance(model, ov.CompiledModel)
    assert_is_relu(model)


@pytest.mark.parametrize(
    "compile_",
    [
        pytest.param(lambda ov, path: ov.compile_model(path / "missing"), id="missing file"),
        pytest.param(lambda ov, path: ov.compile_model(path, "NO_SUCH_DEVICE"), id="device"),
        pytest.param(lambda ov, path: ov.compile_model(path, "CPU", {"NO_SUCH": 1}), id="key"),
    ],
)
def test_the_module_refuses_what_a_core_refuses(ov: Any, onnx_file: Path, compile_: Use) -> None:
    with pytest.raises(RuntimeError):
        compile_(ov, onnx_file)
