"""Core: reading models, properties of devices, versions, exported models, profiles, contexts.

Compiling is in test_compiled_model, reshaping in test_dynamic_shapes.
"""

import copy
import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

SLOW_SIZE: Final = 1024


@pytest.fixture
def add_path(tmp_path: Path) -> Path:
    """ONNX: ``sum = a + b``, float32 (1, 4)."""
    path = tmp_path / "add.onnx"
    path.write_bytes(models.add((1, 4)))
    return path


@pytest.fixture
def ir_path(tmp_path: Path) -> Path:
    """IR, with its weights beside it: ``y = x + (1, 2, 3, 4)``, float32 (4)."""
    xml, weights = models.ir_add([1, 2, 3, 4])
    path = tmp_path / "add_four.xml"
    path.write_text(xml)
    path.with_suffix(".bin").write_bytes(weights)
    return path


@pytest.fixture
def source(core: Any, add_path: Path) -> Any:
    """``sum = a + b``, read and not yet compiled."""
    return core.read_model(add_path)


@pytest.fixture
def compiled(core: Any, source: Any) -> Any:
    return core.compile_model(source, "CPU")


def row(value: float) -> Array:
    return np.full((1, 4), value, np.float32)


# read_model


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_is_read_from_a_path(
    core: Any, add_path: Path, kind: Callable[[Path], Any]
) -> None:
    model = core.read_model(kind(add_path))
    assert [port.any_name for port in model.inputs] == ["a", "b"]
    assert [port.any_name for port in model.outputs] == ["sum"]


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_a_model_is_read_from_memory(core: Any, kind: Callable[[bytes], Any]) -> None:
    model = core.read_model(kind(models.add((1, 4))))
    assert [port.any_name for port in model.inputs] == ["a", "b"]
    assert core.compile_model(model, "CPU")([row(1), row(2)])[0].tolist() == [[3, 3, 3, 3]]


def test_an_ir_model_is_read_with_the_weights_beside_it(core: Any, ir_path: Path) -> None:
    model = core.compile_model(core.read_model(ir_path), "CPU")
    assert model(np.zeros(4, np.float32))["y"].tolist() == [1, 2, 3, 4]


