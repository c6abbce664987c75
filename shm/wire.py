"""The messages between client and daemon, declared once; one reader per receiver. Pure.

    client                          daemon (supervisor)              worker of one device
      |-- session socket: Hello ------->|
      |<------- Welcome | Refused ------|
      |-- OfferFiles + descriptors ---->|       the files of a model
      |<------- Accepted ---------------|
      |-- control: Join, Compile ------>|-- to the device's worker -------->|
      |<------- Compiled | Failed ------|<----------------------------------|
      |-- Attach + descriptor --------->|-- descriptor -------------------->|
      |<------- Accepted ---------------|<----------------------------------|
      |-- requests: Join, Bind ------------------------------------------->|
      |-- Submit ---------------------------------------------------------->|
      |<----------------------------------------------------- Completed ----|

The session socket (AF_UNIX, SOCK_SEQPACKET) is the session: when it ends, everything ends. Every id
is chosen by the client, counts within its session only, and is never used twice. Calls carry
``call`` and are answered by exactly one message with the same ``call``; Bind, Submit, Cancel and
the releases have no ``call``: a Bind that fails shows at the next Submit, and every Submit is
answered by exactly one Completed, CompletedElastic or Ended of the same ``sequence``. Releasing
what is not known is ignored.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgpack

from inferd.shm.codec import reader
from inferd.shm.layouts import TensorLayout
from inferd.shm.ports import Bounds, Port

PROTOCOL: Final = 1
MESSAGE_BYTES_MAX: Final = 64 * 1024  # tensors never travel; a larger frame is a mistake
REPORT_BYTES_MAX: Final = 4 << 20  # what a daemon may answer: a status with many sessions
DESCRIPTORS_MAX: Final = 16  # per message on the session socket: a model and its weight files
TOKEN_BYTES: Final = 16
SESSION_SOCKET: Final = "session"
CONTROL_SOCKET: Final = "control"


# --- Session socket ---------------------------------------------------------------------------


class Hello(NamedTuple):
    """First message of a client. ``protocol`` stays the first field in every version."""

    protocol: int
    version: str
    name: str


class Device(NamedTuple):
    """A device that the daemon serves, by the name that `compile_model` takes."""

    name: str
    engine: str


class Welcome(NamedTuple):
    """The session is open; ``token`` introduces its ZeroMQ connections. Limits as configured."""

    session: int
    token: bytes
    version: str
    pid: int
    devices: tuple[Device, ...]
    limits: dict[str, int]


class Refused(NamedTuple):
    """The session is not opened, or ends now."""

    code: str
    text: str


class OfferFiles(NamedTuple):
    """With one descriptor per name: the model's file first, then the files that it refers to."""

    call: int
    offer: int
    names: tuple[str, ...]


class Attach(NamedTuple):
    """With one descriptor: make a segment known to a device's worker of this generation."""

    call: int
    segment: int
    byte_size: int
    device: str
    generation: int


class Detach(NamedTuple):
    """Forget a segment; requests that are bound to it keep it."""

    segment: int


class Accepted(NamedTuple):
    """A call on the session socket has been carried out, by the device's worker too."""

    call: int


class Failed(NamedTuple):
    """A call failed. ``call`` is 0 where the frame could not be read far enough to know it."""

    call: int
    code: str
    text: str


class WorkerLost(NamedTuple):
    """A device's worker ended, with everything that this session had there."""

    device: str
    generation: int
    text: str


# --- Control socket (ZeroMQ) ------------------------------------------------------------------


class Join(NamedTuple):
    """First message on every ZeroMQ connection."""

    token: bytes


class Reshape(NamedTuple):
    """The dimensions that an input is to have instead of those in the files."""

    port: int
    bounds: tuple[Bounds, ...]


class Compile(NamedTuple):
    """Compile the files of an offer; the model keeps this id until it is released."""

    call: int
    model: int
    offer: int
    device: str
    properties: dict[str, str]
    shapes: tuple[Reshape, ...]


class ReadModel(NamedTuple):
    """Tell what the files of an offer have for inputs and outputs, without compiling them."""

    call: int
    offer: int
    device: str
    shapes: tuple[Reshape, ...]


class ModelRead(NamedTuple):
    call: int
    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Compiled(NamedTuple):
    """The model is ready in the worker that listens at ``endpoint``, a file name in the directory.

    ``name`` is the model's own; ``properties`` are read-only facts, as JSON texts.
    """

    call: int
    generation: int
    endpoint: str
    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    properties: dict[str, str]


class AskStatus(NamedTuple):
    """What does the daemon do? Only the sessions of one's own user are told of, but to root."""

    call: int


class Status(NamedTuple):
    """``report`` is the JSON that ``inferd status --json`` prints."""

    call: int
    report: bytes


# --- A worker's request socket (ZeroMQ) -------------------------------------------------------


