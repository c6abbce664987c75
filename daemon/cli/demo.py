"""``inferd demo``: four processes classify real images, with one shared copy of the model and with
a private copy each, measured in the same run."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from inferd.client.connection import Connection
from inferd.client.discovery import may_autostart
from inferd.daemon.cli import tables
from inferd.daemon.cli.progress import Progress

PROCESSES: Final = 4
PASSES: Final = 10
IMAGES: Final = 540
ACCURACY_MIN: Final = 0.95


class Measured(NamedTuple):
    """One way of running the same work."""

    classified: int
    correct: int
    per_second: float
    ready_s: float  # until the last process had its first answer
    pss_bytes: int | None  # None: this user may not look into all of the processes


class DemoFailed(Exception):
    """A client process of the demo ended early or said something wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def run(arguments: argparse.Namespace) -> int:
    """Run both ways and compare; fail if an image is missing or the accuracy is off."""
    try:
        with Progress(f"classifying with {PROCESSES} processes that share one copy"):
            shared = _measure_shared()
        with Progress(f"classifying with {PROCESSES} processes that load OpenVINO themselves"):
            private = _measure("openvino", [])
    except DemoFailed as why:
        print(f"inferd: {why}", file=sys.stderr)
        return 1
    report = {"shared": shared._asdict(), "private": private._asdict()}
    print(json.dumps(report, indent=2) if arguments.json else _text(shared, private), flush=True)
    faults = [*_faults("inferd", shared), *_faults("OpenVINO", private)]
    for fault in faults:
        print(f"inferd: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _measure_shared() -> Measured:
    connection = Connection.shared(autostart=may_autostart())
    daemon = psutil.Process(connection.daemon_pid)
    environment = {"INFERD_RUNTIME_DIR": connection.directory}
    return _measure("inferd.client", [daemon, *daemon.children()], environment)


def _measure(
    module: str, servers: Sequence[psutil.Process], environment: dict[str, str] | None = None
) -> Measured:
    """Run the clients over one module; ``servers`` are processes whose memory counts too."""
    examples = Path(str(resources.files("inferd.examples")))
    command = [sys.executable, "-m", "inferd.daemon.cli.demo_client", module]
    command += [str(examples), str(PASSES)]
    clients = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
            process_group=0,  # Ctrl-C is for us alone: we end them
        )
        for _ in range(PROCESSES)
    ]
    try:
        ready_s = max(float(_answer(client)["ready_s"]) for client in clients)
        started_s = time.monotonic()
        for client in clients:
            _go(client)
        answers = [_answer(client) for client in clients]
        took_s = time.monotonic() - started_s
        processes = [*servers, *(psutil.Process(client.pid) for client in clients)]
        pss_bytes = _pss_bytes(processes)
    except BaseException:
        for client in clients:
            client.kill()
        raise
    finally:
        _end(clients)
    classified = sum(answer["classified"] for answer in answers)
    correct = sum(answer["correct"] for answer in answers)
    return Measured(classified, correct, classified / took_s, ready_s, pss_bytes)


def _go(client: "subprocess.Popen[str]") -> None:
    assert client.stdin is not None
    try:
        client.stdin.write("go\n")
        client.stdin.flush()
    except BrokenPipeError:
        raise _ended(client) from None


def _answer(client: "subprocess.Popen[str]") -> dict[str, Any]:
    assert client.stdout is not None
    line = client.stdout.readline()
    if not line:
        raise _ended(client)
    answer: dict[str, Any] = json.loads(line)
    return answer


def _ended(client: "subprocess.Popen[str]") -> DemoFailed:
    return DemoFailed(f"a client process of the demo ended with status {client.wait()}")


def _pss_bytes(processes: Sequence[psutil.Process]) -> int | None:
    try:
        return sum(process.memory_full_info().pss for process in processes)
    except psutil.Error:  # the daemon is another user's, or a worker has just been replaced
        return None


def _end(clients: Sequence["subprocess.Popen[str]"]) -> None:
    for client in clients:
        assert client.stdin is not None
        assert client.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()
        client.stdout.close()
    for client in clients:
        try:
            client.wait(10)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()


def _faults(name: str, measured: Measured) -> list[str]:
    expected = PROCESSES * PASSES * IMAGES
    faults = []
    if measured.classified != expected:
        faults.append(f"{name} classified {measured.classified} images, expected {expected}")
    accuracy = measured.correct / max(measured.classified, 1)
    if accuracy < ACCURACY_MIN:
        faults.append(f"{name} is right in {accuracy:.2%}, expected at least {ACCURACY_MIN:.0%}")
    return faults


def _text(shared: Measured, private: Measured) -> str:
    head = (
        f"{PROCESSES} processes classify {IMAGES} held-out images of handwritten digits, "
        f"{PASSES} times each."
    )
    columns = ("", "INFERD, ONE COPY", "A COPY EACH", "RATIO")
    rows = [
        ("images classified", f"{shared.classified:,}", f"{private.classified:,}", ""),
        _row("accuracy", "{:.2%}", _accuracy(shared), _accuracy(private), ratio=False),
        _row("inferences per second", "{:,.0f}", shared.per_second, private.per_second),
        _row("last process ready after, s", "{:.2f}", shared.ready_s, private.ready_s),
    ]
    if shared.pss_bytes is not None and private.pss_bytes is not None:
        mib = (shared.pss_bytes / (1 << 20), private.pss_bytes / (1 << 20))
        rows.append(_row("memory of all (PSS), MiB", "{:,.0f}", *mib))
    return f"{head}\n\n{tables.render(columns, rows)}"


def _row(
    name: str, form: str, shared: float, private: float, *, ratio: bool = True
) -> tuple[str, str, str, str]:
    text = f"{shared / private:.2f}" if ratio else ""
    return (name, form.format(shared), form.format(private), text)


def _accuracy(measured: Measured) -> float:
    return measured.correct / max(measured.classified, 1)
