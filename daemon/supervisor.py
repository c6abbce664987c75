"""The supervisor: opens sessions, keeps the workers alive, passes descriptors on. It never sees a
request.

    session socket --> Sessions (who, what, how much) --> DeviceWorker (pipe) --> worker
    control socket -->                                <--                     <--

One asyncio loop, plain callbacks, nothing that waits: a call that needs a worker is answered when
the worker has answered.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
import zmq

from inferd import __version__
from inferd.daemon import orders, pipe, status
from inferd.daemon.config import Configuration
from inferd.daemon.device_worker import Answer, DeviceWorker
from inferd.daemon.router import Member, Router
from inferd.daemon.runtime_dir import RuntimeDirectory
from inferd.daemon.session_socket import Connection, SessionSocket
from inferd.daemon.sessions import SessionRecord, Sessions
from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.errors import (
    DaemonDied,
    DaemonStopping,
    DescriptorInvalid,
    DeviceNotFound,
    InferdError,
    NotFound,
    ProtocolViolation,
    VersionMismatch,
    WorkerDied,
)
from inferd.shm.segment import check_descriptor

REPORT_S_MAX: Final = 1.0  # a worker that does not report by then is shown without numbers
OFFERS_MAX: Final = 16  # of one session, not yet compiled
NAME_CHARACTERS_MAX: Final = 64

log = logging.getLogger("inferd.supervisor")


class Supervisor:
    """The daemon's first process."""

    def __init__(
        self, configuration: Configuration, directory: RuntimeDirectory, owner_pid: int | None
    ) -> None:
        """Open the sockets and start the workers; ``owner_pid``: end with this process's tree."""
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._started_s = time.monotonic()
        self._configuration = configuration
        self._directory = directory
        self._sessions = Sessions(configuration.limits)
        self._connections: dict[int, Connection] = {}
        self._offers: dict[tuple[int, int], tuple[tuple[str, ...], list[int]]] = {}
        self._is_stopping = False
        self._owner_pidfd = -1
        self._context = zmq.Context()
        self._control = Router(self._context, directory.socket_path(wire.CONTROL_SOCKET))
        self._devices = {
            name: DeviceWorker(name, settings, configuration, directory.socket_path, self)
            for name, settings in configuration.devices.items()
        }
        self._session_socket = SessionSocket(directory.socket_path(wire.SESSION_SOCKET), self)
        self._loop.add_reader(self._control.fileno(), self._read_control)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        for device in self._devices.values():
            device.spawn()
        if owner_pid is not None:
            self._watch_owner(owner_pid)

    async def run(self) -> None:
        """Serve until told to stop."""
        log.info(
            "inferd %s serves %s, pid %d, devices: %s",
            __version__,
            self._directory.path,
            os.getpid(),
            ", ".join(self._devices),
        )
        await self._over.wait()
        self._loop.remove_reader(self._control.fileno())
        is_drained = all(device.is_gone for device in self._devices.values())
        self._session_socket.close(DaemonDied("the daemon was stopped") if is_drained else None)
        for device in self._devices.values():
            device.end()
        self._control.close()
        self._context.destroy(linger=0)
        log.info("stopped")

    def stop(self) -> None:
        """Drain, then end; the second time, end at once."""
        if self._is_stopping:
            log.warning("stopping at once")
            self._over.set()
            return
        self._is_stopping = True
        drain_s = self._configuration.daemon.drain_s
        log.info("stopping; running inferences have %.0f s to finish", drain_s)
        self._session_socket.close_listener()
        for device in self._devices.values():
            device.drain()
        self._loop.create_task(self._drained(drain_s))

    async def _drained(self, drain_s: float) -> None:
        until_s = time.monotonic() + drain_s
        while time.monotonic() < until_s and not self._over.is_set():
            if all(device.is_gone for device in self._devices.values()):
                break
            await asyncio.sleep(0.01)
        self._over.set()

    def _watch_owner(self, owner_pid: int) -> None:
        try:
            self._owner_pidfd = os.pidfd_open(owner_pid)
        except ProcessLookupError:
            self._over.set()
            return
        self._loop.add_reader(self._owner_pidfd, self._owner_ended)

    def _owner_ended(self) -> None:
        self._loop.remove_reader(self._owner_pidfd)
        os.close(self._owner_pidfd)
        self._owner_pidfd = -2
        self._end_if_orphaned()

    def _end_if_orphaned(self) -> None:
        if self._owner_pidfd == -2 and not len(self._sessions):
            self._over.set()

    # --- Sessions -----------------------------------------------------------------------------

    def session_packet(self, connection: Connection, packet: pipe.Packet) -> None:
        if connection.session is None:
            self._hello(connection, packet.frame)
            return
        record = self._sessions.get(connection.session)
        assert record is not None
        message = wire.read_to_sessions(packet.frame)
        match message:
            case wire.Attach():
                self._try(connection, message.call, lambda: self._attach(record, message, packet))
            case wire.OfferFiles():
                self._try(connection, message.call, lambda: self._offer(record, message, packet))
            case wire.Detach():
                self._detach(record, message.segment)

    def _try(self, connection: Connection, call: int, action: Callable[[], None]) -> None:
        """Do what a call asks for; a typed error is its answer, and the session goes on."""
        try:
            action()
        except InferdError as why:
            self._tell(connection, wire.Failed(call, why.code, str(why)))

    def _tell(self, connection: Connection, message: wire.FromSessions) -> None:
        if not connection.send(message):
            self._session_socket.end(connection)  # it does not read

    def _hello(self, connection: Connection, frame: bytes) -> None:
        hello = read_hello(frame)
        if self._is_stopping:
            raise DaemonStopping("the daemon is shutting down")
        pid, uid, _ = connection.credentials
        record = self._sessions.open(
            secrets.token_bytes(wire.TOKEN_BYTES), uid, pid, hello.name[:NAME_CHARACTERS_MAX]
        )
        connection.session = record.id
        self._connections[record.id] = connection
        self._control.admit(Member(record.id, record.token, uid, pid))
        for device in self._devices.values():
            device.send(_open_session(record))
        log.info("session %d opened: %r, pid %d, uid %d", record.id, record.name, pid, uid)
        devices = [
            wire.Device(name, device.settings.engine) for name, device in self._devices.items()
        ]
        self._tell(
            connection,
            wire.Welcome(
                session=record.id,
                token=record.token,
                version=__version__,
                pid=os.getpid(),
                devices=tuple(devices),
                limits=dict(vars(self._configuration.limits)),
            ),
        )

    def session_ended(self, connection: Connection) -> None:
        session = connection.session
        assert session is not None
        del self._connections[session]
        self._sessions.close(session)
        self._control.forget(session)
        for key in [key for key in self._offers if key[0] == session]:
            _close_all(self._offers.pop(key)[1])
        for device in self._devices.values():
            device.send(orders.CloseSession(session))
        log.info("session %d closed", session)
        self._end_if_orphaned()

    def expel(self, session: int, text: str) -> None:
        connection = self._connections.get(session)
        if connection is not None:
            log.warning("session %d is shut out: %s", session, text)
            self._session_socket.end(connection, ProtocolViolation(text))

    def _attach(self, record: SessionRecord, message: wire.Attach, packet: pipe.Packet) -> None:
        device = self._device(message.device)
        if len(packet.descriptors) != 1:
            raise DescriptorInvalid(f"a segment is one descriptor, got {len(packet.descriptors)}")
        if device.is_gone or message.generation != device.generation:
            raise WorkerDied(f"the worker of device {device.name} ended; compile the model again")
        allow_unsealed = record.uid == os.getuid()
        check_descriptor(packet.descriptors[0], message.byte_size, allow_unsealed=allow_unsealed)
        self._sessions.attach(record, message.segment, message.byte_size, device.name)

        def answered(answer: Answer) -> None:
            if isinstance(answer, InferdError) and self._sessions.get(record.id) is record:
                self._sessions.detach(record, message.segment, device.name)
            self._answer_session(record.id, message.call, answer)

        device.call(
            lambda call: orders.AttachSegment(
                call, record.id, message.segment, message.byte_size, allow_unsealed
            ),
            answered,
            packet.descriptors,
        )

    def _answer_session(self, session: int, call: int, answer: Answer) -> None:
        connection = self._connections.get(session)
        if connection is None:
            return
        if isinstance(answer, InferdError):
            self._tell(connection, wire.Failed(call, answer.code, str(answer)))
        else:
            self._tell(connection, wire.Accepted(call))

    def _detach(self, record: SessionRecord, segment: int) -> None:
        for name in self._sessions.detach(record, segment):
            self._devices[name].send(orders.DetachSegment(record.id, segment))

    def _offer(self, record: SessionRecord, message: wire.OfferFiles, packet: pipe.Packet) -> None:
        names = message.names
        if not names or len(packet.descriptors) != len(names):
            raise DescriptorInvalid(
                f"one descriptor per file, got {len(packet.descriptors)} for {len(names)} files"
            )
        if any("/" in name or name in ("", ".", "..") or "\0" in name for name in names):
            raise ProtocolViolation("the files of a model have plain names, without folders")
        if sum(key[0] == record.id for key in self._offers) >= OFFERS_MAX:
            raise ProtocolViolation(f"at most {OFFERS_MAX} offers may wait for their compilation")
        if (record.id, message.offer) in self._offers:
            raise ProtocolViolation(f"offer {message.offer} was made already")
        self._offers[record.id, message.offer] = (names, packet.descriptors[:])
        packet.descriptors.clear()
        self._answer_session(record.id, message.call, orders.Done(message.call))

    def _device(self, name: str) -> DeviceWorker:
        if name not in self._devices:
            raise DeviceNotFound(
                f"there is no device {name!r}; the daemon serves: {', '.join(self._devices)}"
            )
        return self._devices[name]

    # --- Control ------------------------------------------------------------------------------

    def _read_control(self) -> None:
        for session, frame in self._control.receive():
            record = self._sessions.get(session)
            if record is not None:
                self._obey(record, frame)
        if self._control.has_frames:
            self._loop.call_soon(self._read_control)

    def _obey(self, record: SessionRecord, frame: bytes) -> None:
        call = 0
        try:
            message = wire.read_to_control(frame)
            match message:
                case wire.Compile():
                    call = message.call
                    self._compile(record, message)
                case wire.ReadModel():
                    call = message.call
                    self._read_model(record, message)
                case wire.AskStatus():
                    self._loop.create_task(self._report(record, message.call))
                case wire.Join():
                    raise ProtocolViolation("this connection has joined already")
        except InferdError as why:
            self._answer_control(record.id, wire.Failed(call, why.code, str(why)))

    def _answer_control(self, session: int, message: wire.FromControl) -> None:
        if not self._control.send(session, encode(message)):
            self.expel(session, "it does not read its answers")
        if self._control.has_frames:  # sending may have hidden a wake-up
            self._loop.call_soon(self._read_control)

    def _compile(self, record: SessionRecord, message: wire.Compile) -> None:
        names, descriptors = self._take_offer(record, message.offer)
        try:
            device = self._device(message.device)

            def answered(answer: Answer) -> None:
                if isinstance(answer, InferdError):
                    reply: wire.FromControl = wire.Failed(message.call, answer.code, str(answer))
                else:
                    assert isinstance(answer, orders.ModelCompiled)
                    reply = wire.Compiled(
                        message.call,
                        device.generation,
                        device.endpoint,
                        answer.name,
                        answer.inputs,
                        answer.outputs,
                        answer.properties,
                    )
                self._answer_control(record.id, reply)

            device.call(
                lambda call: orders.CompileModel(
                    call, record.id, message.model, names, message.properties, message.shapes
                ),
                answered,
                descriptors,
            )
        finally:
            _close_all(descriptors)

    def _read_model(self, record: SessionRecord, message: wire.ReadModel) -> None:
        names, descriptors = self._take_offer(record, message.offer)
        try:

            def answered(answer: Answer) -> None:
                if isinstance(answer, InferdError):
                    reply: wire.FromControl = wire.Failed(message.call, answer.code, str(answer))
                else:
                    assert isinstance(answer, orders.ModelRead)
                    reply = wire.ModelRead(message.call, answer.name, answer.inputs, answer.outputs)
                self._answer_control(record.id, reply)

            self._device(message.device).call(
                lambda call: orders.ReadModel(call, record.id, names, message.shapes),
                answered,
                descriptors,
            )
        finally:
            _close_all(descriptors)

    def _take_offer(self, record: SessionRecord, offer: int) -> tuple[tuple[str, ...], list[int]]:
        names, descriptors = self._offers.pop((record.id, offer), ((), []))
        if not names:
            raise NotFound(f"this session made no offer {offer}")
        return names, descriptors

    async def _report(self, record: SessionRecord, call: int) -> None:
        reports: dict[str, orders.Report] = {}
        waiting = {name for name, device in self._devices.items() if not device.is_gone}
        complete = asyncio.Event()

        def answered(name: str, answer: Answer) -> None:
            if isinstance(answer, orders.Report):
                reports[name] = answer
            waiting.discard(name)
            if not waiting:
                complete.set()

        for name in list(waiting):
            self._devices[name].call(
                orders.AskReport,
                lambda answer, name=name: answered(name, answer),  # type: ignore[misc]
            )
        if waiting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(complete.wait(), REPORT_S_MAX)
        may_see_all = record.uid in (0, os.getuid())
        visible = [
            each
            for each in self._sessions
            if each is not record and (may_see_all or each.uid == record.uid)
        ]
        daemon = status.DaemonFacts(
            os.getpid(),
            __version__,
            round(time.monotonic() - self._started_s, 1),
            str(self._directory.path),
        )
        devices = [_device_facts(device, reports) for device in self._devices.values()]
        report = json.dumps(status.render(daemon, devices, visible)).encode()
        self._answer_control(record.id, wire.Status(call, report))

    # --- Workers ------------------------------------------------------------------------------

    def worker_started(self, device: DeviceWorker) -> None:
        for record in self._sessions:
            device.send(_open_session(record))

    def worker_lost(self, device: DeviceWorker, text: str) -> None:
        self._sessions.lose_device(device.name)
        for connection in list(self._connections.values()):
            self._tell(connection, wire.WorkerLost(device.name, device.generation, text))


