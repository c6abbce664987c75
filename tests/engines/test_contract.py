"""The contract of daemon/engines/base.py, run over every engine: read it to write an adapter.

To add an engine: an entry in `SUBJECTS`, with a builder of the models that it needs.
"""

import gc
import json
import random
import tempfile
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import models
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from inferd.daemon.engines import base
from inferd.daemon.engines.base import CompiledModel, Engine, EngineRequest, ModelFile, load
from inferd.shm.element_type import ElementType
from inferd.shm.errors import DeviceUnavailable, ModelInvalid, PropertyInvalid
from inferd.shm.layouts import byte_size
from inferd.shm.ports import Bounds, Port
from inferd.shm.wire import ProfileRow, Reshape, StateFacts

Array = NDArray[Any]
Files = list[ModelFile]

F32: Final = ElementType.f32
I64: Final = ElementType.i64
ROW: Final = np.array([[-1, 2, -3, 4]], np.float32)


class Models(Protocol):
    """The models that the suite runs, as files in the engine's own formats."""

    def formats(self) -> dict[str, Files]:
        """``y = max(x, 0)``, float32 (1, 4), in every format that the engine reads."""

    def invalid(self) -> dict[str, Files]:
        """Files that are no models."""

    def relu(self, *bounds: Bounds) -> Files:
        """``y = max(x, 0)``, float32."""

    def subtract(self) -> Files:
        """``difference = a - b``, float32 (1, 4)."""

    def sum_of_reshaped(self) -> Files:
        """``sum`` of x, float32 (1, 4), brought into the shape ``target``, int64 (2)."""

    def slow(self) -> Files:
        """``y`` of ``x``, float32 (512, 512), in many steps that take tens of milliseconds."""

    def convert(self, source: str, target: str) -> Files:
        """``y = x`` in another element type, (1, 8)."""

    def weights_in(self, file_name: str) -> Files | None:
        """``y = x + w``, float32 (4), with w in another file; None if there is no such thing."""

    def disguised(self, files: Files) -> list[Files]:
        """The same model in other bytes, such as only an attacker writes."""

    def non_zero(self) -> Files | None:
        """``where`` x, float32 (n), is not 0: int64 (1, k); None if k has to be known before."""

    def same_strings(self) -> Files | None:
        """Strings (n) to the same strings (n); None if the engine knows no strings."""

    def running_total(self) -> Files | None:
        """The variable ``total``, float32 (1, 4), plus x; None if the engine has no variables."""


class Subject(NamedTuple):
    """An engine to test."""

    engine: str
    device: str
    models: Models
    setting: tuple[str, str]  # a property, with a value that is not the default
    misspelt: str  # the name of that property
    wrong_values: dict[str, str]  # of properties
    profiling: dict[str, str]  # properties under which nodes are timed
    stops_half_way: bool  # whether cancel ends a run that has begun
    inputs: str  # element types that it reads
    outputs: str  # element types that it writes