def test_an_ir_model_is_read_with_weights_from_elsewhere(
    core: Any, ir_path: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "other.weights"
    ir_path.with_suffix(".bin").rename(weights)
    model = core.compile_model(core.read_model(ir_path, weights), "CPU")
    assert model(np.zeros(4, np.float32))[0].tolist() == [1, 2, 3, 4]


IN_MEMORY: Final[dict[str, Callable[[Any, str, bytes], tuple[Any, Any]]]] = {
    "bytes": lambda ov, xml, weights: (xml.encode(), weights),
    "streams": lambda ov, xml, weights: (io.BytesIO(xml.encode()), io.BytesIO(weights)),
    "text and a tensor": lambda ov, xml, weights: (
        xml,
        ov.Tensor(np.frombuffer(weights, np.uint8)),
    ),
}


@pytest.mark.parametrize("make", IN_MEMORY.values(), ids=IN_MEMORY.keys())
def test_an_ir_model_is_read_from_memory(
    ov: Any, core: Any, make: Callable[[Any, str, bytes], tuple[Any, Any]]
) -> None:
    model, weights = make(ov, *models.ir_add([5, 6, 7, 8]))
    compiled = core.compile_model(core.read_model(model, weights), "CPU")
    assert compiled(np.zeros(4, np.float32))[0].tolist() == [5, 6, 7, 8]


def test_the_arguments_of_read_model_have_names(core: Any, add_path: Path) -> None:
    xml, weights = models.ir_add([1, 2, 3, 4])
    assert len(core.read_model(model=add_path).inputs) == 2
    assert len(core.read_model(model=xml.encode(), weights=weights).inputs) == 1


def test_a_missing_file_is_refused(core: Any, ir_path: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        core.read_model(tmp_path / "missing.onnx")
    with pytest.raises(RuntimeError):
        core.read_model(ir_path, tmp_path / "missing.bin")


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".txt", ""])
def test_a_file_that_is_no_model_is_refused(core: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(b"this is no model at all")
    with pytest.raises(RuntimeError):
        core.read_model(path)


@pytest.mark.parametrize("model", [b"", b"garbage", b"<xml", b"\0" * 100], ids=len)
def test_bytes_that_are_no_model_are_refused(core: Any, model: bytes) -> None:
    with pytest.raises(RuntimeError):
        core.read_model(model)


@pytest.mark.parametrize("weights", [b"", b"too short"])
def test_weights_that_are_too_short_are_refused(core: Any, weights: bytes) -> None:
    xml, _ = models.ir_add([1, 2, 3, 4])
    with pytest.raises(RuntimeError):
        core.read_model(xml.encode(), weights)


@pytest.mark.parametrize("model", [None, 3, ["model.onnx"], np.zeros(3)])
def test_a_model_is_a_path_or_bytes(core: Any, model: object) -> None:
    with pytest.raises(TypeError):
        core.read_model(model)


def test_threads_may_read_models_at_once(core: Any) -> None:
    with ThreadPoolExecutor(4) as threads:
        sizes = list(range(1, 21))
        read = threads.map(lambda size: core.read_model(models.relu((1, size))), sizes)
        assert [model.input(0).shape[1] for model in read] == sizes


# Model


def test_a_model_lists_its_ports(source: Any) -> None:
    assert isinstance(source.inputs, list)
    assert isinstance(source.outputs, list)
    assert source.inputs == [source.input(0), source.input(1)]
    assert source.outputs == [source.output(0)]


def test_a_port_of_a_model_tells_its_names_type_and_shape(ov: Any, source: Any) -> None:
    for port, name in ((source.input(0), "a"), (source.input(1), "b"), (source.output(), "sum")):
        assert port.any_name == port.get_any_name() == name
        assert port.names == port.get_names() == {name}
        assert port.shape == port.get_shape() == [1, 4]
        assert port.partial_shape == port.get_partial_shape() == ov.PartialShape([1, 4])
        assert port.element_type == port.get_element_type() == ov.Type.f32
        assert port.index == port.get_index() == 0


def test_ports_of_a_model_are_found_by_index_and_name(source: Any) -> None:
    assert source.input("b") == source.input(1) == source.input(index=1)
    assert source.input(tensor_name="b") == source.input(1)
    assert source.output("sum") == source.output(0) == source.output()
    assert source.input("a") != source.input("b")
    assert hash(source.input("a")) == hash(source.input(0))


FOUND_NOTHING: Final[dict[str, tuple[Callable[[Any], Any], type[Exception]]]] = {
    "input name": (lambda model: model.input("nope"), RuntimeError),
    "output name": (lambda model: model.output("a"), RuntimeError),
    "one of two inputs": (lambda model: model.input(), RuntimeError),
    "input index": (lambda model: model.input(2), IndexError),
    "output index": (lambda model: model.output(1), IndexError),
    "negative": (lambda model: model.input(-1), TypeError),
    "float": (lambda model: model.input(1.0), TypeError),
    "None": (lambda model: model.output(None), TypeError),
}


@pytest.mark.parametrize(("find", "error"), FOUND_NOTHING.values(), ids=FOUND_NOTHING.keys())
def test_a_port_that_a_model_does_not_have_is_refused(
    source: Any, find: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        find(source)


def test_ports_of_a_model_name_the_tensors_of_a_request(
    ov: Any, source: Any, compiled: Any
) -> None:
    request = compiled.create_infer_request()
    request.set_tensor(source.input("a"), ov.Tensor(row(10)))
    request.set_tensor(source.input("b"), ov.Tensor(row(5)))
    request.infer()
    assert request.get_tensor(source.output()).data.tolist() == [[15, 15, 15, 15]]


def test_ports_of_the_same_file_read_again_do_too(ov: Any, core: Any, add_path: Path) -> None:
    request = core.compile_model(add_path, "CPU").create_infer_request()
    other = core.read_model(add_path)
    request.set_tensor(other.input("b"), ov.Tensor(row(10)))
    request.set_tensor(other.input("a"), ov.Tensor(row(5)))
    request.infer()
    assert request.get_tensor("b").data.tolist() == row(10).tolist()
    assert request.get_tensor(other.output(0)).data.tolist() == [[15, 15, 15, 15]]


def test_a_model_compiles_more_than_once(core: Any, source: Any) -> None:
    first, second = (core.compile_model(source, "CPU") for _ in range(2))
    assert first([row(1), row(2)])[0].tolist() == second([row(1), row(2)])[0].tolist()


def test_a_deepcopy_of_a_model_is_another_model(source: Any) -> None:
    for other in (copy.deepcopy(source), source.clone()):
        other.reshape({"a": [2, 4], "b": [2, 4]})
        assert other.output(0).shape == [2, 4]
        assert source.output(0).shape == [1, 4]


def test_a_model_cannot_be_copied_or_pickled(source: Any) -> None:
    with pytest.raises(TypeError):
        copy.copy(source)
    with pytest.raises(TypeError):
        pickle.dumps(source)


def test_a_core_cannot_be_pickled(core: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(core)


# Properties of a device

TELLS: Final[dict[str, Callable[[Any], bool]]] = {
    "FULL_DEVICE_NAME": lambda value: isinstance(value, str) and bool(value),
    "SUPPORTED_PROPERTIES": lambda value: "FULL_DEVICE_NAME" in value,
    "AVAILABLE_DEVICES": lambda value: isinstance(value, list),
    "OPTIMIZATION_CAPABILITIES": lambda value: "FP32" in value,
    "RANGE_FOR_ASYNC_INFER_REQUESTS": lambda value: len(value) == 3,
    "PERF_COUNT": lambda value: value is False,
}


@pytest.mark.parametrize(("name", "right"), TELLS.items(), ids=TELLS.keys())
def test_a_device_tells_its_properties(core: Any, name: str, right: Callable[[Any], bool]) -> None:
    assert right(core.get_property("CPU", name))


@pytest.mark.parametrize(("device", "name"), [("CPU", "NOPE"), ("NOPE", "FULL_DEVICE_NAME")])
def test_a_property_that_is_not_there_is_refused(core: Any, device: str, name: str) -> None:
    with pytest.raises(RuntimeError):
        core.get_property(device, name)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"PERF_COUNT": True}, True),
        ({"PERF_COUNT": "YES"}, True),
        ({"PERF_COUNT": "NO"}, False),
        (("PERF_COUNT", True), True),
        ({}, False),
    ],
)
def test_a_property_of_a_device_can_be_set(core: Any, properties: Any, expected: bool) -> None:
    core.set_property("CPU", properties)
    assert core.get_property("CPU", "PERF_COUNT") is expected


