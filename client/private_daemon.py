"""Starts a private daemon for a program that finds none running."""

import atexit
import os
import secrets
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from inferd.shm.errors import DaemonNotFound

START_S_MAX: Final = 60.0


def start() -> Path:
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
