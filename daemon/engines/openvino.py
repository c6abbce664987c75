"""OpenVINO behind the engine interface."""

import datetime
import difflib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from inferd.daemon.engines.base import ModelFacts, ModelFile, Output
from inferd.daemon.engines.onnx_files import NotProtobuf, external_files
from inferd.shm.element_type import ElementType
from inferd.shm.errors import DeviceUnavailable, ModelInvalid, PropertyInvalid
from inferd.shm.ports import Bounds, Port
from inferd.shm.wire import ProfileRow, Reshape, StateFacts

# Read from memory; OpenVINO tells other formats by their names, so those need a folder.
_FROM_MEMORY: Final = frozenset({"", ".onnx", ".xml"})
Shape = tuple[int, ...]

_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_FACTS: Final = (
    "NETWORK_NAME",
    "OPTIMAL_NUMBER_OF_INFER_REQUESTS",
    "EXECUTION_DEVICES",
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "PERF_COUNT",
)


class OpenVINORequest:
    """One `openvino.InferRequest`, whose tensors are ours."""

    def __init__(self, request: ov.InferRequest) -> None:
        self._request = request
        # OpenVINO does not keep the memory of shared tensors alive: we do.
        self._inputs: dict[int, ov.Tensor] = {}
        self._outputs: dict[int, ov.Tensor] = {}
        self._has_strings = any(
            port.get_element_type() == ov.Type.string for port in request.model_outputs
        )

    def bind_input(
        self, port: int, array: NDArray[Any], element_type: ElementType, shape: Shape | None = None
    ) -> None:
        tensor = _tensor(array, element_type, shape)
        self._request.set_input_tensor(port, tensor)
        self._inputs[port] = tensor

    def bind_output(
        self, port: int, array: NDArray[Any], element_type: ElementType, shape: Shape | None = None
    ) -> None:
        tensor = _tensor(array, element_type, shape)
        self._request.set_output_tensor(port, tensor)
        self._outputs[port] = tensor

    def input_address(self, port: int) -> int:
        return int(self._request.get_input_tensor(port).data.ctypes.data)

    def output_address(self, port: int) -> int:
        return int(self._request.get_output_tensor(port).data.ctypes.data)

    def set_strings(self, port: int, shape: tuple[int, ...], values: Sequence[bytes]) -> None:
        tensor = ov.Tensor(ov.Type.string, ov.Shape(shape))
        tensor.bytes_data = np.array(values, dtype="S").reshape(shape)
        self._request.set_input_tensor(port, tensor)

    def output(self, port: int) -> Output:
        tensor = self._request.get_output_tensor(port)
        if tensor.element_type == ov.Type.string:
            values = [bytes(value) for value in tensor.bytes_data.reshape(-1)]
            return Output(tuple(tensor.shape), values)
        return Output(tuple(tensor.shape), tensor.data)

    def run(self) -> None:
        if self._has_strings:  # `infer` would decode them, and warn
            self._request.start_async()
            self._request.wait()
        else:
            self._request.infer(share_outputs=True)

    def states(self) -> Sequence[StateFacts]:
        return [
            StateFacts(each.name, each.state.element_type.get_type_name(), tuple(each.state.shape))
            for each in self._request.query_state()
        ]

    def get_state(self, state: int) -> NDArray[Any]:
        array: NDArray[Any] = self._request.query_state()[state].state.data
        return array

    def set_state(self, state: int, array: NDArray[Any], element_type: ElementType) -> None:
        self._request.query_state()[state].state = _tensor(array.copy(), element_type, array.shape)

    def reset_state(self, state: int | None) -> None:
        if state is None:
            self._request.reset_state()
        else:
            self._request.query_state()[state].reset()

    def profile(self) -> Sequence[ProfileRow]:
        return [
            ProfileRow(
                int(each.status),
                each.real_time // _MICROSECOND,
                each.cpu_time // _MICROSECOND,
                each.node_name,
                each.exec_type,
                each.node_type,
            )
            for each in self._request.get_profiling_info()
        ]

    def cancel(self) -> None:
        self._request.cancel()


class OpenVINOModel:
    """One `openvino.CompiledModel`."""

    def __init__(self, model: ov.CompiledModel) -> None:
        self._model = model
        self.inputs: Sequence[Port] = [_port(port) for port in model.inputs]
        self.outputs: Sequence[Port] = [_port(port) for port in model.outputs]
        self.properties: Mapping[str, Any] = {
            name: _plain(model.get_property(name))
            for name in _FACTS
            if name in model.get_property("SUPPORTED_PROPERTIES")
        }
        self.name = str(self.properties.get("NETWORK_NAME", ""))
        self.running_max = int(self.properties.get("OPTIMAL_NUMBER_OF_INFER_REQUESTS", 1))

    def create_request(self) -> OpenVINORequest:
        return OpenVINORequest(self._model.create_infer_request())


