"""A compiled model in a device's worker, shared with every other process that compiled the same."""

import json
import weakref
from collections.abc import Sequence
from typing import Any

from inferd.client.connection import Connection, RemoteModel
from inferd.client.infer_request import InferRequest
from inferd.client.ports import ConstOutput
from inferd.client.results import OVDict
from inferd.client.state import VariableState
from inferd.shm.codec import encode
from inferd.shm.errors import PortNotFound, PropertyInvalid, WrongType
from inferd.shm.segment import Segment
from inferd.shm.wire import ReleaseModel


class ModelHandle:
    """This session's use of a model; when nothing refers to it any more, the use is given back."""

    def __init__(self, connection: Connection, model: RemoteModel) -> None:
        self.connection = connection
        self.id = model.id
        self.model = model
        self.channel = model.channel
        self.inputs = [
            ConstOutput(port, model.id, position, is_input=True)
            for position, port in enumerate(model.inputs)
        ]
        self.outputs = [
            ConstOutput(port, model.id, position, is_input=False)
            for position, port in enumerate(model.outputs)
        ]
        finalizer = weakref.finalize(self, _release, connection, model)
        finalizer.atexit = False

    def attach(self, segments: Sequence[Segment]) -> None:
        """Make segments known to the model's worker."""
        self.connection.attach(segments, self.model)

    def compiled_model(self) -> "CompiledModel":
        """Return another compiled model over this handle."""
        return CompiledModel(self)


class CompiledModel:
    """A model that is ready to execute. Made by `Core.compile_model`."""

    def __init__(self, handle: ModelHandle) -> None:
        self._handle = handle
        self._own_request: InferRequest | None = None

    def create_infer_request(self) -> InferRequest:
        """Return a new request with tensors of its own."""
        return InferRequest(self._handle)

    def __call__(
        self,
        inputs: Any = None,
        share_inputs: bool = True,
        share_outputs: bool = False,
        *,
        decode_strings: bool = True,
    ) -> OVDict:
        """Execute the model on one request that is kept for this; see `InferRequest.infer`."""
        return self._request().infer(
            inputs, share_inputs, share_outputs, decode_strings=decode_strings
        )

    def query_state(self) -> list[VariableState]:
        """Return the variables of the request that `__call__` uses."""
        return self._request().query_state()

    def reset_state(self) -> None:
        """Reset the variables of the request that `__call__` uses."""
        self._request().reset_state()

    def infer_new_request(self, inputs: Any = None) -> OVDict:
        """Execute the model on a request of its own; see `InferRequest.infer`."""
        return self.create_infer_request().infer(inputs)

    @property
    def inputs(self) -> list[ConstOutput]:
        """The ports of the inputs."""
        return list(self._handle.inputs)

    @property
    def outputs(self) -> list[ConstOutput]:
        """The ports of the outputs."""
        return list(self._handle.outputs)

    def input(self, *arguments: Any, **keywords: Any) -> ConstOutput:
        """``input([index | tensor_name])``: return an input's port."""
        return _port(self._handle.inputs, "input", arguments, keywords)

    def output(self, *arguments: Any, **keywords: Any) -> ConstOutput:
        """``output([index | tensor_name])``: return an output's port."""
        return _port(self._handle.outputs, "output", arguments, keywords)

    def get_property(self, property: str) -> Any:
        """Return a fact about the model.

        Raises
        ------
        PropertyInvalid
            There is no property of this name.
        """
        if not isinstance(property, str):
            raise WrongType(f"a property is named by text, got {property!r}")
        known = self._handle.model.properties
        if property == "SUPPORTED_PROPERTIES":
            return dict.fromkeys([property, *known], "RO")
        if property not in known:
            raise PropertyInvalid(
                f"the model has no property {property!r}; it has: {', '.join(known)}"
            )
        return json.loads(known[property])

    def set_property(self, *_: Any) -> None:
        """Refused: a model's properties are fixed when it is compiled."""
        raise PropertyInvalid("a compiled model's properties can't be changed; compile it again")

    def release_memory(self) -> None:
        """Does nothing here: the memory between layers is shared with others."""

    def _request(self) -> InferRequest:
        if self._own_request is None:
            self._own_request = self.create_infer_request()
        return self._own_request

    def __repr__(self) -> str:
        inputs = "\n".join(map(repr, self.inputs))
        outputs = "\n".join(map(repr, self.outputs))
        return f"<CompiledModel:\ninputs[\n{inputs}\n]\noutputs[\n{outputs}\n]>"


def _release(connection: Connection, model: RemoteModel) -> None:
    connection.link.send_later(model.channel, encode(ReleaseModel(model.id)))


def _port(
    ports: list[ConstOutput], kind: str, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> ConstOutput:
    keys = [*arguments, *(keywords[name] for name in ("index", "tensor_name") if name in keywords)]
    if len(keys) > 1 or keywords.keys() - {"index", "tensor_name"}:
        raise WrongType(f"an {kind} is named by index or tensor_name")
    if not keys:
        if len(ports) != 1:
            raise PortNotFound(f"the model has {len(ports)} {kind}s; say which")
        return ports[0]
    (key,) = keys
    if isinstance(key, str):
        return _named(ports, kind, key)
    if isinstance(key, bool) or not hasattr(key, "__index__") or int(key) < 0:
        raise WrongType(f"an {kind} is named by an index from 0 or a name, got {key!r}")
    if int(key) >= len(ports):
        raise PortNotFound(f"the model has {len(ports)} {kind}s, got index {key}")
    return ports[int(key)]


def _named(ports: list[ConstOutput], kind: str, name: str) -> ConstOutput:
    for port in ports:
        if name in port.facts.names:
            return port
    raise PortNotFound(f"the model has no {kind} {name!r}")