class OpenVINOModels:
    """Models for OpenVINO: as ONNX where that can say it, else as IR."""

    def formats(self) -> dict[str, Files]:
        content = models.relu((1, 4))
        return {
            "onnx": [ModelFile("model.onnx", content)],
            "onnx without a name": [ModelFile("", content)],
            "ir": self.relu(fixed(1), fixed(4)),
        }

    def invalid(self) -> dict[str, Files]:
        relu = models.relu((1, 4))
        text, weights = models.ir_add([1, 2, 3, 4])
        xml = text.encode()
        return {
            "empty onnx": [ModelFile("model.onnx", b"")],
            "garbage onnx": [ModelFile("model.onnx", random.Random(7).randbytes(1000))],
            "truncated onnx": [ModelFile("model.onnx", relu[:-20])],
            "first bytes of onnx": [ModelFile("model.onnx", relu[:10])],
            "unknown operator": [ModelFile("model.onnx", relu.replace(b"\x04Relu", b"\x04Rolu"))],
            "empty ir": [ModelFile("model.xml", b""), ModelFile("model.bin", weights)],
            "garbage ir": [ModelFile("model.xml", b"<net/>"), ModelFile("model.bin", weights)],
            "truncated ir": [ModelFile("model.xml", xml[:400]), ModelFile("model.bin", weights)],
            "ir without weights": [ModelFile("model.xml", xml)],
            "truncated weights": [
                ModelFile("model.xml", xml),
                ModelFile("model.bin", weights[:-1]),
            ],
        }

    def relu(self, *bounds: Bounds) -> Files:
        import openvino as ov
        from openvino import opset15 as ops

        dimensions = [
            ov.Dimension(each.lowest, -1 if each.highest is None else each.highest)
            for each in bounds
        ]
        x = ops.parameter(ov.PartialShape(dimensions), ov.Type.f32, name="x")
        return saved_ir([ops.relu(x)], [x])

    def subtract(self) -> Files:
        return [ModelFile("model.onnx", models.subtract((1, 4)))]

    def sum_of_reshaped(self) -> Files:
        return [ModelFile("model.onnx", models.sum_of_reshaped())]

    def slow(self) -> Files:
        return [ModelFile("model.onnx", models.slow())]

    def convert(self, source: str, target: str) -> Files:
        import openvino as ov
        from openvino import opset15 as ops

        x = ops.parameter([1, 8], getattr(ov.Type, source), name="x")
        return saved_ir([ops.convert(x, target)], [x])

    def weights_in(self, file_name: str) -> Files | None:
        weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file_name), ("offset", "0"), ("length", "16")):
            weights.external_data.add(key=key, value=value)
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])],
            "weights_in",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
            [weights],
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return [ModelFile("model.onnx", model.SerializeToString())]

    def disguised(self, files: Files) -> list[Files]:
        group = b"\xa3\x06\xa4\x06"  # an unknown field of protobuf's oldest kind
        return [[ModelFile(file.name, file.content + group) for file in files]]

    def non_zero(self) -> Files | None:
        return [ModelFile("model.onnx", models.non_zero())]

    def same_strings(self) -> Files | None:
        import openvino as ov
        from openvino import opset15 as ops

        texts = ops.parameter([-1], ov.Type.string, name="texts")
        begins, ends, characters = ops.string_tensor_unpack(texts).outputs()
        return saved_ir([ops.string_tensor_pack(begins, ends, characters)], [texts])

    def running_total(self) -> Files | None:
        import openvino as ov
        from openvino import opset15 as ops

        x = ops.parameter([1, 4], ov.Type.f32, name="x")
        zeros = ops.constant(np.zeros((1, 4), np.float32))
        before = ops.read_value(zeros, "total", ov.Type.f32, ov.PartialShape([1, 4]))
        after = ops.add(before, x)
        return saved_ir([after], [x], sinks=[ops.assign(after, "total")])


SUBJECTS: Final = [
    Subject(
        engine="openvino",
        device="CPU",
        models=OpenVINOModels(),
        setting=("PERF_COUNT", "YES"),
        misspelt="PERF_CUONT",
        wrong_values={
            "PERF_COUNT": "maybe",
            "PERFORMANCE_HINT": "FASTEST",
            "INFERENCE_NUM_THREADS": "-7",
            "NUM_STREAMS": "many",
        },
        profiling={"PERF_COUNT": "YES"},
        stops_half_way=True,
        inputs="boolean bf16 f16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 f8e4m3 f8e5m2 f8e8m0 "
        "u2 u4 i4 nf4 f4e2m1",
        outputs="boolean bf16 f16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 f8e4m3 f8e5m2 f8e8m0 "
        "u2 u4 i4 nf4 f4e2m1",
    ),
]


def fixed(size: int) -> Bounds:
    return Bounds(size, size)


def saved_ir(outputs: list[Any], inputs: list[Any], sinks: list[Any] | None = None) -> Files:
    """Write a graph of OpenVINO's nodes as IR: .xml and .bin."""
    import openvino as ov
    from openvino import opset15 as ops

    results = [ops.result(output) for output in outputs]
    for node, name in [*zip(inputs, ["x"], strict=True), *zip(outputs, ["y"], strict=True)]:
        node.output(0).get_tensor().set_names({name})
    model = ov.Model(results=results, sinks=sinks or [], parameters=inputs, name="model")
    with tempfile.TemporaryDirectory() as folder:
        ov.save_model(model, Path(folder) / "model.xml", compress_to_fp16=False)
        names = ("model.xml", "model.bin")
        return [ModelFile(name, (Path(folder) / name).read_bytes()) for name in names]


