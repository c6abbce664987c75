"""A client that speaks the protocol by hand, so that it can break it."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq
from daemons import DEADLINE_S

from inferd.shm import wire
from inferd.shm.codec import encode


class RawSession:
    """A session socket without a library around it."""

    def __init__(self, runtime_dir: Path, hello: bytes | None = None) -> None:
        self.runtime_dir = runtime_dir
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._dealers: list[zmq.Socket[bytes]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(runtime_dir / wire.SESSION_SOCKET))
        self.socket.send(hello or encode(wire.Hello(wire.PROTOCOL, "test", "hostile")))
        self.answer = self.receive()

    @property
    def welcome(self) -> wire.Welcome:
        assert isinstance(self.answer, wire.Welcome), self.answer
        return self.answer

    def receive(self) -> wire.FromSessions | None:
        """Return the next message; None for the end of the session."""
        try:
            frame = self.socket.recv(wire.MESSAGE_BYTES_MAX)
        except ConnectionError:
            return None
        return wire.read_from_sessions(frame) if frame else None

    def call(self, message: tuple[Any, ...], descriptors: Sequence[int] = ()) -> Any:
        """Send a message with descriptors and return the answer."""
        socket.send_fds(self.socket, [encode(message)], descriptors)
        return self.receive()

    def dealer(self, endpoint: str, token: bytes | None = None) -> "zmq.Socket[bytes]":
        """Connect to a ZeroMQ socket of the daemon, and join unless there is no token."""
        dealer = self.context.socket(zmq.DEALER)
        self._dealers.append(dealer)
        dealer.linger = 0
        dealer.rcvtimeo = int(DEADLINE_S * 1e3)
        dealer.connect(f"ipc://{self.runtime_dir / endpoint}")
        if token is not None:
            dealer.send(encode(wire.Join(token)))
        return dealer

    def compile(self, model: bytes, number: int = 1, device: str = "CPU") -> wire.Compiled:
        """Have a model compiled under a number of this session."""
        descriptor = os.memfd_create("model")
        os.write(descriptor, model)
        assert isinstance(
            self.call(wire.OfferFiles(number, number, ("m.onnx",)), [descriptor]), wire.Accepted
        )
        os.close(descriptor)
        control = self.dealer(wire.CONTROL_SOCKET, self.welcome.token)
        control.send(encode(wire.Compile(number, number, number, device, {}, ())))
        compiled = wire.read_from_control(control.recv())
        assert isinstance(compiled, wire.Compiled), compiled
        control.close()
        return compiled

    def close(self) -> None:
        self.socket.close()
        for dealer in self._dealers:
            dealer.close()
        self.context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
