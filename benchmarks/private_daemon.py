"""An inferd daemon for a benchmark alone, with the default settings."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.machine import ROOT

STOP_S_MAX: Final = 20.0  # the daemon itself gives running inferences 10 s
RUNTIME_DIR: Final = "INFERD_RUNTIME_DIR"


@contextlib.contextmanager
def private_daemon(directory: Path) -> Iterator[None]:
    """Serve the device CPU below a directory; until this ends, clients of this process find it.

    No file of the system's configuration is read. The daemon also ends when this process is gone.
    It stays in our session: Linux shares cores out by session (sched_autogroup), and on a busy
    machine one of its own would be given more than ours.
    """
    config, log = directory / "inferd.toml", directory / "daemon.log"
    config.write_text("[devices.CPU]\n")
    command = [sys.executable, "-m", "inferd.daemon", "--config", str(config)]
    command += ["--runtime-dir", str(directory / "run"), "--private", str(os.getpid())]
    reader, writer = os.pipe()
    with (
        os.fdopen(reader, "rb") as ready,
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--log-level", "warning", "--ready", str(writer)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=output,
            pass_fds=[writer],
            process_group=0,  # Ctrl-C is for the benchmark, which stops us
        ) as process,
        _stopped(process),
    ):
        os.close(writer)
        if not ready.read(1):
            raise SystemExit(f"the daemon did not start: {log.read_text()}")
        with _environment(RUNTIME_DIR, str(directory / "run")):
            yield


@contextlib.contextmanager
def _stopped(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        finally:
            process.kill()


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