# --- Fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SUBJECTS, ids=[f"{s.engine}-{s.device}" for s in SUBJECTS])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each engine in turn."""
    chosen: Subject = request.param
    pytest.importorskip(chosen.engine, reason=f"the engine {chosen.engine} is not installed")
    return chosen


@pytest.fixture(scope="module")
def engine(subject: Subject) -> Engine:
    return load(subject.engine, subject.device, {})


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def known(files: Files | None) -> Files:
    """Skip what an engine has not."""
    return files if files is not None else pytest.skip("the engine has nothing like that")


def subtracting(model: CompiledModel, a: Array, b: Array, difference: Array) -> EngineRequest:
    """A request of the model `subtract` with its tensors."""
    request = model.create_request()
    request.bind_input(0, a, F32)
    request.bind_input(1, b, F32)
    request.bind_output(0, difference, F32)
    return request


def run_relu(model: CompiledModel) -> list[list[float]]:
    """Run a relu of the shape (1, 4) on a row."""
    request, y = model.create_request(), np.zeros_like(ROW)
    request.bind_input(0, ROW.copy(), F32)
    request.bind_output(0, y, F32)
    request.run()
    found: list[list[float]] = y.tolist()
    return found


def refusal(action: Callable[[], object]) -> Exception | None:
    """Return what an action raises: an engine may raise anything."""
    try:
        action()
    except Exception as why:
        return why
    return None


# --- Opening a device -----------------------------------------------------------------------------


def test_a_device_says_what_it_is(engine: Engine) -> None:
    assert engine.full_name
    assert engine.version


def test_an_unknown_device_is_refused_with_those_that_there_are(subject: Subject) -> None:
    with pytest.raises(DeviceUnavailable) as raised:
        load(subject.engine, "TPU.9", {})
    assert "'TPU.9'" in str(raised.value)
    assert subject.device in str(raised.value)


def test_an_engine_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(base.MODULES, "absent", "inferd.daemon.engines.absent")
    with pytest.raises(DeviceUnavailable, match=r"pip install 'inferd\[absent\]'"):
        load("absent", "CPU", {})


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(DeviceUnavailable, match="openvino"):
        load("openvin", "CPU", {})


# --- Compiling ------------------------------------------------------------------------------------


def test_every_format_is_compiled(subject: Subject, engine: Engine) -> None:
    for name, files in subject.models.formats().items():
        assert run_relu(engine.compile(files, {})) == [[0, 2, 0, 4]], name


def test_a_compiled_model_tells_about_itself(subject: Subject, engine: Engine) -> None:
    model = engine.compile(subject.models.subtract(), {})
    assert model.name
    assert model.running_max >= 1
    assert json.loads(json.dumps(dict(model.properties))) == dict(model.properties)


def test_ports_tell_names_nodes_and_shapes(subject: Subject, engine: Engine) -> None:
    model = engine.compile(subject.models.sum_of_reshaped(), {})
    x, target = model.inputs
    (total,) = model.outputs
    assert [port.names for port in (x, target, total)] == [("x",), ("target",), ("sum",)]
    assert [port.element_type for port in (x, target, total)] == ["f32", "i64", "f32"]
    assert [port.bounds for port in (x, target, total)] == [(fixed(1), fixed(4)), (fixed(2),), ()]
    assert all(port.node for port in (x, target, total))


@pytest.mark.parametrize(
    "bounds",
    [
        (fixed(1), fixed(4)),
        (Bounds(0, None), fixed(4)),
        (Bounds(1, 8), fixed(4)),
        (Bounds(2, None), Bounds(0, 3)),
    ],
    ids=str,
)
def test_a_dimension_that_may_vary_has_its_bounds(
    subject: Subject, engine: Engine, bounds: tuple[Bounds, ...]
) -> None:
    model = engine.compile(subject.models.relu(*bounds), {})
    for port in (*model.inputs, *model.outputs):
        assert isinstance(port, Port)
        assert port.bounds == bounds


def test_a_model_can_be_read_without_compiling(subject: Subject, engine: Engine) -> None:
    for files in (subject.models.subtract(), subject.models.relu(Bounds(1, 8), fixed(4))):
        facts, model = engine.read(files, []), engine.compile(files, {})
        assert (facts.name, facts.inputs, facts.outputs) == (
            model.name,
            tuple(model.inputs),
            tuple(model.outputs),
        )


