"""Packets with descriptors over an AF_UNIX SOCK_SEQPACKET socket, never blocking."""

import contextlib
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from inferd.shm.errors import ProtocolViolation
from inferd.shm.wire import DESCRIPTORS_MAX

PACKET_BYTES_MAX: Final = 192 * 1024  # the kernel's default send buffer holds one such packet
UNSENT_PACKETS_MAX: Final = 4096  # a worker that lets so many pile up is hung


class Packet(NamedTuple):
    """What came in one piece. Whoever takes it closes the descriptors."""

    frame: bytes
    descriptors: list[int]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def receive(endpoint: socket.socket, frame_bytes_max: int = PACKET_BYTES_MAX) -> Packet | None:
    """Take the next packet; an empty frame is the end. None: nothing is there now.

    Raises
    ------
    ProtocolViolation
        The packet is longer, or carries more descriptors, than any message may.
    """
    try:
        frame, descriptors, flags, _ = socket.recv_fds(
            endpoint, frame_bytes_max, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
    except BlockingIOError:
        return None
    except ConnectionError:
        return Packet(b"", [])
    packet = Packet(frame, descriptors)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        packet.close()
        raise ProtocolViolation(
            f"a packet may have {frame_bytes_max} bytes and {DESCRIPTORS_MAX} descriptors"
        )
    return packet


def send(endpoint: socket.socket, frame: bytes, descriptors: Sequence[int] = ()) -> bool:
    """Send a packet; False if the peer has not made room for it. A peer that is gone is ignored:
    its end is noticed elsewhere."""
    try:
        if descriptors:
            socket.send_fds(endpoint, [frame], descriptors)
        else:
            endpoint.send(frame)
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


class Outbox:
    """Packets on their way to a peer that is slow to read, in order."""

    def __init__(self, endpoint: socket.socket) -> None:
        self._endpoint = endpoint
        self._unsent: deque[Packet] = deque()

    def __len__(self) -> int:
        return len(self._unsent)

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send now or later; the descriptors are duplicated if it has to be later."""
        if not self._unsent and send(self._endpoint, frame, descriptors):
            return
        self._unsent.append(Packet(frame, [os.dup(descriptor) for descriptor in descriptors]))

    def flush(self) -> bool:
        """Send what the peer takes, and return whether all is sent."""
        while self._unsent:
            packet = self._unsent[0]
            if not send(self._endpoint, packet.frame, packet.descriptors):
                return False
            self._unsent.popleft().close()
        return True

    def close(self) -> None:
        while self._unsent:
            with contextlib.suppress(OSError):
                self._unsent.popleft().close()