class OpenVINOEngine:
    """OpenVINO for one of its devices."""

    def __init__(self, device: str, properties: Mapping[str, str]) -> None:
        self._core = ov.Core()
        self._device = device
        self._properties = dict(properties)
        self.version = ov.get_version()
        try:
            self.full_name = str(self._core.get_property(device, "FULL_DEVICE_NAME"))
        except RuntimeError:
            raise DeviceUnavailable(
                f"OpenVINO has no device {device!r} here; "
                f"it has: {', '.join(self._core.available_devices)}"
            ) from None

    def read(self, files: Sequence[ModelFile], shapes: Sequence[Reshape]) -> ModelFacts:
        model = self._read(files)
        _reshape(model, shapes)
        return ModelFacts(
            model.get_friendly_name(),
            tuple(_port(port) for port in model.inputs),
            tuple(_port(port) for port in model.outputs),
        )

    def compile(
        self,
        files: Sequence[ModelFile],
        properties: Mapping[str, str],
        shapes: Sequence[Reshape] = (),
    ) -> OpenVINOModel:
        self._check_properties(properties)
        model = self._read(files)
        _reshape(model, shapes)
        settings = self._properties | dict(properties)
        try:
            return OpenVINOModel(self._core.compile_model(model, self._device, settings))
        except (RuntimeError, TypeError, ValueError) as why:
            told = [value for value in properties.values() if value and value in str(why)]
            is_setting = bool(settings) and ("property" in str(why).lower() or bool(told))
            error = PropertyInvalid if is_setting else ModelInvalid
            raise error(f"OpenVINO can't compile the model: {_reason(why)}") from why

    def _check_properties(self, properties: Mapping[str, str]) -> None:
        known = list(self._core.get_property(self._device, "SUPPORTED_PROPERTIES"))
        for name in properties:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise PropertyInvalid(f"{self._device} has no property {name!r}{hint}")

    def _read(self, files: Sequence[ModelFile]) -> ov.Model:
        main, *others = files
        _check_references(files)
        suffix = Path(main.name).suffix.lower()
        is_plain = len(others) <= (suffix == ".xml")
        try:
            if suffix in _FROM_MEMORY and is_plain:
                weights = others[0].content if others else b""
                return self._core.read_model(main.content, weights)
            with tempfile.TemporaryDirectory(prefix="inferd-model-") as folder:
                for file in files:
                    (Path(folder) / file.name).write_bytes(file.content)
                return self._core.read_model(Path(folder) / main.name)
        except (RuntimeError, TypeError, ValueError) as why:
            raise ModelInvalid(f"OpenVINO can't read {main.name!r}: {_reason(why)}") from why


def open_device(device: str, properties: Mapping[str, str]) -> OpenVINOEngine:
    """Open an OpenVINO device: ``CPU``, ``GPU.0``, ``NPU``."""
    return OpenVINOEngine(device, properties)


def _check_references(files: Sequence[ModelFile]) -> None:
    """Refuse a model that refers to files which its client did not offer."""
    main, *others = files
    if main.content.lstrip()[:1] == b"<":  # IR refers to its weights only, which we pass
        return
    try:
        missing = external_files(main.content) - {file.name for file in others}
    except NotProtobuf as why:
        if Path(main.name).suffix.lower() not in _FROM_MEMORY:
            return  # another format, of one file
        raise ModelInvalid(f"can't read {main.name!r}: it is no ONNX model ({why})") from None
    if missing:
        raise ModelInvalid(
            f"{main.name!r} refers to files that did not come with it: "
            f"{', '.join(sorted(map(repr, missing)))}; compile it by its path, with them beside it"
        )


def _reshape(model: ov.Model, shapes: Sequence[Reshape]) -> None:
    if not shapes:
        return
    try:
        model.reshape(
            {
                each.port: ov.PartialShape(
                    [
                        ov.Dimension(bound.lowest, -1 if bound.highest is None else bound.highest)
                        for bound in each.bounds
                    ]
                )
                for each in shapes
            }
        )
    except RuntimeError as why:
        raise ModelInvalid(f"OpenVINO can't reshape the model: {_reason(why)}") from why


def _tensor(array: NDArray[Any], element_type: ElementType, shape: Shape | None) -> ov.Tensor:
    if element_type.to_dtype() == array.dtype and element_type in _NUMPY_TYPES:
        return ov.Tensor(array, shared_memory=True)
    return ov.Tensor(array, ov.Shape(shape or array.shape), getattr(ov.Type, element_type.name))


_NUMPY_TYPES: Final = frozenset(
    member
    for member in ElementType
    if member.bitwidth >= 8
    and member is not ElementType.string
    and ElementType(member.to_dtype()) is member
)


def _port(port: Any) -> Port:
    shape = port.get_partial_shape()
    bounds = None
    if not shape.rank.is_dynamic:
        bounds = tuple(
            Bounds(
                each.get_min_length(), None if each.get_max_length() < 0 else each.get_max_length()
            )
            for each in shape
        )
    names = tuple(sorted(port.get_names()))
    node = port.get_node().get_friendly_name()
    return Port(names, node, port.get_element_type().get_type_name(), bounds)


def _plain(value: Any) -> Any:
    """Turn a property's value into what JSON can carry."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return getattr(value, "name", str(value))


def _reason(why: BaseException) -> str:
    """Keep of OpenVINO's stacked text the lines that say something."""
    lines = [line.strip() for line in str(why).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception from")]
    return " ".join(telling) or type(why).__name__