def test_inputs_can_be_given_other_dimensions(subject: Subject, engine: Engine) -> None:
    files = subject.models.relu(Bounds(0, None), fixed(4))
    shapes = [Reshape(0, (fixed(1), fixed(4)))]
    model = engine.compile(files, {}, shapes)
    for port in (*engine.read(files, shapes).inputs, *model.inputs, *model.outputs):
        assert port.bounds == (fixed(1), fixed(4))
    assert run_relu(model) == [[0, 2, 0, 4]]


def test_dimensions_that_can_not_be_are_refused(subject: Subject, engine: Engine) -> None:
    files, shapes = subject.models.subtract(), [Reshape(0, (fixed(1), fixed(5)))]
    with pytest.raises(ModelInvalid):
        engine.compile(files, {}, shapes)
    with pytest.raises(ModelInvalid):
        engine.read(files, shapes)


def test_what_is_no_model_is_refused_in_one_line(subject: Subject, engine: Engine) -> None:
    for name, files in subject.models.invalid().items():
        why = refusal(lambda files=files: engine.compile(files, {}))  # type: ignore[misc]
        assert isinstance(why, ModelInvalid), f"{name}: {why!r}"
        assert len(str(why).splitlines()) == 1, name
    assert run_relu(engine.compile(subject.models.formats().popitem()[1], {})) == [[0, 2, 0, 4]]


def test_a_model_may_have_several_files(subject: Subject, engine: Engine) -> None:
    files = known(subject.models.weights_in("weights.bin"))
    content = np.array([1, 2, 3, 4], np.float32).tobytes()
    model = engine.compile([*files, ModelFile("weights.bin", content)], {})
    request, y = model.create_request(), np.zeros(4, np.float32)
    request.bind_input(0, np.full(4, 10, np.float32), F32)
    request.bind_output(0, y, F32)
    request.run()
    assert y.tolist() == [11, 12, 13, 14]


# OpenVINO looks for such a file in the worker's working directory, and below it: for a daemon that
# systemd starts, that is every file on the machine that the daemon's user may read.
def test_a_model_has_no_files_but_its_own(
    subject: Subject, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "secret", tmp_path / "folder" / "secret"):
        path.write_bytes(bytes(16))
    monkeypatch.chdir(tmp_path)
    for name in ("secret", "folder/secret", str(tmp_path / "secret")):
        plain = known(subject.models.weights_in(name))
        for files in (plain, *subject.models.disguised(plain)):
            with pytest.raises(ModelInvalid):
                engine.compile(files, {})


def test_a_property_is_set_for_a_device_or_for_a_model(subject: Subject, engine: Engine) -> None:
    name, value = subject.setting
    files = subject.models.subtract()
    default = engine.compile(files, {}).properties[name]
    assert default != value
    assert engine.compile(files, {name: value}).properties[name] == value
    configured = load(subject.engine, subject.device, {name: value})
    assert configured.compile(files, {}).properties[name] == value
    assert configured.compile(files, {name: default}).properties[name] == default


def test_an_unknown_property_is_refused_with_what_is_meant(
    subject: Subject, engine: Engine
) -> None:
    with pytest.raises(PropertyInvalid) as raised:
        engine.compile(subject.models.subtract(), {subject.misspelt: "1"})
    assert repr(subject.misspelt) in str(raised.value)
    assert f"did you mean {subject.setting[0]!r}?" in str(raised.value)


def test_a_wrong_value_of_a_property_is_refused(subject: Subject, engine: Engine) -> None:
    files = subject.models.subtract()
    for name, value in subject.wrong_values.items():
        properties = {name: value}
        why = refusal(lambda given=properties: engine.compile(files, given))  # type: ignore[misc]
        assert isinstance(why, PropertyInvalid), f"{name}: {why!r}"
        assert value in str(why)


def test_models_can_be_compiled_at_the_same_time(
    subject: Subject, engine: Engine, threads: ThreadPoolExecutor
) -> None:
    files = subject.models.relu(fixed(1), fixed(4))
    for model in threads.map(lambda _: engine.compile(files, {}), range(8)):
        assert run_relu(model) == [[0, 2, 0, 4]]


# --- Memory ---------------------------------------------------------------------------------------