def test_a_property_can_be_set_again(core: Any) -> None:
    for value in (True, False, True):
        core.set_property("CPU", {"PERF_COUNT": value})
        assert core.get_property("CPU", "PERF_COUNT") is value


def test_a_property_is_set_for_one_core_only(ov: Any, core: Any) -> None:
    core.set_property("CPU", {"PERF_COUNT": True})
    assert ov.Core().get_property("CPU", "PERF_COUNT") is False


@pytest.mark.parametrize(
    ("device", "properties"),
    [
        ("CPU", {"NOPE": 1}),
        ("NOPE", {"PERF_COUNT": True}),
        ("CPU", {"PERF_COUNT": "maybe"}),
        ("CPU", {"INFERENCE_NUM_THREADS": "many"}),
    ],
)
def test_a_wrong_property_is_refused(core: Any, device: str, properties: Any) -> None:
    core.get_property("CPU", "PERF_COUNT")  # a device that is not in use yet complains later
    with pytest.raises(RuntimeError):
        core.set_property(device, properties)


@pytest.mark.parametrize("properties", [3, "PERF_COUNT", None, ["PERF_COUNT"]])
def test_properties_are_names_and_values(core: Any, properties: object) -> None:
    with pytest.raises(TypeError):
        core.set_property("CPU", properties)


def test_properties_are_asked_for_by_name(core: Any) -> None:
    with pytest.raises(TypeError):
        core.get_property("CPU", 3)
    with pytest.raises(TypeError):
        core.get_property(3, "PERF_COUNT")


