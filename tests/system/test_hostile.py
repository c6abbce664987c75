"""Whatever a peer sends, it gets a typed answer or is shut out, and nobody else notices."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import models
import msgpack
import numpy as np
import pytest
import zmq
from daemons import Daemon, descriptors, maps, wait_until
from hostile import RawSession

import inferd.client as ov
from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.layouts import TensorLayout
from inferd.shm.segment import Segment, sealed_memory

MIB = 1 << 20
ROW = np.array([[-1, 2, -3, 4]], np.float32)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all these tests: it has to stand each of them."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Daemon(tmp_path_factory.mktemp("hostile")) as daemon,
    ):
        patch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        yield daemon


@pytest.fixture
def neighbour(daemon: Daemon) -> Iterator[ov.CompiledModel]:
    """Another session, which has to go on as if nothing had happened."""
    model = ov.Core().compile_model(models.relu((1, 4)), "CPU")
    assert model(ROW)[0].tolist() == [[0, 2, 0, 4]]
    yield model
    assert model(ROW)[0].tolist() == [[0, 2, 0, 4]]
    assert daemon.process.poll() is None
    assert daemon.status()["devices"][0]["generation"] == 1


@pytest.fixture
def session(daemon: Daemon, neighbour: ov.CompiledModel) -> Iterator[RawSession]:
    with RawSession(daemon.runtime_dir) as session:
        yield session


NOT_MESSAGES = {
    "no msgpack": b"\xc1\xff\x00",
    "empty array": b"\x90",
    "truncated": b"\x92\xa5Hello",
    "a number": b"\x05",
    "unknown message": msgpack.packb(["Launch", 1]),
    "missing fields": msgpack.packb(["Hello", 1]),
    "extra fields": msgpack.packb(["Hello", 1, "a", "b", "c"]),
    "wrong type": msgpack.packb(["Hello", wire.PROTOCOL, 5, "b"]),
    "nested 10000 deep": b"\x91" * 10_000,
    "promised 4 GiB": b"\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("frame", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
def test_what_is_no_hello_is_refused(
    daemon: Daemon, neighbour: ov.CompiledModel, frame: bytes
) -> None:
    with RawSession(daemon.runtime_dir, hello=frame) as session:
        assert isinstance(session.answer, wire.Refused)
        assert session.answer.code == "protocol_violation"
        assert session.receive() is None


def test_a_client_of_another_version_is_told_both_versions(
    daemon: Daemon, neighbour: ov.CompiledModel
) -> None:
    hello = msgpack.packb(["Hello", 999, "from", "the", "future"])
    with RawSession(daemon.runtime_dir, hello=hello) as session:
        assert isinstance(session.answer, wire.Refused)
        assert session.answer.code == "version_mismatch"
        assert "999" in session.answer.text
        assert f"protocol {wire.PROTOCOL}" in session.answer.text


@pytest.mark.parametrize("frame", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
@pytest.mark.parametrize("endpoint", ["control", "worker"])
def test_what_is_no_message_gets_a_typed_answer(
    session: RawSession, frame: bytes, endpoint: str
) -> None:
    name = wire.CONTROL_SOCKET if endpoint == "control" else session.compile(models.relu()).endpoint
    dealer = session.dealer(name, session.welcome.token)
    dealer.send(frame)
    answer = wire.read_from_worker(dealer.recv())
    assert isinstance(answer, wire.Failed)
    assert answer.code == "protocol_violation"


def test_a_header_of_one_gibibyte_ends_the_connection_only(
    daemon: Daemon, session: RawSession
) -> None:
    before = resident_bytes(daemon.process.pid)
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(str(daemon.runtime_dir / wire.CONTROL_SOCKET))
    raw.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32)
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    raw.sendall(bytes([4, len(ready)]) + ready)
    raw.sendall(b"\x02" + struct.pack(">Q", 1 << 30) + b"x" * 1000)
    wait_until(lambda: ends(raw), "the end of the connection")
    raw.close()
    assert resident_bytes(daemon.process.pid) < before + 64 * MIB


def test_a_token_opens_nothing_for_another_process(
    daemon: Daemon, neighbour: ov.CompiledModel, session: RawSession
) -> None:
    child = os.fork()
    if child == 0:
        thief = RawSession(daemon.runtime_dir)
        dealer = thief.dealer(wire.CONTROL_SOCKET, session.welcome.token)
        answer = wire.read_from_control(dealer.recv())
        os._exit(0 if isinstance(answer, wire.Failed) and answer.code == "access_denied" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("first", [encode(wire.Submit(1, 1)), encode(wire.Join(b"x" * 16))])
def test_who_has_not_joined_is_refused(session: RawSession, first: bytes) -> None:
    dealer = session.dealer(session.compile(models.relu()).endpoint)
    dealer.send(first)
    answer = wire.read_from_worker(dealer.recv())
    assert isinstance(answer, wire.Failed)
    assert answer.code in ("protocol_violation", "access_denied")


def test_ids_of_another_session_are_as_unknown_as_any(
    session: RawSession, neighbour: ov.CompiledModel
) -> None:
    request = neighbour.create_infer_request()
    request.infer(ROW)
    worker = session.dealer(session.compile(models.relu()).endpoint, session.welcome.token)
    answers = set()
    for number in range(1, 40):  # the neighbour's requests and models are among these
        worker.send(encode(wire.Cancel(number, 1)))
        worker.send(encode(wire.ReleaseRequest(number)))
        worker.send(encode(wire.ReleaseModel(number + 1)))
        worker.send(encode(wire.Submit(number, 1)))
        ended = wire.read_from_worker(worker.recv())
        assert isinstance(ended, wire.Ended)
        answers.add((ended.code, ended.text.replace(str(number), "N")))
    assert answers == {("not_found", "this session has no request N on this device")}
    assert request.infer(ROW)[0].tolist() == [[0, 2, 0, 4]]


LAYOUTS = {
    "beyond the end": TensorLayout(1, 1 << 20, "f32", (1, 16), None),
    "over the end": TensorLayout(1, (1 << 20) - 32, "f32", (1, 16), None),
    "huge offset": TensorLayout(1, (1 << 63) - 1, "f32", (1, 16), None),
    "huge shape": TensorLayout(1, 0, "f32", (1 << 62, 1 << 62), None),
    "misaligned": TensorLayout(1, 2, "f32", (1, 16), None),
    "unknown type": TensorLayout(1, 0, "object", (1, 16), None),
    "dynamic type": TensorLayout(1, 0, "dynamic", (1, 16), None),
    "far strides": TensorLayout(1, 0, "f32", (1, 16), (0, 1 << 40)),
    "too few strides": TensorLayout(1, 0, "f32", (1, 16), (4,)),
    "unknown segment": TensorLayout(77, 0, "f32", (1, 16), None),
    "wrong type": TensorLayout(1, 0, "f64", (1, 16), None),
    "wrong shape": TensorLayout(1, 0, "f32", (16,), None),
    "rank 1000": TensorLayout(1, 0, "f32", (1,) * 1000, None),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_hostile_layout_fails_its_submission_only(
    session: RawSession, layout: TensorLayout, side: str
) -> None:
    compiled = session.compile(models.relu())
    segment = attach(session, Segment.create(MIB))
    worker = session.dealer(compiled.endpoint, session.welcome.token)
    good = wire.Binding(0, TensorLayout(1, 0, "f32", (1, 16), None), 0)
    bad = wire.Binding(0, layout, 0)
    inputs, outputs = ((bad,), (good,)) if side == "input" else ((good,), (bad,))
    worker.send(encode(wire.Bind(1, 1, inputs, outputs)))
    assert submit(worker, 1) in ("layout_invalid", "not_found", "tensor_mismatch")
    worker.send(encode(wire.Bind(1, 1, (good,), (good,))))
    assert submit(worker, 2) == ""
    assert segment.byte_size == MIB


def test_only_sealed_shared_memory_is_attached(
    daemon: Daemon, session: RawSession, tmp_path: Path
) -> None:
    def attempt(descriptor: int, byte_size: int = MIB) -> str:
        answer = session.call(wire.Attach(1, 1, byte_size, "CPU", 1), [descriptor])
        os.close(descriptor)
        assert isinstance(answer, wire.Failed), answer
        return answer.code

    before = descriptors(daemon.process.pid), descriptors(daemon.worker_pid())
    for _ in range(20):
        assert attempt(os.open(tmp_path, os.O_RDONLY)) == "descriptor_invalid"
        assert attempt(os.pipe2(os.O_CLOEXEC)[0]) == "descriptor_invalid"
        assert attempt(file_of(tmp_path, MIB)) == "descriptor_invalid"
        assert attempt(sealed_memory(MIB), byte_size=2 * MIB) == "descriptor_invalid"
        assert attempt(sealed_memory(MIB), byte_size=0) == "descriptor_invalid"
        assert attempt(os.open("/dev/null", os.O_RDWR)) == "descriptor_invalid"
    assert (descriptors(daemon.process.pid), descriptors(daemon.worker_pid())) == before


def test_refused_operations_leak_nothing(daemon: Daemon, session: RawSession) -> None:
    """Two hundred refused registrations leaked two hundred descriptors elsewhere."""
    worker_pid = daemon.worker_pid()
    control = session.dealer(wire.CONTROL_SOCKET, session.welcome.token)

    def refuse_everything() -> None:
        memory = sealed_memory(4096)
        for message in (
            wire.Attach(1, 1, 1 << 40, "CPU", 1),
            wire.Attach(1, 1, 4096, "GPU.9", 1),
            wire.Attach(1, 1, 4096, "CPU", 99),
            wire.OfferFiles(1, 5, ("../etc/passwd",)),
            wire.OfferFiles(1, 5, ("a", "b")),
            wire.OfferFiles(1, 5, ()),
        ):
            assert isinstance(session.call(message, [memory]), wire.Failed)
        os.close(memory)
        control.send(encode(wire.Compile(1, 1, 99, "CPU", {}, ())))
        assert isinstance(wire.read_from_control(control.recv()), wire.Failed)

    refuse_everything()
    before = [(descriptors(pid), maps(pid)) for pid in (daemon.process.pid, worker_pid)]
    for _ in range(200):
        refuse_everything()
    after = [(descriptors(pid), maps(pid)) for pid in (daemon.process.pid, worker_pid)]
    assert after == before


def test_a_client_that_reads_nothing_is_shut_out_alone(daemon: Daemon, session: RawSession) -> None:
    worker = session.dealer(session.compile(models.relu()).endpoint, session.welcome.token)
    worker.sndtimeo = 1000
    for number in range(100_000):
        try:
            worker.send(encode(wire.Submit(1, number)))
        except zmq.Again:  # the worker takes no more of it
            break
    status = daemon.status()
    assert status["devices"][0]["state"] == "ready"


def submit(worker: "zmq.Socket[bytes]", sequence: int) -> str:
    """Run request 1 and return the code with which it ended."""
    worker.send(encode(wire.Submit(1, sequence)))
    ended = wire.read_from_worker(worker.recv())
    if isinstance(ended, wire.Ended):
        return ended.code
    assert isinstance(ended, wire.Completed)
    return ""


def attach(session: RawSession, segment: Segment) -> Segment:
    answer = session.call(wire.Attach(1, 1, segment.byte_size, "CPU", 1), [segment.descriptor])
    assert isinstance(answer, wire.Accepted), answer
    return segment


def file_of(folder: Path, byte_size: int) -> int:
    descriptor = os.open(folder / "file", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, byte_size)
    return descriptor


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def ends(raw: socket.socket) -> bool:
    """Whether the other side has closed, once what it sent before is read."""
    raw.settimeout(0.05)
    try:
        return raw.recv(4096) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