class Framed:
    """An array in the middle of a larger block, on an address that only its elements ask for."""

    GUARD = 7
    SENTINEL = 77

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> None:
        count = int(np.prod(shape))
        self.memory = np.full(count + 2 * self.GUARD, self.SENTINEL, dtype)
        self.array = self.memory[self.GUARD : self.GUARD + count].reshape(shape)

    @property
    def is_intact(self) -> bool:
        """Whether nothing was written beside the array."""
        guards = (self.memory[: self.GUARD], self.memory[-self.GUARD :])
        return all(bool((guard == self.SENTINEL).all()) for guard in guards)


@pytest.mark.parametrize("columns", [4, 1_000_003])
def test_the_engine_reads_and_writes_exactly_this_memory(
    subject: Subject, engine: Engine, columns: int
) -> None:
    model = engine.compile(subject.models.relu(fixed(1), fixed(columns)), {})
    request = model.create_request()
    x, y = Framed((1, columns)), Framed((1, columns))
    request.bind_input(0, x.array, F32)
    request.bind_output(0, y.array, F32)
    for sign in (1, -1):
        x.array[:] = sign * np.linspace(-1, 1, columns, dtype=np.float32)
        given = x.memory.tobytes()
        request.run()
        assert np.array_equal(y.array, np.maximum(x.array, 0))
        assert y.is_intact
        assert x.memory.tobytes() == given
        assert request.input_address(0) == x.array.ctypes.data
        assert request.output_address(0) == y.array.ctypes.data


def test_each_port_has_memory_of_its_own(subject: Subject, engine: Engine) -> None:
    model = engine.compile(subject.models.subtract(), {})
    a, b, difference = (Framed((1, 4)) for _ in range(3))
    request = subtracting(model, a.array, b.array, difference.array)
    assert [request.input_address(port) for port in (0, 1)] == [
        a.array.ctypes.data,
        b.array.ctypes.data,
    ]
    a.array[:], b.array[:] = [1, 2, 3, 4], [10, 20, 30, 40]
    request.run()
    assert difference.array.tolist() == [[-9, -18, -27, -36]]
    assert difference.is_intact