# get_versions


def test_a_device_tells_its_version(core: Any) -> None:
    versions = core.get_versions("CPU")
    assert list(versions) == ["CPU"]
    version = versions["CPU"]
    assert all(isinstance(part, int) for part in (version.major, version.minor, version.patch))
    assert version.build_number.startswith(f"{version.major}.")
    assert version.description


def test_an_unknown_device_has_no_version(core: Any) -> None:
    assert core.get_versions("NOPE") == {}


def test_versions_are_asked_for_by_device(core: Any) -> None:
    with pytest.raises(TypeError):
        core.get_versions()
    with pytest.raises(TypeError):
        core.get_versions(3)


# export_model and import_model

EXPORTED: Final[dict[str, Callable[[Any, io.BytesIO], Any]]] = {
    "stream": lambda ov, stream: stream,
    "bytes": lambda ov, stream: stream.getvalue(),
    "another stream": lambda ov, stream: io.BytesIO(stream.getvalue()),
    "tensor": lambda ov, stream: ov.Tensor(np.frombuffer(stream.getvalue(), np.uint8)),
}


@pytest.mark.parametrize("wrap", EXPORTED.values(), ids=EXPORTED.keys())
def test_an_exported_model_can_be_imported(
    ov: Any, core: Any, compiled: Any, wrap: Callable[[Any, io.BytesIO], Any]
) -> None:
    imported = core.import_model(wrap(ov, compiled.export_model()), "CPU")
    assert [port.any_name for port in imported.inputs] == ["a", "b"]
    assert [port.any_name for port in imported.outputs] == ["sum"]
    assert imported.input(0).shape == [1, 4]
    results = imported({"a": row(1), "b": row(2)})
    assert results["sum"].tolist() == [[3, 3, 3, 3]]


def test_a_model_is_exported_into_a_stream(core: Any, compiled: Any) -> None:
    stream = io.BytesIO()
    compiled.export_model(stream)
    assert core.import_model(stream, "CPU")([row(1), row(2)])[0].tolist() == [[3, 3, 3, 3]]


def test_a_model_can_be_imported_by_another_core(ov: Any, compiled: Any) -> None:
    imported = ov.Core().import_model(compiled.export_model(), "CPU")
    assert imported([row(1), row(2)])[0].tolist() == [[3, 3, 3, 3]]


def test_an_imported_model_is_as_dynamic_as_before(ov: Any, core: Any) -> None:
    model = core.compile_model(core.read_model(models.relu(("n", 3))), "CPU")
    imported = core.import_model(model.export_model(), "CPU")
    assert imported.input(0).partial_shape == ov.PartialShape([-1, 3])
    assert imported(np.ones((5, 3), np.float32))[0].shape == (5, 3)


@pytest.mark.parametrize("exported", [b"", b"garbage", b"\0" * 1000], ids=len)
def test_bytes_that_are_no_exported_model_are_refused(core: Any, exported: bytes) -> None:
    with pytest.raises(RuntimeError):
        core.import_model(exported, "CPU")


def test_a_part_of_an_exported_model_is_refused(core: Any, compiled: Any) -> None:
    exported = compiled.export_model().getvalue()
    with pytest.raises(RuntimeError):
        core.import_model(exported[:100], "CPU")


def test_an_exported_model_is_for_its_device(core: Any, compiled: Any) -> None:
    exported = compiled.export_model()
    with pytest.raises(RuntimeError):
        core.import_model(exported, "NOPE")


@pytest.mark.parametrize("exported", [None, 3, "model.blob"])
def test_an_exported_model_is_bytes(core: Any, exported: object) -> None:
    with pytest.raises(TypeError):
        core.import_model(exported, "CPU")


@pytest.mark.parametrize("stream", [3, "model.blob", b""])
def test_a_model_is_exported_into_a_stream_only(compiled: Any, stream: object) -> None:
    with pytest.raises(TypeError):
        compiled.export_model(stream)


# Profiles


