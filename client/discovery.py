"""Finds the daemon, or starts a private one for this process and its children."""

import atexit
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.errors import AccessDenied, DaemonNotFound, ProtocolViolation, rebuild

CONNECT_S_MAX: Final = 10.0
START_S_MAX: Final = 60.0
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
    directory = _start_private()
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


def _start_private() -> Path:
    """Start a daemon that ends with this process and the sessions of its children.

    Children find it through ``$INFERD_RUNTIME_DIR``.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    directory = Path(base) / f"inferd-{os.getuid()}-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o700)
    log_path = directory / "daemon.log"
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "inferd.daemon", "--runtime-dir", str(directory)]
    command += ["--private", str(os.getpid()), "--ready", str(writer), "--log-level", "warning"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=True,
        )
    os.close(writer)
    try:
        ready = select.select([reader], [], [], START_S_MAX)[0] and os.read(reader, 1)
    finally:
        os.close(reader)
    if not ready:
        process.kill()
        process.wait()
        said = log_path.read_text(errors="replace").strip() if log_path.exists() else ""
        raise DaemonNotFound(
            f"a private daemon could not be started: {said or 'it said nothing'}; "
            "install it with: pip install 'inferd[openvino]'"
        )
    _reap_at_exit(process)
    os.environ["INFERD_RUNTIME_DIR"] = str(directory)
    return directory


def _reap_at_exit(process: "subprocess.Popen[bytes]") -> None:
    """The daemon outlives this process by a moment: no reason to warn that it still runs."""
    owner = os.getpid()

    def forget() -> None:
        if os.getpid() == owner:
            process.returncode = process.poll() or 0

    atexit.register(forget)
