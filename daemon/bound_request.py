"""An engine's request with tensors in shared memory.

Engines get contiguous arrays only: where a tensor has strides, the worker copies once, into or out
of a block of its own (OpenVINO would pack it into memory of another request). Outputs whose size is
known only after the run, and strings, are copied into the room that the client gave them; what does
not fit stays in the engine until the client fetches it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferd.daemon.engines.base import CompiledModel, EngineRequest
from inferd.daemon.models import ModelEntry
from inferd.daemon.scheduler import Entry
from inferd.shm.element_type import ElementType
from inferd.shm.errors import (
    InferdError,
    InferenceFailed,
    LayoutInvalid,
    NotFound,
    PortNotFound,
    TensorMismatch,
)
from inferd.shm.layouts import (
    TensorLayout,
    decode_strings,
    element_count,
    encode_strings,
    view,
)
from inferd.shm.ports import Port
from inferd.shm.segment import Segment
from inferd.shm.wire import Binding, Result

Array = NDArray[Any]
Segments = Mapping[int, Segment]
BindPort = Callable[[int, Array, ElementType, tuple[int, ...]], None]


class BoundRequest:
    """One infer request of one session.

    ``error`` is why it can't run: what went wrong when it was bound last. ``results`` tells of the
    outputs of the last run whose size was not known before.
    """

    def __init__(self, request: int, model: ModelEntry) -> None:
        assert model.compiled is not None
        self.id = request
        self.model = model
        self.entry: Entry[BoundRequest] | None = None  # the submission under way
        self.error: InferdError | None = None
        self.results: tuple[Result, ...] = ()
        self._compiled: CompiledModel = model.compiled
        self._engine_request: EngineRequest | None = None
        self._unpacked_inputs: dict[int, tuple[Array, Array]] = {}
        self._unpacked_outputs: dict[int, tuple[Array, Array]] = {}
        self._strings: dict[int, tuple[Array, tuple[int, ...]]] = {}
        self._rooms: dict[int, Array] = {}
        self._elastic = [
            index for index, port in enumerate(self._compiled.outputs) if _is_elastic(port)
        ]

    @property
    def engine(self) -> EngineRequest:
        """The engine's own request; made when it is first needed, which may raise anything."""
        if self._engine_request is None:
            self._engine_request = self._compiled.create_request()
        return self._engine_request

    def bind(
        self, inputs: Iterable[Binding], outputs: Iterable[Binding], segments: Segments
    ) -> None:
        """Set tensors. What goes wrong is kept in ``error``, and shows at the next submission."""
        try:
            for binding in inputs:
                self._bind_input(binding, segments)
            for binding in outputs:
                self._bind_output(binding, segments)
            self.error = None
        except InferdError as why:
            self.error = why
        except Exception as why:  # an engine may raise anything
            self.error = InferenceFailed(f"the engine can't make a request: {why}")

    def run(self) -> None:
        """Execute once, in any thread; raise whatever the engine raises."""
        for port, (raw, shape) in self._strings.items():
            values = decode_strings(raw, element_count(shape))
            self.engine.set_strings(port, shape, values)
        for strided, packed in self._unpacked_inputs.values():
            np.copyto(packed, strided)
        self.engine.run()
        for strided, packed in self._unpacked_outputs.values():
            np.copyto(strided, packed)
        if self._elastic:
            self.results = tuple(
                self._hand_over(port, self._rooms.get(port)) for port in self._elastic
            )

    def fetch(self, binding: Binding, segments: Segments) -> None:
        """Copy an elastic output of the last run to a room that is large enough."""
        if binding.port not in self._elastic:
            raise PortNotFound(f"output {binding.port} is not one to fetch")
        self._rooms[binding.port] = room = _room(binding, segments)
        if self._hand_over(binding.port, room).is_held:
            raise TensorMismatch(f"output {binding.port} does not fit into {room.nbytes} bytes")

    def cancel(self) -> None:
        """Ask a running `run` to end early."""
        self.engine.cancel()

    def addresses(self) -> tuple[list[int], list[int]]:
        """Return where the engine itself reads its inputs from and writes its outputs to."""
        model, engine = self._compiled, self.engine
        return (
            [engine.input_address(port) for port in range(len(model.inputs))],
            [engine.output_address(port) for port in range(len(model.outputs))],
        )

    def _bind_input(self, binding: Binding, segments: Segments) -> None:
        port = _port(self._compiled.inputs, binding)
        layout = binding.layout
        if port.element_type == ElementType.string.name:
            port.check(_element_type(layout), layout.shape)
            self._strings[binding.port] = (_room(binding, segments), layout.shape)
        else:
            array = _array(port, layout, segments)
            packed = _pack(array, binding.port, self._unpacked_inputs)
            _guarded(self.engine.bind_input, binding, packed)

    def _bind_output(self, binding: Binding, segments: Segments) -> None:
        port = _port(self._compiled.outputs, binding)
        if binding.port in self._elastic:
            self._rooms[binding.port] = _room(binding, segments)
        else:
            array = _array(port, binding.layout, segments)
            packed = _pack(array, binding.port, self._unpacked_outputs)
            _guarded(self.engine.bind_output, binding, packed)

    def _hand_over(self, port: int, room: Array | None) -> Result:
        """Copy an elastic output into its room, if it fits."""
        output = self.engine.output(port)
        if isinstance(output.values, list):
            raw: Array = np.frombuffer(encode_strings(output.values), np.uint8)
        else:
            raw = np.ascontiguousarray(output.values).reshape(-1).view(np.uint8)
        fits = room is not None and raw.nbytes <= room.nbytes
        if fits:
            assert room is not None
            room[: raw.nbytes] = raw
        return Result(port, output.shape, raw.nbytes, not fits)


