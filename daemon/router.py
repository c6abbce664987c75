"""A ZeroMQ ROUTER whose peers are sessions: who sent this frame, and is it really them?

The first frame of a connection is Join with the session's token, from the very process that opened
the session: the kernel's credentials of the connection ("Peer-Address") must say so. From then on
the routing id, which libzmq made and nobody else can claim, stands for the session.
"""

import contextlib
import hmac
import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import zmq

from inferd.shm.codec import encode, reader
from inferd.shm.errors import AccessDenied, InferdError, ProtocolViolation
from inferd.shm.wire import MESSAGE_BYTES_MAX, Failed, Join

ROUTING_ID_BYTES: Final = 5  # of ids that libzmq makes; they begin with a zero, claimed ones can't
UNSENT_FRAMES_MAX: Final = 8192  # per client: more than any client may have in flight
# Plain numbers: combining pyzmq's enumerations costs as much as the calls that take them.
_EVENTS: Final = int(zmq.EVENTS)
_RCVMORE: Final = int(zmq.RCVMORE)
_POLLIN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)

_read_join: Callable[[bytes], Join] = reader(Join)


class Member(NamedTuple):
    """Who may join: the credentials that the session socket showed."""

    session: int
    token: bytes
    uid: int
    pid: int


class Router:
    """The ROUTER socket of the supervisor or of a worker. One thread owns it."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str) -> None:
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.maxmsgsize = MESSAGE_BYTES_MAX
        self._socket.sndhwm = UNSENT_FRAMES_MAX
        self._socket.router_mandatory = True
        self._socket.handshake_ivl = 5000
        self._socket.backlog = 1024
        self._socket.bind(f"ipc://{path}")
        os.chmod(path, 0o666)  # connecting takes the right to write; the directory is the gate
        self._members: dict[int, Member] = {}
        self._sessions: dict[bytes, int] = {}
        self._routes: dict[int, bytes] = {}

    def fileno(self) -> int:
        """Readable when something may have come; only an empty `receive` makes it quiet again."""
        return int(self._socket.getsockopt(zmq.FD))

    @property
    def has_frames(self) -> bool:
        """Whether `receive` would yield. Ask before every wait: sending may hide a wake-up."""
        return bool(int(self._socket.getsockopt(_EVENTS)) & _POLLIN)

    def admit(self, member: Member) -> None:
        """Let a session join."""
        self._members[member.session] = member

    def forget(self, session: int) -> None:
        """Let a session join no more, and drop what it still sends."""
        self._members.pop(session, None)
        route = self._routes.pop(session, None)
        if route is not None:
            del self._sessions[route]

    def receive(self, frames_max: int = 256) -> Iterator[tuple[int, bytes]]:
        """Yield (session, frame) of what members sent; all else is answered or dropped here."""
        for _ in range(frames_max):
            if not self.has_frames:  # cheaper than to receive in vain
                return
            route = self._socket.recv(_NOBLOCK)
            frames = self._receive_rest()
            session = self._sessions.get(route)
            if session is not None and len(frames) == 1:
                yield session, frames[0].bytes
            else:
                self._refuse_or_join(route, frames)

    def send(self, session: int, frame: bytes) -> bool:
        """Send to a session; False if it has not read so much that it must be shut out."""
        route = self._routes.get(session)
        return route is None or self._send(route, frame)

    def close(self, linger_ms: int = 0) -> None:
        """Close; what is not sent is given this long, while the context is terminated."""
        self._socket.close(linger=linger_ms)

    def _receive_rest(self) -> "list[zmq.Frame]":
        """Take the frames behind a routing id: they have come when it has."""
        frames = []
        while self._socket.getsockopt(_RCVMORE):
            frames.append(self._socket.recv(_NOBLOCK, copy=False))
        return frames

    def _refuse_or_join(self, route: bytes, frames: "list[zmq.Frame]") -> None:
        try:
            self._join(route, frames)
        except InferdError as why:
            self._send(route, encode(Failed(0, why.code, str(why))))

    def _join(self, route: bytes, frames: "list[zmq.Frame]") -> None:
        if len(frames) != 1:
            raise ProtocolViolation(f"a message has one frame, got {len(frames)}")
        if len(route) != ROUTING_ID_BYTES or route[0] != 0:
            raise ProtocolViolation("a client must not bring a routing id of its own")
        token = _read_join(frames[0].bytes).token
        uid, pid = _credentials(frames[0])
        for member in self._members.values():
            if hmac.compare_digest(member.token, token):
                if (member.uid, member.pid) != (uid, pid) or member.session in self._routes:
                    break
                self._sessions[route] = member.session
                self._routes[member.session] = route
                return
        raise AccessDenied("this token opens no session for this process")

    def _send(self, route: bytes, frame: bytes) -> bool:
        try:
            self._socket.send_multipart([route, frame], _NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as why:
            if why.errno != zmq.EHOSTUNREACH:  # the client is gone: its session is about to end
                raise
        return True


def _credentials(frame: zmq.Frame) -> tuple[int, int]:
    """Return the kernel's uid and pid of the process that connected."""
    with contextlib.suppress(zmq.ZMQError, ValueError):
        _, uid, _, pid = str(frame.get("Peer-Address")).rsplit(":", 3)
        return int(uid), int(pid)
    raise AccessDenied("this connection shows no credentials of the kernel")
