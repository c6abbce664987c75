"""An engine's request with tensors in shared memory.

Engines get contiguous arrays only: where a tensor has strides, the worker copies once, into or out
of a block of its own (OpenVINO would pack it into memory of another request).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferd.daemon.engines.base import CompiledModel, EngineRequest
from inferd.daemon.models import ModelEntry
from inferd.daemon.scheduler import Entry
from inferd.shm.element_type import ElementType
from inferd.shm.errors import InferdError, InferenceFailed, NotFound, PortNotFound, TensorMismatch
from inferd.shm.layouts import view
from inferd.shm.ports import Port
from inferd.shm.segment import Segment
from inferd.shm.wire import Binding

BindPort = Callable[[int, NDArray[Any], ElementType], None]


class BoundRequest:
    """One infer request of one session.

    ``error`` is why it can't run: what went wrong when it was bound last.
    """

    def __init__(self, request: int, model: ModelEntry) -> None:
        assert model.compiled is not None
        self.id = request
        self.model = model
        self.entry: Entry[BoundRequest] | None = None  # the submission under way
        self.error: InferdError | None = None
        self._compiled: CompiledModel = model.compiled
        self._engine_request: EngineRequest | None = None
        self._unpacked_inputs: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._unpacked_outputs: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}

    @property
    def _engine(self) -> EngineRequest:
        if self._engine_request is None:
            self._engine_request = self._compiled.create_request()
        return self._engine_request

    def bind(
        self,
        inputs: Iterable[Binding],
        outputs: Iterable[Binding],
        segments: dict[int, Segment],
    ) -> None:
        """Set tensors. What goes wrong is kept in ``error``, and shows at the next submission."""
        try:
            self._bind(inputs, outputs, segments)
            self.error = None
        except InferdError as why:
            self.error = why
        except Exception as why:  # an engine may raise anything
            self.error = InferenceFailed(f"the engine can't make a request: {why}")

    def _bind(
        self,
        inputs: Iterable[Binding],
        outputs: Iterable[Binding],
        segments: dict[int, Segment],
    ) -> None:
        model, engine = self._compiled, self._engine
        for binding in inputs:
            array, element_type = _array(binding, model.inputs, segments)
            packed = _pack(array, binding.port, self._unpacked_inputs)
            _guarded(engine.bind_input, binding, packed, element_type)
        for binding in outputs:
            array, element_type = _array(binding, model.outputs, segments)
            packed = _pack(array, binding.port, self._unpacked_outputs)
            _guarded(engine.bind_output, binding, packed, element_type)

    def addresses(self) -> tuple[list[int], list[int]]:
        """Return where the engine itself reads its inputs from and writes its outputs to."""
        model, engine = self._compiled, self._engine
        return (
            [engine.input_address(port) for port in range(len(model.inputs))],
            [engine.output_address(port) for port in range(len(model.outputs))],
        )

    def run(self) -> None:
        """Execute once, in any thread; raise whatever the engine raises."""
        for strided, packed in self._unpacked_inputs.values():
            np.copyto(packed, strided)
        self._engine.run()
        for strided, packed in self._unpacked_outputs.values():
            np.copyto(strided, packed)

    def cancel(self) -> None:
        """Ask a running `run` to end early."""
        self._engine.cancel()


def _array(
    binding: Binding, ports: Sequence[Port], segments: dict[int, Segment]
) -> tuple[NDArray[Any], ElementType]:
    if binding.port >= len(ports):
        raise PortNotFound(f"there are {len(ports)} ports, got index {binding.port}")
    layout = binding.layout
    segment = segments.get(layout.segment)
    if segment is None:
        raise NotFound(f"no segment {layout.segment} is attached to this device")
    array = view(segment.memory, layout, segment.byte_size)
    element_type = ElementType[layout.element_type]
    ports[binding.port].check(element_type, layout.shape)
    return array, element_type


def _pack(
    array: NDArray[Any], port: int, unpacked: dict[int, tuple[NDArray[Any], NDArray[Any]]]
) -> NDArray[Any]:
    """Return what the engine works on: the array, or a contiguous stand-in for a strided one."""
    unpacked.pop(port, None)
    if array.flags.c_contiguous:
        return array
    packed = np.empty(array.shape, array.dtype)
    unpacked[port] = (array, packed)
    return packed


def _guarded(
    bind: BindPort, binding: Binding, array: NDArray[Any], element_type: ElementType
) -> None:
    try:
        bind(binding.port, array, element_type)
    except Exception as why:  # an engine may raise anything
        raise TensorMismatch(f"the engine refuses the tensor: {why}") from why
