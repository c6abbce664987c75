"""A model that is read but not compiled: its ports, and the shapes that its inputs are to have."""

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from inferd.client.connection import Connection, ModelFiles
from inferd.client.ports import ConstOutput
from inferd.client.shapes import PartialShape
from inferd.shm.errors import PortNotFound, WrongType
from inferd.shm.ports import Bounds
from inferd.shm.wire import ModelRead, Reshape


class Model:
    """Made by `Core.read_model`, for `Core.compile_model`. The graph itself stays in the daemon."""

    def __init__(self, connection: Connection, files: ModelFiles, device: str) -> None:
        """Take over the files' descriptors, and ask the device's worker what the model has.

        Raises
        ------
        ModelInvalid
            The engine can't read the files.
        """
        self._connection = connection
        self._device = device
        self.files = files
        self.shapes: tuple[Reshape, ...] = ()
        finalizer = weakref.finalize(self, _close, files.descriptors)
        finalizer.atexit = False
        self._take(connection.read_model(files, device, ()))

    @property
    def inputs(self) -> list[ConstOutput]:
        """The ports of the inputs."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[ConstOutput]:
        """The ports of the outputs."""
        return list(self._outputs)

    def input(self, key: int | str | None = None) -> ConstOutput:
        """Return an input's port, by index or name; without either, that of the only input."""
        return _port(self._inputs, key, "input")

    def output(self, key: int | str | None = None) -> ConstOutput:
        """Return an output's port, by index or name; without either, that of the only output."""
        return _port(self._outputs, key, "output")

    def get_friendly_name(self) -> str:
        """Return the model's name."""
        return self._name

    friendly_name = property(get_friendly_name)
    name = property(get_friendly_name)

    def is_dynamic(self) -> bool:
        """Whether an input has a dynamic dimension."""
        return any(port.facts.static_shape is None for port in self._inputs)

    def reshape(self, shapes: Any) -> None:
        """Set the shapes of inputs: a shape for the only input, or a dict by index, name or port.

        Raises
        ------
        ModelInvalid
            The model can't have these shapes; it keeps the old ones.
        PortNotFound
            There is no such input.
        """
        wanted = shapes if isinstance(shapes, Mapping) else {self.input(): shapes}
        changed = {each.port: each for each in self.shapes}
        for key, shape in wanted.items():
            port = key if isinstance(key, ConstOutput) else self.input(key)
            if port not in self._inputs:
                raise PortNotFound(f"{key!r} is no input of this model")
            changed[port.position] = Reshape(port.position, _bounds(shape))
        wished = tuple(changed.values())
        self._take(self._connection.read_model(self.files, self._device, wished))
        self.shapes = wished

    def _take(self, facts: ModelRead) -> None:
        number = self._connection.new_id()
        self._name = facts.name
        self._inputs = [
            ConstOutput(port, number, position, is_input=True)
            for position, port in enumerate(facts.inputs)
        ]
        self._outputs = [
            ConstOutput(port, number, position, is_input=False)
            for position, port in enumerate(facts.outputs)
        ]

    def __repr__(self) -> str:
        inputs = "\n".join(map(repr, self._inputs))
        outputs = "\n".join(map(repr, self._outputs))
        return f"<Model: '{self._name}'\ninputs[\n{inputs}\n]\noutputs[\n{outputs}\n]>"


def _bounds(shape: Any) -> tuple[Bounds, ...]:
    return tuple(
        Bounds(
            dimension.get_min_length(),
            None if dimension.get_max_length() < 0 else dimension.get_max_length(),
        )
        for dimension in PartialShape(shape)
    )


def _port(ports: Sequence[ConstOutput], key: int | str | None, kind: str) -> ConstOutput:
    if key is None:
        if len(ports) != 1:
            raise PortNotFound(f"the model has {len(ports)} {kind}s; say which")
        return ports[0]
    if isinstance(key, str):
        for port in ports:
            if key in port.facts.names:
                return port
        raise PortNotFound(f"the model has no {kind} {key!r}")
    if isinstance(key, bool) or not isinstance(key, int) or key < 0:
        raise WrongType(f"an {kind} is named by an index from 0 or a name, got {key!r}")
    if key >= len(ports):
        raise PortNotFound(f"the model has {len(ports)} {kind}s, got index {key}")
    return ports[key]


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