def read_hello(frame: bytes) -> wire.Hello:
    """Read the first message of a session; a client of another version is told both versions."""
    protocol = wire.protocol_of(frame)
    if protocol is not None and protocol != wire.PROTOCOL:
        raise VersionMismatch(
            f"this daemon (inferd {__version__}) speaks protocol {wire.PROTOCOL}, the client "
            f"protocol {protocol}; install the same version of inferd for both"
        )
    return wire.read_hello(frame)


def _open_session(record: SessionRecord) -> orders.OpenSession:
    return orders.OpenSession(record.id, record.token, record.uid, record.pid)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _device_facts(device: DeviceWorker, reports: dict[str, orders.Report]) -> status.DeviceFacts:
    rss_bytes = 0
    if device.pid is not None:
        with contextlib.suppress(psutil.Error):
            rss_bytes = psutil.Process(device.pid).memory_info().rss
    return status.DeviceFacts(
        name=device.name,
        engine=device.settings.engine,
        full_name=device.full_name,
        pid=device.pid,
        generation=device.generation,
        state=device.state.value,
        rss_bytes=rss_bytes,
        report=reports.get(device.name),
    )


def serve(
    configuration: Configuration,
    directory: RuntimeDirectory,
    owner_pid: int | None,
    ready: Callable[[], Any],
) -> None:
    """Run a supervisor until it is told to stop; ``ready`` is called once clients may connect."""

    async def main() -> None:
        supervisor = Supervisor(configuration, directory, owner_pid)
        ready()
        await supervisor.run()

    asyncio.run(main())
