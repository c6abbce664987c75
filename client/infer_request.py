"""The infer request: tensors bound to a model, executed over and over.

    IDLE --start_async--> RUNNING --completed--------> IDLE
                             +--cancel--> CANCELLING --^

`wait`, `wait_for` and `infer` wait for the completion themselves; a callback runs on the link's
attendant thread. Each start makes a ticket. What a finished ticket still leaves to do in this
process, copying outputs into memory that is not shared, is done once, by whoever touches the
request first.
"""

import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from inferd.client import inputs as input_forms
from inferd.client.ports import ConstOutput
from inferd.client.profiling import ProfilingInfo, of_row
from inferd.client.results import OVDict
from inferd.client.session import Ticket
from inferd.client.slot import Slot
from inferd.client.state import RequestCalls, VariableState
from inferd.client.storage import Storage
from inferd.client.tensor import Tensor
from inferd.shm.codec import encode
from inferd.shm.element_type import ElementType
from inferd.shm.errors import (
    CallbackFailed,
    InferdError,
    PortNotFound,
    RequestBusy,
    RequestCancelled,
    WrongType,
    WrongValue,
)
from inferd.shm.segment import Segment
from inferd.shm.states import REQUEST, Request, RequestEvent, step
from inferd.shm.waiting import SPIN_S
from inferd.shm.wire import (
    Bind,
    Binding,
    Cancel,
    Completed,
    CompletedElastic,
    Fetch,
    ReleaseRequest,
    Result,
    Submit,
)

if TYPE_CHECKING:
    from inferd.client.compiled_model import CompiledModel, ModelHandle

_NAME_OR_PORT: Final = ("name", "port")
_ONLY: Final[Any] = object()  # the default for an index: the model's only input or output
SHORT_NS: Final = int(SPIN_S * 1e9)
WAIT_MS_MAX: Final = (1 << 31) - 1


