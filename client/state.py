"""The variables of a stateful model, which a request keeps between its inferences."""

from typing import TYPE_CHECKING, Any

from inferd.client.storage import Storage
from inferd.client.tensor import Tensor
from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.element_type import ElementType
from inferd.shm.errors import WrongType

if TYPE_CHECKING:
    from inferd.client.compiled_model import ModelHandle


class RequestCalls:
    """The calls about one request in its worker; it may outlive the request's own object."""

    def __init__(self, handle: "ModelHandle", request: int) -> None:
        self._handle = handle
        self._request = request

    def states(self) -> tuple[wire.StateFacts, ...]:
        """Return what variables there are, with their present shapes."""
        answer: wire.States = self._call(lambda call: wire.AskStates(call, self._request))
        return answer.states

    def get_state(self, index: int) -> Tensor:
        """Return the value of a variable, in a tensor of its own."""
        facts = self.states()[index]
        storage = Storage(ElementType[facts.element_type], facts.shape)
        layout = self._attach(storage)
        self._call(lambda call: wire.GetState(call, self._request, index, layout))
        return Tensor.of(storage)

    def set_state(self, index: int, tensor: Tensor) -> None:
        """Copy a value into a variable."""
        storage = tensor.storage
        if storage.layout is None or storage.is_region:
            storage = Storage(storage.element_type, storage.shape)
            tensor.copy_to(Tensor.of(storage))
        layout = self._attach(storage)
        self._call(lambda call: wire.SetState(call, self._request, index, layout))

    def reset_state(self, index: int | None) -> None:
        """Set a variable, or all of them, to what the model starts with."""
        self._call(lambda call: wire.ResetState(call, self._request, index))

    def profile(self) -> tuple[wire.ProfileRow, ...]:
        """Return how long each node of the model took."""
        answer: wire.Profile = self._call(lambda call: wire.AskProfile(call, self._request))
        return answer.rows

    def _attach(self, storage: Storage) -> Any:
        place = storage.place()
        assert place is not None
        self._handle.attach([place.segment])
        return storage.layout

    def _call(self, message: Any) -> Any:
        link = self._handle.connection.link
        return link.call(self._handle.channel, lambda call: encode(message(call)))


class VariableState:
    """One variable of one request."""

    def __init__(self, calls: RequestCalls, index: int, name: str, keep: object) -> None:
        """Made by `InferRequest.query_state`; ``keep`` is what keeps the request."""
        self._calls = calls
        self._index = index
        self._name = name
        self._keep = keep

    @property
    def name(self) -> str:
        """The variable's name."""
        return self._name

    @property
    def state(self) -> Tensor:
        """The present value, copied into a tensor of its own. Setting copies a tensor's elements.

        Raises
        ------
        WrongType
            What is set is no `Tensor`.
        InferenceFailed
            The variable can't take this shape.
        """
        return self._calls.get_state(self._index)

    @state.setter
    def state(self, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor):
            raise WrongType(f"a state is set to a Tensor, got {type(tensor).__name__}")
        self._calls.set_state(self._index, tensor)

    def reset(self) -> None:
        """Set the variable to what the model starts with."""
        self._calls.reset_state(self._index)

    def __repr__(self) -> str:
        return f"<VariableState: {self._name}>"
