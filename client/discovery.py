"""Finds the daemon, or starts a private one for this process and its children."""

import os
import socket
import sys
from pathlib import Path
from typing import Final, NamedTuple

from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.errors import AccessDenied, DaemonNotFound, ProtocolViolation, rebuild

CONNECT_S_MAX: Final = 10.0
SYSTEM_DIRECTORY: Final = Path("/run/inferd")


class Opened(NamedTuple):
    """A session that the daemon has welcomed."""

    directory: str
    socket: socket.socket
    welcome: wire.Welcome


def places() -> list[Path]:
    """Return the runtime directories in which a daemon may serve, nearest first."""
    explicit = os.environ.get("INFERD_RUNTIME_DIR")
    users = os.environ.get("XDG_RUNTIME_DIR")
    found = [Path(explicit)] if explicit else []
    found += [Path(users) / "inferd"] if users else []
    return [*found, SYSTEM_DIRECTORY]


def may_autostart() -> bool:
    """Whether the environment allows a private daemon."""
    return os.environ.get("INFERD_AUTOSTART", "1").lower() not in ("0", "no", "false")


def open_session(version: str, *, autostart: bool) -> Opened:
    """Open a session with the nearest daemon.

    Raises
    ------
    DaemonNotFound
        None answers, and none may be started, or it does not start.
    AccessDenied
        One serves, but this user may not enter its directory.
    VersionMismatch, OverBudget, DaemonStopping
        The daemon refuses.
    """
    tried = []
    for directory in places():
        connected = _connect(directory)
        if isinstance(connected, socket.socket):
            return _greet(directory, connected, version)
        tried.append(f"{directory} ({connected})")
    looked = f"no inferd daemon answers; looked in: {', '.join(tried)}"
    if not autostart:
        raise DaemonNotFound(f"{looked}. Start one with: inferd serve")
    from inferd.client.private_daemon import start  # rarely needed, and slow to import

    directory = start()
    connected = _connect(directory)
    if not isinstance(connected, socket.socket):
        raise DaemonNotFound(f"the private daemon in {directory} does not answer ({connected})")
    return _greet(directory, connected, version)


def _connect(directory: Path) -> socket.socket | str:
    """Connect to the daemon of a directory, or say why there is none."""
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    endpoint.settimeout(CONNECT_S_MAX)
    path = directory / wire.SESSION_SOCKET
    try:
        endpoint.connect(str(path))
    except PermissionError:
        endpoint.close()
        raise AccessDenied(
            f"this user may not connect to the daemon in {directory}; "
            f"ask for access to that directory ({_group(directory)})"
        ) from None
    except FileNotFoundError:
        reason = "no socket"
    except ConnectionRefusedError:
        reason = "nobody listens"
    except OSError as why:
        reason = str(why)
    else:
        return endpoint
    endpoint.close()
    return reason


def _group(directory: Path) -> str:
    try:
        return f"its group is {directory.group()}"
    except (OSError, KeyError):
        return "it can't be entered"


def _greet(directory: Path, endpoint: socket.socket, version: str) -> Opened:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "python"
    try:
        endpoint.send(encode(wire.Hello(wire.PROTOCOL, version, name)))
        answer = wire.read_from_sessions(endpoint.recv(wire.MESSAGE_BYTES_MAX))
    except TimeoutError:
        endpoint.close()
        raise DaemonNotFound(
            f"the daemon in {directory} does not answer within {CONNECT_S_MAX:.0f} s"
        ) from None
    except OSError as why:
        endpoint.close()
        raise DaemonNotFound(f"the daemon in {directory} ended while answering: {why}") from None
    except BaseException:
        endpoint.close()
        raise
    if isinstance(answer, wire.Welcome):
        return Opened(str(directory), endpoint, answer)
    endpoint.close()
    if isinstance(answer, wire.Refused):
        raise rebuild(answer.code, answer.text)
    raise ProtocolViolation(f"the daemon answered a hello with {type(answer).__name__}")