class InferRequest:
    """One set of input and output tensors of a compiled model.

    Different requests may run at once. One request
    runs once at a time: while it does, `wait`, `wait_for`, `cancel`, `latency`, `userdata` and the
    ports may be used, from any thread, and everything else raises `RequestBusy`.
    """

    def __init__(self, handle: "ModelHandle") -> None:
        """Made by `CompiledModel.create_infer_request`."""
        if not hasattr(handle, "connection"):
            raise WrongType("a request is made by CompiledModel.create_infer_request")
        handle.connection.count_request(handle.model.device, self)
        self._handle = handle
        self._link = handle.connection.link
        self._id = handle.connection.new_id()
        self._calls = RequestCalls(handle, self._id)
        self._is_bound = False
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._state = Request.IDLE
        self._sequence = 0
        self._ticket: Ticket | None = None
        self._is_ended = True  # nothing is left to do for the last ticket
        self._started_ns = 0
        self._latency_ms = 0.0
        self._run_ns = 0  # what the engine took for the last inference
        self._callback: Callable[[Any], Any] | None = None
        self._userdata: Any = None
        finalizer = weakref.finalize(self, _release, handle, self._id)
        finalizer.atexit = False
        self._inputs = [Slot(port) for port in handle.inputs]
        self._outputs = [Slot(port) for port in handle.outputs]
        self._slots = (*self._inputs, *self._outputs)

    def __del__(self) -> None:
        """Wait for a running inference, so that nothing is written once the request is gone."""
        ticket = getattr(self, "_ticket", None)
        if ticket is not None and not ticket.is_settled:
            self._link.wait_settled(ticket)

    # --- Running ------------------------------------------------------------------------------

    def infer(
        self,
        inputs: Any = None,
        share_inputs: bool = False,
        share_outputs: bool = False,
        *,
        decode_strings: bool = True,
    ) -> OVDict:
        """Execute the model and wait for the results.

        Parameters
        ----------
        inputs : optional
            A dict by index, name or port, a list or tuple by index, or one array, `Tensor` or
            scalar for a model with one input. Arrays are cast to the port's element type. Inputs
            that are left out keep their values.
        share_inputs : bool
            Use the memory of the arrays themselves instead of copying them, where that is possible.
        share_outputs : bool
            Return views of the output tensors, which the next inference overwrites.
        decode_strings : bool
            Return strings as text, else as bytes.

        Raises
        ------
        RequestBusy, RequestCancelled
            The request runs already; it was cancelled meanwhile.
        WrongType, PortNotFound, TensorMismatch
            An input does not fit.
        InferenceFailed
            The engine failed.
        WorkerDied, DaemonDied
            A process that is needed ended.
        """
        self._require_idle()
        input_forms.apply(self, inputs, share=share_inputs)
        ticket = self._start(None)
        self._link.wait(ticket)
        self._end(ticket)
        ticket.raise_error()
        return self._results(share=share_outputs, decode=decode_strings)

    def start_async(
        self, inputs: Any = None, userdata: Any = None, share_inputs: bool = False
    ) -> None:
        """Start executing the model and return at once. Inputs are as for `infer`.

        ``userdata``, if it is not None, replaces what the callback gets. How the inference ends
        shows in `wait`, `wait_for` and the callback.

        Raises
        ------
        RequestBusy
            The request runs already.
        WrongType, PortNotFound, TensorMismatch
            An input does not fit.
        """
        self._require_idle()
        input_forms.apply(self, inputs, share=share_inputs)
        if userdata is not None:
            if self._callback is None:
                warnings.warn(
                    "userdata is dropped: the request has no callback", RuntimeWarning, stacklevel=2
                )
            else:
                self._userdata = userdata
        self._start(_attend(self) if self._callback is not None else None)

    def wait(self) -> None:
        """Wait until the inference and its callback have ended; raise if one of them failed.

        Returns at once if the request never ran.

        Raises
        ------
        RequestCancelled, InferenceFailed, CallbackFailed, WorkerDied, DaemonDied
            How the inference ended; the same at every call until the next start.
        """
        ticket = self._ticket
        if ticket is None:
            return
        if ticket.attending_thread != threading.get_ident():
            self._link.wait(ticket)
        self._end(ticket)
        ticket.raise_error()

    def wait_for(self, timeout: int) -> bool:
        """Wait as `wait` does, but no longer than ``timeout`` milliseconds.

        Returns
        -------
        bool
            Whether the inference and its callback have ended. False if the request never ran.

        Raises
        ------
        WrongType
            The timeout is no whole number of at most 2^31 - 1.
        WrongValue
            The timeout is negative.
        """
        timeout_ms = _milliseconds(timeout)
        ticket = self._ticket
        if ticket is None or not self._link.wait(ticket, timeout_ms / 1e3):
            return False
        self._end(ticket)
        ticket.raise_error()
        return True

    def cancel(self) -> None:
        """End the inference early; `wait` then raises `RequestCancelled`.

        A waiting inference ends at once, a running one when the engine lets go. Nothing happens if
        none is under way. The callback is not called.
        """
        with self._lock:
            ticket = self._ticket
            if ticket is None or ticket.is_settled:
                return
            self._state = step(REQUEST, self._state, RequestEvent.CANCEL)
            frame = encode(Cancel(self._id, self._sequence))
        self._link.send(self._handle.channel, frame)

    def set_callback(self, callback: Callable[[Any], Any], userdata: Any) -> None:
        """Have ``callback(userdata)`` called after each inference that succeeds.

        It runs on a thread of this library, before `wait` returns, with the request idle: it may
        read the outputs and start the next inference. What it raises, `wait` raises as
        `CallbackFailed`.
        """
        if not callable(callback):
            raise WrongType(f"a callback must be callable, got {type(callback).__name__}")
        self._require_idle()
        self._callback, self._userdata = callback, userdata

    @property
    def userdata(self) -> Any:
        """What the callback gets."""
        return self._userdata

    @property
    def latency(self) -> float:
        """Milliseconds from the start of the last inference to its completion."""
        return self._latency_ms

    @property
    def results(self) -> OVDict:
        """Copies of all outputs, strings decoded."""
        self._require_idle()
        return self._results(share=False, decode=True)

    def get_compiled_model(self) -> "CompiledModel":
        """Return the model that this request executes."""
        return self._handle.compiled_model()

    @property
    def model_inputs(self) -> list[ConstOutput]:
        """The ports of the inputs."""
        return list(self._handle.inputs)

    @property
    def model_outputs(self) -> list[ConstOutput]:
        """The ports of the outputs."""
        return list(self._handle.outputs)

    def get_profiling_info(self) -> list[ProfilingInfo]:
        """Return how long each node of the model took, averaged over the runs."""
        self._require_idle()
        self._require_bound()
        return [of_row(row) for row in self._calls.profile()]

    profiling_info = property(get_profiling_info)

    def query_state(self) -> list[VariableState]:
        """Return the variables that the request keeps between its inferences."""
        self._require_idle()
        self._require_bound()
        return [
            VariableState(self._calls, index, facts.name, self)
            for index, facts in enumerate(self._calls.states())
        ]

    def reset_state(self) -> None:
        """Set all variables to what the model starts with."""
        self._require_idle()
        self._require_bound()
        self._calls.reset_state(None)

    # --- Tensors ------------------------------------------------------------------------------

    def get_input_tensor(self, index: int = _ONLY) -> Tensor:
        """Return an input's tensor; without an index, that of the only input."""
        self._require_idle()
        return Tensor.of(_at(self._inputs, index, "input").storage)

    def get_output_tensor(self, index: int = _ONLY) -> Tensor:
        """Return an output's tensor; without an index, that of the only output."""
        self._require_idle()
        return Tensor.of(_at(self._outputs, index, "output").storage)

    @overload
    def get_tensor(self, name: str) -> Tensor: ...

    @overload
    def get_tensor(self, port: ConstOutput) -> Tensor: ...

    def get_tensor(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Return the tensor of a name or port."""
        (key,) = _take(arguments, keywords, _NAME_OR_PORT)
        self._require_idle()
        return Tensor.of(self._slot(key).storage)

    @overload
    def set_input_tensor(self, tensor: Tensor) -> None: ...

    @overload
    def set_input_tensor(self, index: int, tensor: Tensor) -> None: ...

    def set_input_tensor(self, *arguments: Any, **keywords: Any) -> None:
        """Use a tensor as input, without copying it."""
        index, tensor = _index_and_tensor(arguments, keywords)
        self._require_idle()
        _at(self._inputs, index, "input").set(tensor.storage)

    @overload
    def set_output_tensor(self, tensor: Tensor) -> None: ...

    @overload
    def set_output_tensor(self, index: int, tensor: Tensor) -> None: ...

    def set_output_tensor(self, *arguments: Any, **keywords: Any) -> None:
        """Have an output written into a tensor."""
        index, tensor = _index_and_tensor(arguments, keywords)
        self._require_idle()
        _at(self._outputs, index, "output").set(tensor.storage)

    @overload
    def set_tensor(self, name: str, tensor: Tensor) -> None: ...

    @overload
    def set_tensor(self, port: ConstOutput, tensor: Tensor) -> None: ...

    def set_tensor(self, *arguments: Any, **keywords: Any) -> None:
        """Use a tensor for a name or port, without copying it.

        Raises
        ------
        TensorMismatch
            The tensor does not fit the port; the old one stays.
        """
        key, tensor = _take(arguments, keywords, _NAME_OR_PORT, ("tensor",))
        _require_tensor(tensor)
        self._require_idle()
        self._slot(key).set(tensor.storage)

    def set_tensors(self, tensors: dict[Any, Tensor]) -> None:
        """Use tensors for names, ports or indices of inputs."""
        self._require_idle()
        for key, tensor in _checked_dict(tensors).items():
            _require_tensor(tensor)
            slot = _at(self._inputs, key, "input") if isinstance(key, int) else self._slot(key)
            slot.set(tensor.storage)

    def set_input_tensors(self, tensors: dict[int, Tensor]) -> None:
        """Use tensors for inputs, by index."""
        self._set_by_index(self._inputs, tensors, "input")

    def set_output_tensors(self, tensors: dict[int, Tensor]) -> None:
        """Use tensors for outputs, by index."""
        self._set_by_index(self._outputs, tensors, "output")

    @property
    def input_tensors(self) -> list[Tensor]:
        """The tensors of all inputs."""
        self._require_idle()
        return [Tensor.of(slot.storage) for slot in self._inputs]

    @property
    def output_tensors(self) -> list[Tensor]:
        """The tensors of all outputs."""
        self._require_idle()
        return [Tensor.of(slot.storage) for slot in self._outputs]

    # --- For `AsyncInferQueue` ----------------------------------------------------------------

    def start_attended(
        self, inputs: Any, share_inputs: bool, attended: Callable[[Ticket], None]
    ) -> Ticket:
        """Start as `start_async` does, with ``attended`` in the place of the callback.

        It runs on the attendant thread however the inference ends; there `wait` does not wait,
        but makes the request idle, and raises if the inference failed.
        """
        self._require_idle()
        input_forms.apply(self, inputs, share=share_inputs)
        return self._start(attended)

    # --- For `inputs.apply` -------------------------------------------------------------------

    def input_count(self) -> int:
        """Return how many inputs the model has."""
        return len(self._inputs)

    def input_position(self, key: int | str | ConstOutput) -> int:
        """Return the index of the input of an index, name or port."""
        slot = _at(self._inputs, key, "input") if isinstance(key, int) else self._slot(key)
        if slot not in self._inputs:
            raise PortNotFound(f"{key!r} is an output, not an input")
        return slot.port.position

    def input_storage(self, position: int) -> Storage:
        """Return the memory of an input."""
        return self._inputs[position].storage

    def replace_input(self, position: int, tensor: Tensor) -> None:
        """Use a tensor as input."""
        self._inputs[position].set(tensor.storage)

    # --- Inside -------------------------------------------------------------------------------

    def _start(self, attended: Callable[[Ticket], None] | None) -> Ticket:
        slots = self._slots
        if all([slot.is_current for slot in slots]):
            used = [slot.storage for slot in slots]
            frames: list[bytes] = []
        else:
            frames, used = self._prepare(slots)
        with self._lock:
            if self._state is not Request.IDLE:
                raise RequestBusy("Infer Request is busy")
            self._state = step(REQUEST, self._state, RequestEvent.START)
            self._sequence += 1
            is_short = 0 < self._run_ns < SHORT_NS
            ticket = self._ticket = Ticket(attended, keep=used, is_short=is_short)
            self._is_ended = False
            self._started_ns = time.monotonic_ns()
        frames.append(encode(Submit(self._id, self._sequence)))
        try:
            self._link.submit(self._handle.channel, frames, self._id, self._sequence, ticket)
        except BaseException as why:
            self._abandon(ticket, why)
            raise
        return ticket

    def _prepare(self, slots: Sequence[Slot]) -> tuple[list[bytes], list[Storage]]:
        """Make the tensors visible to the worker; return what has to be sent, and what is used."""
        for slot in self._inputs:
            slot.check()
        used = [slot.prepare() for slot in slots]
        if all(slot.is_bound_to(shared) for slot, shared in zip(slots, used, strict=True)):
            return [], used
        return [self._bind(slots, used)], used

    def _abandon(self, ticket: Ticket, why: BaseException) -> None:
        """A start that could not be sent: the request is idle, and `wait` says why."""
        if not ticket.is_settled:
            code = getattr(why, "code", "error")
            ticket.settle(None, (code, str(why)), time.monotonic_ns())
            ticket.is_over = True
        self._end(ticket)

    def _bind(self, slots: Sequence[Slot], used: Sequence[Storage]) -> bytes:
        """Make the worker know the tensors that have changed, and return the message for it."""
        changed = [
            (slot, shared)
            for slot, shared in zip(slots, used, strict=True)
            if not slot.is_bound_to(shared)
        ]
        segments = {segment.id: segment for segment in (slot.segment(s) for slot, s in changed)}
        self._handle.attach(list(segments.values()))
        inputs = tuple(slot.bind(shared) for slot, shared in changed if slot.port.is_input)
        outputs = tuple(slot.bind(shared) for slot, shared in changed if not slot.port.is_input)
        self._is_bound = True
        return encode(Bind(self._id, self._handle.id, inputs, outputs))

    def _end(self, ticket: Ticket) -> None:
        """Do once what a settled ticket leaves to do in this process.

        Who comes second waits for the first: fetching ends with the worker at the latest.
        """
        if self._ticket is not ticket or self._is_ended or not ticket.is_settled:
            return
        with self._ending:
            if self._ticket is not ticket or self._is_ended:
                return
            self._latency_ms = (ticket.settled_ns - self._started_ns) / 1e6
            if ticket.error is None:
                self._collect(ticket)
            with self._lock:
                self._is_ended = True
                self._state = step(REQUEST, self._state, RequestEvent.END)

    def _collect(self, ticket: Ticket) -> None:
        """Make the outputs readable; what goes wrong is how the inference ended."""
        completed: Completed | CompletedElastic = ticket.answer
        self._run_ns = completed.finished_ns - completed.started_ns
        results: dict[int, Result] = {}
        if isinstance(completed, CompletedElastic):
            results = {result.port: result for result in completed.results}
        try:
            for slot in self._outputs:
                slot.collect(results.get(slot.port.position), self._fetch)
        except InferdError as why:
            ticket.error = (why.code, str(why))

    def _fetch(self, binding: Binding, segment: Segment) -> None:
        self._handle.attach([segment])
        self._link.call(self._handle.channel, lambda call: encode(Fetch(call, self._id, binding)))

    def _run_callback(self, ticket: Ticket) -> None:
        """On the attendant thread: the inference has ended."""
        self._end(ticket)
        callback = self._callback
        if ticket.error is not None or callback is None:
            return
        try:
            callback(self._userdata)
        except BaseException as why:  # a program's callback may raise anything
            text = f"Caught exception: {type(why).__name__}: {why}"
            ticket.error = (CallbackFailed.code, text)

    def _require_bound(self) -> None:
        """Make sure that the worker knows this request."""
        if not self._is_bound:
            self._link.send(self._handle.channel, encode(Bind(self._id, self._handle.id, (), ())))
            self._is_bound = True

    def _require_idle(self) -> None:
        if self._state is Request.IDLE:
            return
        ticket = self._ticket
        assert ticket is not None
        if not ticket.is_settled:
            self._link.look()
        if ticket.is_settled:
            self._end(ticket)
        elif self._state is Request.CANCELLING:
            raise RequestCancelled("Infer Request was canceled")
        else:
            raise RequestBusy("Infer Request is busy")

    def _results(self, *, share: bool, decode: bool) -> OVDict:
        arrays: dict[ConstOutput, Any] = {}
        for slot in self._outputs:
            storage = slot.storage
            if storage.element_type is ElementType.string:
                if share:
                    warnings.warn(
                        "an output of strings can't be shared and is copied",
                        RuntimeWarning,
                        stacklevel=3,
                    )
                tensor = Tensor.of(storage)
                arrays[slot.port] = tensor.str_data if decode else tensor.bytes_data
            else:
                arrays[slot.port] = storage.array[...] if share else storage.array.copy()
        return OVDict(arrays)

    def _slot(self, key: str | ConstOutput) -> Slot:
        match key:
            case ConstOutput():
                for slot in self._slots:
                    if slot.port == key or _is_same_port(slot.port, key):
                        return slot
            case str():
                for slot in self._slots:
                    if key in slot.port.facts.names:
                        return slot
            case _:
                raise WrongType(f"a tensor is named by name or port, got {key!r}")
        known = [min(s.port.facts.names, default="?") for s in self._slots]
        raise PortNotFound(f"the model has no port {key!r}; it has: {', '.join(known)}")

    def _set_by_index(self, slots: list[Slot], tensors: dict[int, Tensor], kind: str) -> None:
        self._require_idle()
        for index, tensor in _checked_dict(tensors).items():
            if not isinstance(index, int):
                raise WrongType(f"tensors are set by index, got {index!r}")
            if not isinstance(tensor, Tensor):
                raise WrongValue(f"a Tensor is expected, got {type(tensor).__name__}")
            _at(slots, index, kind).set(tensor.storage)


def _attend(request: InferRequest) -> Callable[[Ticket], None]:
    """Return what the attendant runs. It does not keep the request alive."""
    reference = weakref.ref(request)

    def attended(ticket: Ticket) -> None:
        living = reference()
        if living is not None:
            living._run_callback(ticket)

    return attended


def _release(handle: "ModelHandle", request: int) -> None:
    handle.connection.link.send_later(handle.channel, encode(ReleaseRequest(request)))


def _is_same_port(mine: ConstOutput, other: ConstOutput) -> bool:
    """Whether a port of another compilation of the same model means this one."""
    return (
        mine.is_input == other.is_input
        and mine.position == other.position
        and mine.facts.node == other.facts.node
        and mine.facts.names == other.facts.names
    )


def _at(slots: list[Slot], index: Any, kind: str) -> Slot:
    if index is _ONLY:
        if len(slots) != 1:
            raise PortNotFound(f"the model has {len(slots)} {kind}s; say which by its index")
        return slots[0]
    if isinstance(index, bool) or not hasattr(index, "__index__") or int(index) < 0:
        raise WrongType(f"the index of an {kind} is a whole number from 0, got {index!r}")
    if int(index) >= len(slots):
        raise PortNotFound(f"the model has {len(slots)} {kind}s, got index {index}")
    return slots[int(index)]


def _index_and_tensor(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, Tensor]:
    if len(arguments) + len(keywords) == 1:
        index, (tensor,) = _ONLY, _take(arguments, keywords, ("tensor",))
    else:
        index, tensor = _take(arguments, keywords, ("index",), ("tensor",))
    _require_tensor(tensor)
    return index, tensor


def _take(
    arguments: tuple[Any, ...], keywords: dict[str, Any], *names: tuple[str, ...]
) -> list[Any]:
    """Return the arguments of a member that has several forms; each may have several names."""
    values = list(arguments)
    for choices in names[len(values) :]:
        values += [keywords.pop(name) for name in choices if name in keywords]
    if len(values) != len(names) or keywords:
        expected = ", ".join("/".join(choices) for choices in names)
        raise WrongType(f"the arguments must be: {expected}")
    return values


def _require_tensor(tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise WrongType(
            f"a Tensor is expected, got {type(tensor).__name__}; "
            "make one with Tensor(array, shared_memory=True)"
        )


def _checked_dict(tensors: Any) -> dict[Any, Any]:
    if not isinstance(tensors, dict):
        raise WrongType(f"a dict of tensors is expected, got {type(tensors).__name__}")
    return tensors


def _milliseconds(timeout: Any) -> int:
    if isinstance(timeout, float | str) or not hasattr(timeout, "__index__"):
        raise WrongType(f"a timeout is a whole number of milliseconds, got {timeout!r}")
    if int(timeout) > WAIT_MS_MAX:
        raise WrongType(f"a timeout is at most {WAIT_MS_MAX} milliseconds, got {timeout}")
    if int(timeout) < 0:
        raise WrongValue(f"a timeout can't be negative, got {timeout}")
    return int(timeout)
