"""The session socket: opens sessions, learns from the kernel who they are, notices their end.

A session ends when its process does (its pidfd) or when it closes the socket, whichever comes
first; end-of-file alone is not enough, because a forked child keeps the connection open.
"""

import asyncio
import logging
import os
import socket
import struct
from typing import Any, Final, NamedTuple, Protocol

from inferd.daemon import pipe
from inferd.shm.codec import encode
from inferd.shm.errors import InferdError
from inferd.shm.wire import MESSAGE_BYTES_MAX, Refused

HELLO_S_MAX: Final = 5.0
STRANGERS_MAX: Final = 256  # connections that have not said hello; beyond it new ones are closed
_SO_PEERPIDFD: Final = 77  # Linux 6.5; not in Python's socket

log = logging.getLogger("inferd.supervisor")


class Credentials(NamedTuple):
    """The kernel's word on who connected."""

    pid: int
    uid: int
    gid: int


class Connection:
    """One client. ``session`` is None until its hello was accepted."""

    def __init__(self, endpoint: socket.socket) -> None:
        self.socket = endpoint
        self.session: int | None = None
        self.credentials = Credentials(
            *struct.unpack("3i", endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        )
        self.pidfd = _pidfd(endpoint, self.credentials.pid)

    def send(self, message: tuple[Any, ...]) -> bool:
        """Send a message; False if the client does not read."""
        return pipe.send(self.socket, encode(message))


class Visitors(Protocol):
    """What the session socket tells the supervisor."""

    def session_packet(self, connection: Connection, packet: pipe.Packet) -> None:
        """A packet came; it may be taken, or refused by raising an `InferdError`."""

    def session_ended(self, connection: Connection) -> None: ...


class SessionSocket:
    """The listening socket and its connections."""

    def __init__(self, path: str, visitors: Visitors) -> None:
        self._visitors = visitors
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self._listener.bind(path)
        os.chmod(path, 0o666)  # the directory's mode is the gate
        self._listener.listen(1024)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close_listener(self) -> None:
        """Take no new connections."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def close(self, why: InferdError | None = None) -> None:
        """End all connections, with a last word if everything that they asked for is answered."""
        for connection in list(self._connections):
            self.end(connection, why)

    def end(self, connection: Connection, why: InferdError | None = None) -> None:
        """End a connection, with a last word if there is a reason."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._loop.remove_reader(connection.socket.fileno())
        if connection.pidfd >= 0:
            self._loop.remove_reader(connection.pidfd)
            os.close(connection.pidfd)
        if why is not None:
            connection.send(Refused(why.code, str(why)))
        connection.socket.close()
        if connection.session is not None:
            self._visitors.session_ended(connection)

    def _accept(self) -> None:
        try:
            endpoint, _ = self._listener.accept()
        except OSError as why:  # out of descriptors, or the client has gone
            log.warning("can't accept a session: %s", why.strerror)
            return
        strangers = sum(each.session is None for each in self._connections)
        if strangers >= STRANGERS_MAX:
            endpoint.close()
            return
        endpoint.setblocking(False)
        try:
            connection = Connection(endpoint)
        except OSError as why:
            log.warning("can't identify a client: %s", why.strerror)
            endpoint.close()
            return
        self._connections.add(connection)
        self._loop.add_reader(endpoint.fileno(), self._read, connection)
        if connection.pidfd >= 0:
            self._loop.add_reader(connection.pidfd, self.end, connection)
        self._loop.call_later(HELLO_S_MAX, self._end_stranger, connection)

    def _end_stranger(self, connection: Connection) -> None:
        if connection.session is None:
            self.end(connection)

    def _read(self, connection: Connection) -> None:
        """Take one packet: the loop comes back for the next, after everybody else's turn."""
        try:
            packet = pipe.receive(connection.socket, MESSAGE_BYTES_MAX)
            if packet is None:
                return
            if not packet.frame:
                packet.close()
                self.end(connection)
                return
            try:
                self._visitors.session_packet(connection, packet)
            finally:
                packet.close()
        except InferdError as why:
            self.end(connection, why)


def _pidfd(endpoint: socket.socket, pid: int) -> int:
    """Return a descriptor that becomes readable when the peer's process ends; -1 if it can't be had
    (a client in another PID namespace): then its end-of-file has to do."""
    try:
        return endpoint.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        pass
    try:
        return os.pidfd_open(pid)  # a kernel before 6.5
    except OSError:
        return -1
