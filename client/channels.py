"""The three kinds of connection of a session, behind one interface: the session socket, the control
socket, and a request socket per device. None ever blocks; whoever calls holds the link's lock."""

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import zmq

from inferd.client.session import Pending
from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.errors import DaemonDied

# Plain numbers: combining pyzmq's enumerations costs as much as the calls that take them.
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)


class Channel(Protocol):
    """``pending`` are the tickets that wait for an answer from here."""

    pending: Pending

    def fileno(self) -> int: ...

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None: ...

    def receive(self, most: int) -> list[Any]:
        """Return the messages that are there, but no more than so many.

        Raises
        ------
        DaemonDied
            The other side has closed.
        """

    def close(self) -> None: ...


class SessionChannel:
    """The session socket: descriptors, and the end of the session."""

    def __init__(self, endpoint: socket.socket) -> None:
        endpoint.setblocking(False)
        self._socket = endpoint
        self.pending = Pending()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._socket, [frame], descriptors)
        except (BlockingIOError, ConnectionError) as why:
            raise DaemonDied(f"the daemon does not read this session: {why}") from why

    def receive(self, most: int) -> list[wire.FromSessions]:
        messages: list[wire.FromSessions] = []
        while len(messages) < most:
            try:
                frame = self._socket.recv(wire.MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return messages
            except ConnectionError:
                frame = b""
            if frame:
                messages.append(wire.read_from_sessions(frame))
            elif messages:  # what came before the end counts; the end is there the next time
                return messages
            else:
                raise DaemonDied("the daemon ended")
        return messages

    def close(self) -> None:
        self._socket.close()


class ZeroMQChannel:
    """A DEALER that joined with the session's token."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        path: str,
        token: bytes,
        read: Callable[[bytes], Any],
    ) -> None:
        self._read = read
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = 0  # bounded by what may be in flight
        self._socket.rcvhwm = 0
        self._socket.maxmsgsize = wire.REPORT_BYTES_MAX
        self._socket.connect(f"ipc://{path}")
        self._socket.send(encode(wire.Join(token)), _NOBLOCK)
        self._descriptor = int(self._socket.getsockopt(zmq.FD))
        self.pending = Pending()

    def fileno(self) -> int:
        """Readable when something may have come. Sending can hide that: receive after each send."""
        return self._descriptor

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        self._socket.send(frame, _NOBLOCK)

    def receive(self, most: int) -> list[Any]:
        messages: list[Any] = []
        while len(messages) < most:
            if not int(self._socket.getsockopt(_EVENTS)) & _POLLIN:  # cheaper than recv in vain
                break
            messages.append(self._read(self._socket.recv(_NOBLOCK)))
        return messages

    def close(self) -> None:
        self._socket.close(linger=0)
