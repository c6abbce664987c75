"""A device's worker process as the supervisor sees it: its pipe, its calls, its restarts."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from inferd.daemon import orders, pipe
from inferd.daemon.config import Configuration, DeviceSettings
from inferd.daemon.worker import EXIT_BOOT_FAILED
from inferd.shm.codec import encode
from inferd.shm.errors import (
    DeviceUnavailable,
    InferdError,
    ProtocolViolation,
    WorkerDied,
    rebuild,
)
from inferd.shm.states import WORKER, Worker, WorkerEvent, step

DELAY_S_FIRST: Final = 0.1
DELAY_S_MAX: Final = 30.0
LIVED_S_ENOUGH: Final = 60.0  # after that a death counts as the first again

PARKED_MAX: Final = 1024

MakeOrder = Callable[[int], tuple[Any, ...]]
Answer = orders.Done | orders.ModelCompiled | orders.ModelRead | orders.Report | InferdError

log = logging.getLogger("inferd.supervisor")


class Backoff:
    """How long to wait before the next start: longer each time that the last one was short."""

    def __init__(self) -> None:
        self._next_s = DELAY_S_FIRST

    def delay_s(self, lived_s: float) -> float:
        if lived_s >= LIVED_S_ENOUGH:
            self._next_s = DELAY_S_FIRST
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, DELAY_S_MAX)
        return delay_s


class Owner(Protocol):
    """What a device's worker tells the supervisor."""

    def worker_started(self, device: "DeviceWorker") -> None:
        """A new process reads orders; what it has to know first is to be sent now."""

    def worker_lost(self, device: "DeviceWorker", text: str) -> None: ...

    def expel(self, session: int, text: str) -> None: ...