def array_of(layout: TensorLayout, segments: Segments) -> Array:
    """Show a tensor in a session's segment.

    Raises
    ------
    NotFound, LayoutInvalid
        There is no such segment, or the layout does not lie in it.
    """
    segment = _segment(layout, segments)
    return view(segment.memory, layout, segment.byte_size)


def _is_elastic(port: Port) -> bool:
    return port.static_shape is None or port.element_type == ElementType.string.name


def _port(ports: Sequence[Port], binding: Binding) -> Port:
    if binding.port >= len(ports):
        raise PortNotFound(f"there are {len(ports)} ports, got index {binding.port}")
    return ports[binding.port]


def _segment(layout: TensorLayout, segments: Segments) -> Segment:
    segment = segments.get(layout.segment)
    if segment is None:
        raise NotFound(f"no segment {layout.segment} is attached to this device")
    return segment


def _element_type(layout: TensorLayout) -> ElementType:
    element_type = ElementType.__members__.get(layout.element_type)
    if element_type is None:
        raise LayoutInvalid(f"no tensor can have element type {layout.element_type!r}")
    return element_type


def _array(port: Port, layout: TensorLayout, segments: Segments) -> Array:
    array = array_of(layout, segments)
    port.check(_element_type(layout), layout.shape)
    return array


def _room(binding: Binding, segments: Segments) -> Array:
    """Show a block of bytes in a session's segment."""
    layout = binding.layout
    flat = TensorLayout(layout.segment, layout.offset, "u8", (binding.room_bytes,), None)
    return array_of(flat, segments)


def _pack(array: Array, port: int, unpacked: dict[int, tuple[Array, Array]]) -> Array:
    """Return what the engine works on: the array, or a contiguous stand-in for a strided one."""
    unpacked.pop(port, None)
    if array.flags.c_contiguous:
        return array
    packed = np.empty(array.shape, array.dtype)
    unpacked[port] = (array, packed)
    return packed


def _guarded(bind: BindPort, binding: Binding, array: Array) -> None:
    try:
        layout = binding.layout
        bind(binding.port, array, ElementType[layout.element_type], layout.shape)
    except Exception as why:  # an engine may raise anything
        raise TensorMismatch(f"the engine refuses the tensor: {why}") from why