class Binding(NamedTuple):
    """The tensor of one port, counted over the inputs or over the outputs.

    ``room_bytes`` is what the block has from the layout's offset on: results whose size is known
    only after the run, and strings, may use all of it.
    """

    port: int
    layout: TensorLayout
    room_bytes: int


class Bind(NamedTuple):
    """Set tensors of a request; the first Bind of an id makes the request."""

    request: int
    model: int
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]


class Submit(NamedTuple):
    """Run a request. ``sequence`` counts up within the request."""

    request: int
    sequence: int


class Cancel(NamedTuple):
    """End a submission early. Not answered itself: the submission's end is the answer."""

    request: int
    sequence: int


class ReleaseRequest(NamedTuple):
    """Forget a request. One that runs goes on to its end."""

    request: int


class ReleaseModel(NamedTuple):
    """Give back the use of a model; its requests keep it."""

    model: int


class Result(NamedTuple):
    """An output that ended up with this shape. ``is_held``: the room was too small; Fetch it."""

    port: int
    shape: tuple[int, ...]
    byte_size: int
    is_held: bool


class Completed(NamedTuple):
    """A submission succeeded. The times, in nanoseconds, are those of CLOCK_MONOTONIC."""

    request: int
    sequence: int
    started_ns: int
    finished_ns: int


class CompletedElastic(NamedTuple):
    """As Completed, for a model with outputs whose size was not known before."""

    request: int
    sequence: int
    started_ns: int
    finished_ns: int
    results: tuple[Result, ...]


class Ended(NamedTuple):
    """A submission ended without results: it failed, was refused, or was cancelled."""

    request: int
    sequence: int
    code: str
    text: str


class Fetch(NamedTuple):
    """Copy an output of the last run to a block with more room."""

    call: int
    request: int
    binding: Binding


class AskStates(NamedTuple):
    """What are the variables of a request, and how large are they now?"""

    call: int
    request: int


class StateFacts(NamedTuple):
    name: str
    element_type: str
    shape: tuple[int, ...]


class States(NamedTuple):
    call: int
    states: tuple[StateFacts, ...]


class GetState(NamedTuple):
    """Copy the value of a variable to a block."""

    call: int
    request: int
    state: int
    layout: TensorLayout


class SetState(NamedTuple):
    """Copy the value of a variable from a block."""

    call: int
    request: int
    state: int
    layout: TensorLayout


class ResetState(NamedTuple):
    """Set a variable, or all of them (nil), to what the model starts with."""

    call: int
    request: int
    state: int | None


class AskProfile(NamedTuple):
    """How long did each node of the model take?"""

    call: int
    request: int


class ProfileRow(NamedTuple):
    """``status``: 0 not run, 1 optimized out, 2 executed."""

    status: int
    real_us: int
    cpu_us: int
    node_name: str
    exec_type: str
    node_type: str


class Profile(NamedTuple):
    call: int
    rows: tuple[ProfileRow, ...]


ToSessions = Hello | OfferFiles | Attach | Detach
FromSessions = Welcome | Refused | Accepted | Failed | WorkerLost
ToControl = Join | Compile | ReadModel | AskStatus
FromControl = Compiled | ModelRead | Status | Failed
WorkerCall = Fetch | AskStates | GetState | SetState | ResetState | AskProfile
ToWorker = Join | Bind | Submit | Cancel | ReleaseRequest | ReleaseModel | WorkerCall
FromWorker = Completed | CompletedElastic | Ended | Accepted | States | Profile | Failed

read_hello: Callable[[bytes], Hello] = reader(Hello)
read_to_sessions: Callable[[bytes], OfferFiles | Attach | Detach] = reader(
    OfferFiles, Attach, Detach
)
read_from_sessions: Callable[[bytes], FromSessions] = reader(
    Welcome, Refused, Accepted, Failed, WorkerLost
)
read_to_control: Callable[[bytes], ToControl] = reader(Join, Compile, ReadModel, AskStatus)
read_from_control: Callable[[bytes], FromControl] = reader(Compiled, ModelRead, Status, Failed)
read_to_worker: Callable[[bytes], ToWorker] = reader(
    Submit,
    Join,
    Bind,
    Cancel,
    ReleaseRequest,
    ReleaseModel,
    Fetch,
    AskStates,
    GetState,
    SetState,
    ResetState,
    AskProfile,
)
read_from_worker: Callable[[bytes], FromWorker] = reader(
    Completed, CompletedElastic, Ended, Accepted, States, Profile, Failed
)


def protocol_of(frame: bytes) -> int | None:
    """Return the protocol version that a Hello of any version names, or None for another frame."""
    try:
        name, protocol, *_ = msgpack.unpackb(frame)
    except (TypeError, ValueError, msgpack.exceptions.UnpackException, RecursionError):
        return None
    return protocol if name == "Hello" and type(protocol) is int else None