def test_a_tensor_can_be_bound_to_other_memory_again_and_again(
    subject: Subject, engine: Engine
) -> None:
    model = engine.compile(subject.models.relu(fixed(1), fixed(4)), {})
    request = model.create_request()
    inputs = [np.full((1, 4), value, np.float32) for value in (1, 2)]
    outputs = [np.zeros((1, 4), np.float32) for _ in range(2)]
    for step in range(8):
        x, y = inputs[step % 2], outputs[step // 2 % 2]
        for output in outputs:
            output[:] = -1
        request.bind_input(0, x, F32)
        request.bind_output(0, y, F32)
        request.run()
        assert y.tolist() == x.tolist()
        assert outputs[1 - step // 2 % 2].tolist() == [[-1] * 4]
        assert request.input_address(0) == x.ctypes.data
        assert request.output_address(0) == y.ctypes.data


def test_a_dimension_that_may_vary_takes_every_size(subject: Subject, engine: Engine) -> None:
    model = engine.compile(subject.models.relu(Bounds(0, None), fixed(4)), {})
    request = model.create_request()
    for rows in (1, 3, 0, 100, 2):
        x = np.linspace(-1, 1, 4 * rows, dtype=np.float32).reshape(rows, 4)
        request.bind_input(0, x, F32)
        request.run()
        output = request.output(0)
        assert output.shape == (rows, 4)
        assert np.array_equal(output.values, np.maximum(x, 0))


def test_a_request_keeps_its_arrays_alive_and_lets_go_of_replaced_ones(
    subject: Subject, engine: Engine
) -> None:
    request = engine.compile(subject.models.relu(fixed(1), fixed(4)), {}).create_request()
    first = bind_and_drop(request)
    request.run()
    x, y = (reference() for reference in first)
    assert x is not None
    assert y is not None
    assert y.tolist() == [[0, 2, 0, 4]]
    del x, y
    second = bind_and_drop(request)
    assert [reference() for reference in first] == [None, None]
    del request
    gc.collect()
    assert [reference() for reference in second] == [None, None]


def bind_and_drop(request: EngineRequest) -> list["weakref.ref[Array]"]:
    """Bind arrays that nobody else holds."""
    x, y = ROW.copy(), np.zeros_like(ROW)
    request.bind_input(0, x, F32)
    request.bind_output(0, y, F32)
    references = [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    return references


def test_what_does_not_fit_a_port_is_refused_and_changes_nothing(
    subject: Subject, engine: Engine
) -> None:
    model = engine.compile(subject.models.relu(fixed(1), fixed(4)), {})
    request, x, y = model.create_request(), ROW.copy(), np.zeros_like(ROW)
    request.bind_input(0, x, F32)
    request.bind_output(0, y, F32)
    for bind in (request.bind_input, request.bind_output):
        for port, array, element_type in (
            (0, np.zeros((1, 5), np.float32), F32),
            (0, np.zeros((4,), np.float32), F32),
            (0, np.zeros((1, 4), np.float64), ElementType.f64),
            (0, np.zeros((1, 4), np.int32), ElementType.i32),
            (1, np.zeros((1, 4), np.float32), F32),
        ):
            assert refusal(lambda: bind(port, array, element_type)) is not None  # noqa: B023
    request.run()
    assert y.tolist() == [[0, 2, 0, 4]]
    assert (request.input_address(0), request.output_address(0)) == (x.ctypes.data, y.ctypes.data)


# --- Element types --------------------------------------------------------------------------------

# Eight elements as raw bits, and the numbers that they stand for; numpy's own types are counted.
UP_TO_SEVEN: Final = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
SAMPLES: Final[dict[str, tuple[bytes, list[float]]]] = {
    "boolean": (bytes([0, 1, 1, 0, 1, 0, 0, 1]), [0, 1, 1, 0, 1, 0, 0, 1]),
    "bf16": (np.array(UP_TO_SEVEN, "<f4").view("<u2")[1::2].tobytes(), UP_TO_SEVEN),
    "f8e4m3": (bytes([0x00, 0x38, 0x40, 0x44, 0x48, 0x4A, 0x4C, 0x4E]), UP_TO_SEVEN),
    "f8e5m2": (bytes([0x00, 0x3C, 0x40, 0x42, 0x44, 0x45, 0x46, 0x47]), UP_TO_SEVEN),
    "f8e8m0": (bytes(range(124, 132)), [0.125, 0.25, 0.5, 1, 2, 4, 8, 16]),
    "u2": (bytes([0b11_10_01_00, 0b00_01_10_11]), [0, 1, 2, 3, 3, 2, 1, 0]),
    "u4": (bytes([0x10, 0x32, 0x54, 0xF6]), [0, 1, 2, 3, 4, 5, 6, 15]),
    "i4": (bytes([0x10, 0x32, 0x54, 0xF6]), [0, 1, 2, 3, 4, 5, 6, -1]),
    "nf4": (bytes([0x70, 0x7F, 0x07, 0xF7]), [-1, 0, 1, 0, 0, -1, 0, 1]),
    "f4e2m1": (bytes([0x10, 0x32, 0x54, 0xF6]), [0, 0.5, 1, 1.5, 2, 3, 4, -6]),
}


def sample(element_type: ElementType) -> tuple[Array, Array]:
    """Return eight elements as an engine gets them, and as float32 of the shape (1, 8)."""
    dtype = element_type.to_dtype()
    counted = (np.array(UP_TO_SEVEN, dtype).tobytes(), UP_TO_SEVEN)
    content, numbers = SAMPLES.get(element_type.name, counted)
    assert len(content) == byte_size(element_type, (1, 8))
    bits = np.frombuffer(bytearray(content), dtype)
    return bits if element_type.is_packed else bits.reshape(1, 8), np.array([numbers], np.float32)


@pytest.mark.parametrize("name", [each.name for each in ElementType])
def test_an_element_type_is_read_as_it_is(subject: Subject, engine: Engine, name: str) -> None:
    """Packed types come as their bytes; the shape is said."""
    if name not in subject.inputs.split():
        pytest.skip("the engine does not read this type")
    element_type = ElementType[name]
    bits, numbers = sample(element_type)
    model = engine.compile(subject.models.convert(name, "f32"), {})
    request, y = model.create_request(), Framed((1, 8))
    assert [port.element_type for port in model.inputs] == [name]
    request.bind_input(0, bits, element_type, (1, 8))
    request.bind_output(0, y.array, F32)
    request.run()
    assert y.array.tolist() == numbers.tolist()
    assert y.is_intact
    assert request.input_address(0) == bits.ctypes.data


@pytest.mark.parametrize("name", [each.name for each in ElementType])
def test_an_element_type_is_written_as_it_is(subject: Subject, engine: Engine, name: str) -> None:
    """Packed types go as their bytes; the shape is said."""
    if name not in subject.outputs.split():
        pytest.skip("the engine does not write this type")
    element_type = ElementType[name]
    bits, numbers = sample(element_type)
    model = engine.compile(subject.models.convert("f32", name), {})
    request, y = model.create_request(), np.zeros_like(bits)
    assert [port.element_type for port in model.outputs] == [name]
    request.bind_input(0, numbers, F32)
    request.bind_output(0, y, element_type, (1, 8))
    request.run()
    assert y.tobytes() == bits.tobytes()
    assert request.output_address(0) == y.ctypes.data


def test_strings_come_and_go_as_lists(subject: Subject, engine: Engine) -> None:
    model = engine.compile(known(subject.models.same_strings()), {})
    request = model.create_request()
    for values in ([b"camera", "zwölf".encode(), b""], [b"one"]):
        request.set_strings(0, (len(values),), values)
        request.run()
        assert request.output(0) == ((len(values),), values)


def test_an_output_whose_size_was_not_known_is_asked_for(subject: Subject, engine: Engine) -> None:
    model = engine.compile(known(subject.models.non_zero()), {})
    request = model.create_request()
    for row, where in (([0, 5, 0, 7], [1, 3]), ([0, 0], []), ([1, 1, 1], [0, 1, 2])):
        request.bind_input(0, np.array(row, np.float32), F32)
        request.run()
        output = request.output(0)
        assert output.shape == (1, len(where))
        assert np.asarray(output.values).tolist() == [where]


# --- Running --------------------------------------------------------------------------------------


def test_run_raises_what_fails_and_can_run_again(subject: Subject, engine: Engine) -> None:
    request = engine.compile(subject.models.sum_of_reshaped(), {}).create_request()
    target, total = np.array([3, 3]), np.zeros((), np.float32)
    request.bind_input(0, np.arange(4, dtype=np.float32).reshape(1, 4), F32)
    request.bind_input(1, target, I64)
    request.bind_output(0, total, F32)
    for _ in range(2):
        target[:] = [3, 3]
        assert str(refusal(request.run)) not in ("None", "")
        target[:] = [2, 2]
        request.run()
        assert total == 6


def test_requests_of_one_model_run_on_their_own(
    subject: Subject, engine: Engine, threads: ThreadPoolExecutor
) -> None:
    model = engine.compile(subject.models.subtract(), {})
    inputs = [np.full((1, 4), value, np.float32) for value in range(4)]
    outputs = [np.zeros((1, 4), np.float32) for _ in range(4)]
    zero = np.zeros((1, 4), np.float32)
    requests = [subtracting(model, x, zero, y) for x, y in zip(inputs, outputs, strict=True)]
    for lap in range(50):
        for index, x in enumerate(inputs):
            x[:] = 10 * lap + index
        list(threads.map(lambda request: request.run(), requests))
        assert [y.tolist() for y in outputs] == [[[10 * lap + index] * 4] for index in range(4)]


def test_a_request_keeps_its_model_alive(subject: Subject) -> None:
    engine = load(subject.engine, subject.device, {})
    model = engine.compile(subject.models.subtract(), {})
    difference = np.zeros_like(ROW)
    request = subtracting(model, 2 * ROW, ROW.copy(), difference)
    del engine, model
    gc.collect()
    request.run()
    assert difference.tolist() == ROW.tolist()


@pytest.fixture(scope="module")
def slow_model(subject: Subject, engine: Engine) -> CompiledModel:
    return engine.compile(subject.models.slow(), {})


def slow_request(model: CompiledModel, value: float) -> tuple[EngineRequest, Array, Array]:
    """A request of the slow model, its output, and the output that it should have."""
    request = model.create_request()
    x, y = np.full((512, 512), value, np.float32), np.zeros((512, 512), np.float32)
    request.bind_input(0, x, F32)
    request.bind_output(0, y, F32)
    request.run()
    return request, y, y.copy()


def test_cancel_from_another_thread_ends_a_run(
    slow_model: CompiledModel, threads: ThreadPoolExecutor
) -> None:
    request, y, expected = slow_request(slow_model, 1)
    for _ in range(5):
        run_and_cancel(request, threads)
        y[:] = 0
        request.run()
        assert np.array_equal(y, expected)


def test_cancel_stops_a_run_half_way(
    subject: Subject, slow_model: CompiledModel, threads: ThreadPoolExecutor
) -> None:
    if not subject.stops_half_way:
        pytest.skip("the engine finishes what it has begun")
    request, _, _ = slow_request(slow_model, 1)
    while run_and_cancel(request, threads) is None:
        pass  # it was faster than we were


def run_and_cancel(request: EngineRequest, threads: ThreadPoolExecutor) -> BaseException | None:
    """Cancel until the run has ended; return what it raised."""
    running = threads.submit(request.run)
    while not wait([running], timeout=0.001).done:
        request.cancel()
    return running.exception()


def test_cancel_is_harmless_when_nothing_runs(slow_model: CompiledModel) -> None:
    slow_model.create_request().cancel()
    request, y, expected = slow_request(slow_model, 1)
    request.cancel()
    request.cancel()
    y[:] = 0
    request.run()
    assert np.array_equal(y, expected)


def test_cancel_leaves_the_other_requests_alone(
    slow_model: CompiledModel, threads: ThreadPoolExecutor
) -> None:
    request, _, _ = slow_request(slow_model, 1)
    other, y, expected = slow_request(slow_model, 2)
    for _ in range(5):
        y[:] = 0
        running, other_running = threads.submit(request.run), threads.submit(other.run)
        while not wait([running], timeout=0.001).done:
            request.cancel()
        assert other_running.exception() is None
        assert np.array_equal(y, expected)


def test_nodes_are_timed(subject: Subject, engine: Engine) -> None:
    model = engine.compile(subject.models.subtract(), subject.profiling)
    request = subtracting(model, ROW.copy(), ROW.copy(), np.zeros_like(ROW))
    request.run()
    rows = request.profile()
    assert rows
    for row in rows:
        assert isinstance(row, ProfileRow)
        assert row.node_name
        assert [type(value) for value in row] == [int, int, int, str, str, str]
        assert row.status in (0, 1, 2)
        assert min(row.real_us, row.cpu_us) >= 0


# --- Variables ------------------------------------------------------------------------------------


def test_a_model_without_variables_has_none(subject: Subject, engine: Engine) -> None:
    request = engine.compile(subject.models.subtract(), {}).create_request()
    assert list(request.states()) == []
    request.reset_state(None)


def test_each_request_has_variables_of_its_own(subject: Subject, engine: Engine) -> None:
    model = engine.compile(known(subject.models.running_total()), {})
    requests = [model.create_request() for _ in range(2)]
    outputs = [np.zeros((1, 4), np.float32) for _ in requests]
    for request, y in zip(requests, outputs, strict=True):
        request.bind_input(0, np.ones((1, 4), np.float32), F32)
        request.bind_output(0, y, F32)
    for _ in range(3):
        requests[0].run()
    requests[1].run()
    assert [y.tolist() for y in outputs] == [[[3] * 4], [[1] * 4]]
    for request, y in zip(requests, outputs, strict=True):
        assert list(request.states()) == [StateFacts("total", "f32", (1, 4))]
        assert request.get_state(0).tolist() == y.tolist()


@pytest.mark.parametrize("which", [0, None])
def test_variables_are_set_and_reset(subject: Subject, engine: Engine, which: int | None) -> None:
    model = engine.compile(known(subject.models.running_total()), {})
    request, y = model.create_request(), np.zeros((1, 4), np.float32)
    request.bind_input(0, np.ones((1, 4), np.float32), F32)
    request.bind_output(0, y, F32)
    value = np.full((1, 4), 10, np.float32)
    request.set_state(0, value, F32)
    value[:] = 1000  # it was copied
    request.run()
    assert y.tolist() == [[11] * 4]
    request.reset_state(which)
    request.run()
    assert y.tolist() == [[1] * 4]


def test_a_value_that_does_not_fit_a_variable_is_refused(subject: Subject, engine: Engine) -> None:
    request = engine.compile(known(subject.models.running_total()), {}).create_request()
    for action in (
        lambda: request.set_state(0, np.zeros((2, 7), np.float32), F32),
        lambda: request.set_state(0, np.zeros(128, np.uint8), ElementType.string),
        lambda: request.set_state(1, np.zeros((1, 4), np.float32), F32),
        lambda: request.get_state(1),
        lambda: request.reset_state(1),
    ):
        assert refusal(action) is not None
