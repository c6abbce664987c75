"""The messages between the supervisor and a worker, on the pipe that joins the two. Pure.

The pipe is a socket pair (AF_UNIX, SOCK_SEQPACKET), so descriptors travel with their message. Calls
carry ``call`` and are answered once; the other orders have no answer. The first order is Setup.
"""

from collections.abc import Callable
from typing import NamedTuple

from inferd.shm.codec import reader
from inferd.shm.ports import Port
from inferd.shm.wire import Reshape

# --- Supervisor to worker -------------------------------------------------------------------------


class Setup(NamedTuple):
    """Open this device; listen at this path."""

    device: str
    generation: int
    engine: str
    engine_device: str
    properties: dict[str, str]
    cores: tuple[int, ...]
    path: str
    limits: dict[str, int]
    keep_alive_s: float
    spin_us: int


class OpenSession(NamedTuple):
    session: int
    token: bytes
    uid: int
    pid: int


class CloseSession(NamedTuple):
    session: int


class AttachSegment(NamedTuple):
    """With the segment's descriptor."""

    call: int
    session: int
    segment: int
    byte_size: int
    allow_unsealed: bool


class DetachSegment(NamedTuple):
    session: int
    segment: int


class CompileModel(NamedTuple):
    """With the descriptors of the files."""

    call: int
    session: int
    model: int
    names: tuple[str, ...]
    properties: dict[str, str]
    shapes: tuple[Reshape, ...]


class ReadModel(NamedTuple):
    """With the descriptors of the files."""

    call: int
    session: int
    names: tuple[str, ...]
    shapes: tuple[Reshape, ...]


class AskReport(NamedTuple):
    call: int


class Drain(NamedTuple):
    """Take no new submissions, finish what is there, and leave."""


# --- Worker to supervisor -------------------------------------------------------------------------


class Ready(NamedTuple):
    full_name: str
    engine_version: str


class BootFailed(NamedTuple):
    """The worker can't serve its device, and leaves."""

    code: str
    text: str


class Done(NamedTuple):
    call: int


class CallFailed(NamedTuple):
    call: int
    code: str
    text: str


class ModelCompiled(NamedTuple):
    """``properties`` are JSON texts."""

    call: int
    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    properties: dict[str, str]


class ModelRead(NamedTuple):
    call: int
    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Expel(NamedTuple):
    """A session broke the rules and has to end."""

    session: int
    text: str


class ModelReport(NamedTuple):
    id: int
    name: str
    state: str
    users: int
    inferences: int
    compile_ms: float


class SessionReport(NamedTuple):
    session: int
    requests: int
    in_flight: int


class Report(NamedTuple):
    call: int
    queued: int
    running: int
    completed: int
    failed: int
    cancelled: int
    models: tuple[ModelReport, ...]
    sessions: tuple[SessionReport, ...]


ToWorker = (
    Setup
    | OpenSession
    | CloseSession
    | AttachSegment
    | DetachSegment
    | CompileModel
    | ReadModel
    | AskReport
    | Drain
)
FromWorker = Ready | BootFailed | Done | CallFailed | ModelCompiled | ModelRead | Expel | Report

read_to_worker: Callable[[bytes], ToWorker] = reader(
    Setup,
    OpenSession,
    CloseSession,
    AttachSegment,
    DetachSegment,
    CompileModel,
    ReadModel,
    AskReport,
    Drain,
)
read_from_worker: Callable[[bytes], FromWorker] = reader(
    Ready, BootFailed, Done, CallFailed, ModelCompiled, ModelRead, Expel, Report
)
