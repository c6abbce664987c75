"""Starts real daemons for tests, and looks at what they hold."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DEADLINE_S = 60.0  # generous: it ends a test that would hang, and measures nothing


class Daemon:
    """``inferd serve`` in a directory of its own; its log is in ``log_path``."""

    def __init__(
        self,
        directory: Path,
        devices: Sequence[str] = ("CPU",),
        settings: str = "",
        log_level: str = "info",
    ) -> None:
        self._socket_directory = tempfile.TemporaryDirectory(prefix="inferd-test-")
        self.runtime_dir = Path(self._socket_directory.name) / "run"
        self.log_path = directory / "daemon.log"
        self._config_path = directory / "inferd.toml"
        self._log_level = log_level
        tables = [f'[devices.{name}]\nengine = "openvino"\ndevice = "CPU"\n' for name in devices]
        self._config_path.write_text(settings + "\n" + "\n".join(tables))
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the daemon and wait until clients may connect."""
        command = [sys.executable, "-m", "inferd.daemon", "--config", str(self._config_path)]
        command += ["--runtime-dir", str(self.runtime_dir), "--log-level", self._log_level]
        reader, writer = os.pipe()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--ready", str(writer)], stderr=log, pass_fds=[writer]
            )
        os.close(writer)
        said = os.read(reader, 1)
        os.close(reader)
        assert said == b"1", self.log
        return self.process

    @property
    def log(self) -> str:
        """What the daemon and its workers logged so far."""
        return self.log_path.read_text()

    def status(self) -> dict[str, Any]:
        """Return what `inferd status --json` prints."""
        command = [sys.executable, "-m", "inferd.daemon.cli.main", "status", "--json"]
        environment = os.environ | {"INFERD_RUNTIME_DIR": str(self.runtime_dir)}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def worker_pid(self, device: str = "CPU") -> int:
        """Return the process of a device's worker."""
        (pid,) = [each["pid"] for each in self.status()["devices"] if each["name"] == device]
        return int(pid)

    def stop(self) -> int:
        """Stop the daemon as systemd would, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._socket_directory.cleanup()


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until a condition holds."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} did not come true"
        time.sleep(0.01)


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def maps(pid: int) -> int:
    """Return how many shared-memory segments a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:inferd")