@pytest.fixture
def profiled(core: Any, add_path: Path) -> Any:
    """A request that measures its operations."""
    return core.compile_model(add_path, "CPU", {"PERF_COUNT": True}).create_infer_request()


def executed(request: Any) -> list[Any]:
    return [info for info in request.get_profiling_info() if info.status.name == "EXECUTED"]


@pytest.mark.parametrize("run", [False, True])
def test_a_profile_lists_the_operations(ov: Any, profiled: Any, run: bool) -> None:
    if run:
        profiled.infer([row(1), row(2)])
    profile = profiled.get_profiling_info()
    assert isinstance(profile, list)
    assert {"a", "b", "sum"} <= {info.node_name for info in profile}
    for info in profile:
        assert isinstance(info, ov.ProfilingInfo)
        assert isinstance(info.node_type, str)
        assert isinstance(info.exec_type, str)
        assert isinstance(info.real_time, timedelta)
        assert isinstance(info.cpu_time, timedelta)
        assert isinstance(info.status, ov.ProfilingInfo.Status)


def test_the_property_is_the_same_profile(profiled: Any) -> None:
    profiled.infer([row(1), row(2)])
    names = [info.node_name for info in profiled.profiling_info]
    assert names == [info.node_name for info in profiled.get_profiling_info()]


def test_an_operation_has_run_after_an_inference(ov: Any, profiled: Any) -> None:
    assert executed(profiled) == []
    profiled.infer([row(1), row(2)])
    (info,) = executed(profiled)
    assert info.node_name == "sum"
    assert info.status == ov.ProfilingInfo.Status.EXECUTED
    assert info.real_time >= timedelta()


def test_a_slow_operation_takes_time(core: Any) -> None:
    model = core.compile_model(
        core.read_model(models.slow(SLOW_SIZE, layers=2)), "CPU", {"PERF_COUNT": True}
    )
    request = model.create_infer_request()
    request.infer(np.ones((SLOW_SIZE, SLOW_SIZE), np.float32))
    assert sum((info.real_time for info in executed(request)), timedelta()) > timedelta()


def test_nothing_is_measured_unless_asked_for(compiled: Any) -> None:
    request = compiled.create_infer_request()
    request.infer([row(1), row(2)])
    assert {info.status.name for info in request.get_profiling_info()} == {"NOT_RUN"}


def test_a_core_can_ask_for_profiles(core: Any, add_path: Path) -> None:
    core.set_property("CPU", {"PERF_COUNT": True})
    request = core.compile_model(add_path, "CPU").create_infer_request()
    request.infer([row(1), row(2)])
    assert executed(request)


def test_an_operation_has_one_of_three_states(ov: Any) -> None:
    for name in ("NOT_RUN", "OPTIMIZED_OUT", "EXECUTED"):
        assert getattr(ov.ProfilingInfo.Status, name).name == name


def test_a_running_request_has_no_profile(core: Any) -> None:
    model = core.compile_model(core.read_model(models.slow(SLOW_SIZE, layers=60)), "CPU")
    request = model.create_infer_request()
    request.start_async(np.ones((SLOW_SIZE, SLOW_SIZE), np.float32))
    with pytest.raises(RuntimeError, match="busy"):
        request.get_profiling_info()
    request.wait()
    assert request.get_profiling_info()


# Contexts: the CPU has none


@pytest.mark.parametrize("device", ["CPU", "NOPE"])
def test_a_device_without_contexts_has_no_default_one(core: Any, device: str) -> None:
    with pytest.raises(RuntimeError):
        core.get_default_context(device)


@pytest.mark.parametrize("device", ["CPU", "NOPE"])
def test_a_device_without_contexts_creates_none(core: Any, device: str) -> None:
    with pytest.raises(RuntimeError):
        core.create_context(device, {})


def test_contexts_are_asked_for_by_device(core: Any) -> None:
    with pytest.raises(TypeError):
        core.get_default_context(3)
    with pytest.raises(TypeError):
        core.create_context("CPU")


def test_contexts_and_their_tensors_have_no_constructor(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.RemoteContext()
    with pytest.raises(TypeError):
        ov.RemoteTensor()