class DeviceWorker:
    """One device. Every call is answered exactly once: by the worker, or because it died."""

    def __init__(
        self,
        name: str,
        settings: DeviceSettings,
        configuration: Configuration,
        socket_path: Callable[[str], str],
        owner: Owner,
    ) -> None:
        self.name = name
        self.settings = settings
        self.full_name = ""
        self.engine_version = ""
        self.generation = 0
        self.state = Worker.LOST
        self.endpoint = ""
        self._configuration = configuration
        self._socket_path = socket_path
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._outbox: pipe.Outbox | None = None
        self._pidfd = -1
        self._started_s = 0.0
        self._boot_error: InferdError | None = None
        self._calls: dict[int, Callable[[Answer], None]] = {}
        self._call_ids = itertools.count(1)
        # Calls that came while no worker was there: they are for the next one.
        self._parked: list[tuple[MakeOrder, Callable[[Answer], None], list[int]]] = []
        self._is_ending = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_gone(self) -> bool:
        return self._process is None

    def spawn(self) -> None:
        """Start a fresh process."""
        if self._is_ending:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.generation += 1
        self.endpoint = f"{self.name[:12]}.{self.generation}"
        self.state = step(WORKER, self.state, WorkerEvent.SPAWN)
        command = [sys.executable, "-m", "inferd.daemon.worker"]
        command += ["--pipe", str(theirs.fileno()), "--supervisor", str(os.getpid())]
        command += ["--log-level", self._configuration.daemon.log_level]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._started_s = time.monotonic()
        self._pipe, self._outbox = ours, pipe.Outbox(ours)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._on_death)
        self._loop.add_reader(ours.fileno(), self._on_packets)
        self.send(self._setup())
        self._owner.worker_started(self)
        parked, self._parked = self._parked, []
        for order, answered, descriptors in parked:
            self.call(order, answered, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def send(self, order: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
        """Send an order; while there is no worker it is dropped, with all that it is about."""
        if self._outbox is None or self._pipe is None:
            return
        self._outbox.send(encode(order), descriptors)
        if len(self._outbox) > pipe.UNSENT_PACKETS_MAX:
            log.error("device %s: the worker does not read its orders; killing it", self.name)
            self.kill()
        elif len(self._outbox):
            self._loop.add_writer(self._pipe.fileno(), self._flush)

    def call(
        self,
        order: MakeOrder,
        answered: Callable[[Answer], None],
        descriptors: Sequence[int] = (),
    ) -> None:
        """Send an order that is answered; ``order`` makes it with the id of the call."""
        if self._boot_error is not None:
            answered(self._boot_error)
        elif self._outbox is not None:
            call = next(self._call_ids)
            self._calls[call] = answered
            self.send(order(call), descriptors)
        elif len(self._parked) < PARKED_MAX and not self._is_ending:
            copies = [os.dup(descriptor) for descriptor in descriptors]
            self._parked.append((order, answered, copies))
        else:
            answered(DeviceUnavailable(f"the worker of device {self.name} is restarting; retry"))

    def drain(self) -> None:
        """Let the worker finish what it runs and leave for good."""
        self._is_ending = True
        if self.state is Worker.LOST:
            return
        self.state = step(WORKER, self.state, WorkerEvent.DRAIN)
        self.send(orders.Drain())

    def kill(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def end(self) -> None:
        """Kill the worker for good and wait until it is gone."""
        self._is_ending = True
        self.kill()
        if self._process is not None:
            self._process.wait()
            self._forget_process()

    def _setup(self) -> orders.Setup:
        configuration, settings = self._configuration, self.settings
        limits = {name: value for name, value in vars(configuration.limits).items()}
        return orders.Setup(
            device=self.name,
            generation=self.generation,
            engine=settings.engine,
            engine_device=settings.device,
            properties=dict(settings.properties),
            cores=settings.cores,
            path=self._socket_path(self.endpoint),
            limits=limits,
            keep_alive_s=configuration.models.keep_alive_s,
            spin_us=configuration.daemon.spin_us,
        )

    def _flush(self) -> None:
        if self._outbox is not None and self._pipe is not None and self._outbox.flush():
            self._loop.remove_writer(self._pipe.fileno())

    def _on_packets(self) -> None:
        while self._pipe is not None:
            packet = pipe.receive(self._pipe)
            if packet is None:
                return
            if not packet.frame:
                self._loop.remove_reader(self._pipe.fileno())  # its death follows
                return
            try:
                self._on_message(orders.read_from_worker(packet.frame))
            except ProtocolViolation as why:  # a bug of ours: better a new worker than a lost call
                log.error("device %s: the worker speaks nonsense (%s); killing it", self.name, why)
                self.kill()

    def _on_message(self, message: orders.FromWorker) -> None:
        match message:
            case orders.Ready():
                self.state = step(WORKER, self.state, WorkerEvent.SPEAK_READY)
                self.full_name, self.engine_version = message.full_name, message.engine_version
                self._boot_error = None
                log.info(
                    "device %s ready: %s, %s %s, pid %d",
                    self.name,
                    message.full_name,
                    self.settings.engine,
                    message.engine_version,
                    self.pid,
                )
            case orders.BootFailed():
                self._boot_error = rebuild(message.code, f"device {self.name}: {message.text}")
            case orders.Expel():
                self._owner.expel(message.session, message.text)
            case orders.CallFailed():
                self._answer(message.call, rebuild(message.code, message.text))
            case orders.Done() | orders.ModelCompiled() | orders.ModelRead() | orders.Report():
                self._answer(message.call, message)

    def _answer(self, call: int, answer: Answer) -> None:
        answered = self._calls.pop(call, None)
        if answered is not None:
            answered(answer)

    def _on_death(self) -> None:
        self._on_packets()  # its last words
        process = self._process
        assert process is not None
        text = f"the worker of device {self.name} ended ({_ending(process.wait())})"
        boot_failed = process.returncode == EXIT_BOOT_FAILED and self._boot_error is not None
        self._forget_process()
        self.state = step(WORKER, self.state, WorkerEvent.DIE)
        error = self._boot_error if boot_failed and self._boot_error else WorkerDied(text)
        calls, self._calls = self._calls, {}
        for answered in calls.values():
            answered(error)
        if self._is_ending:
            return
        delay_s = self._backoff.delay_s(time.monotonic() - self._started_s)
        log.error("%s; starting another in %.1f s", error if boot_failed else text, delay_s)
        self._owner.worker_lost(self, text)
        self._loop.call_later(delay_s, self.spawn)

    def _forget_process(self) -> None:
        assert self._pipe is not None
        assert self._outbox is not None
        self._loop.remove_reader(self._pidfd)
        self._loop.remove_reader(self._pipe.fileno())
        self._loop.remove_writer(self._pipe.fileno())
        os.close(self._pidfd)
        self._outbox.close()
        self._pipe.close()
        self._socket_path(self.endpoint)  # removes the stale file
        self._process, self._pipe, self._outbox, self._pidfd = None, None, None, -1


def _ending(status: int) -> str:
    """Say how a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
