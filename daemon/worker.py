"""The worker of one device: read all, decide, run, answer. One thread owns everything here.

    ROUTER (clients) --+                       +-- inline, or run threads --+
    pipe (supervisor) -+-> loop -> scheduler --+                            +-> outcomes -> loop
    wake (threads) ----+                       +----------------------------+

The loop waits in one place, `_wait`. Threads (compile, run) leave a result and wake it. The worker
ends when the pipe does, and the kernel kills it when the supervisor dies.
"""

import argparse
import contextlib
import ctypes
import json
import logging
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import zmq

from inferd.daemon import orders, pipe
from inferd.daemon.bound_request import BoundRequest
from inferd.daemon.calls import answer_call
from inferd.daemon.compiler import Compiler, ReadModel
from inferd.daemon.engines.base import CompiledModel, load
from inferd.daemon.executor import Executor, Outcome
from inferd.daemon.log import configure
from inferd.daemon.models import ModelEntry, Models, key_of
from inferd.daemon.router import Member, Router
from inferd.daemon.scheduler import Scheduler
from inferd.daemon.tenant import Tenant
from inferd.shm import wire
from inferd.shm.codec import encode
from inferd.shm.errors import (
    DaemonStopping,
    DeviceUnavailable,
    InferdError,
    InferenceFailed,
    OverBudget,
    ProtocolViolation,
    RequestBusy,
    RequestCancelled,
)
from inferd.shm.segment import Segment
from inferd.shm.states import Job, Model
from inferd.shm.waiting import Pace, spin

EXIT_BOOT_FAILED: Final = 3
SLEEP_S_MAX: Final = 3600.0  # epoll takes no more than 2^31 milliseconds
LINGER_MS: Final = 1000  # for the last completions
DEAF_S_MAX: Final = 0.002  # how long the loop may run requests before it listens again
_PR_SET_PDEATHSIG: Final = 1

log = logging.getLogger("inferd.worker")


class Worker:
    """One device, from its Setup to its end."""

    def __init__(self, supervisor: socket.socket, setup: orders.Setup) -> None:
        self._device = setup.device
        self._limits = setup.limits
        self._engine = load(setup.engine, setup.engine_device, setup.properties)
        self._supervisor = supervisor
        self._outbox = pipe.Outbox(supervisor)
        self._context = zmq.Context()
        self._router = Router(self._context, setup.path)
        self._wake_descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._posted: deque[Callable[[], None]] = deque()
        self._compiler = Compiler(self._engine, setup.limits["model_bytes_max"], self._post)
        self._executor = Executor(self._wake)
        self._scheduler: Scheduler[BoundRequest] = Scheduler()
        self._models = Models(setup.keep_alive_s)
        self._tenants: dict[int, Tenant] = {}
        self._pace = Pace(setup.spin_us * 1e-6)
        self._supervisor_descriptor = supervisor.fileno()
        self._is_draining = False
        self._is_over = False
        self._epoll = select.epoll()
        for descriptor in (self._router.fileno(), supervisor.fileno(), self._wake_descriptor):
            self._epoll.register(descriptor, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the supervisor says or is gone."""
        self._tell(orders.Ready(self._engine.full_name, self._engine.version))
        while not self._is_over:
            ready = self._wait()
            if self._supervisor_descriptor in ready:
                self._read_orders()
            self._take_posted()
            self._read_requests()
            self._start_jobs()
            self._take_outcomes()
            self._outbox.flush()
            if self._is_draining and self._scheduler.is_idle:
                break
        log.info("device %s: leaving", self._device)
        self._router.close(LINGER_MS)
        self._context.term()

    # --- Waiting ------------------------------------------------------------------------------

    def _wait(self) -> set[int]:
        """Wait until there is something to do; return the descriptors that are readable."""
        self._unload_unused()
        if self._posted or self._scheduler.can_start or self._router.has_frames:
            return self._look()
        spin_s = self._pace.spin_s()
        return (spin(self._look, spin_s) if spin_s else self._look()) or self._block()

    def _look(self) -> set[int]:
        return self._noticed(self._epoll.poll(0))

    def _block(self) -> set[int]:
        timeout_s = min(self._models.next_unload_s - time.monotonic(), SLEEP_S_MAX)
        if len(self._outbox):
            timeout_s = min(timeout_s, 0.05)
        return self._noticed(
            self._epoll.poll(
                None if timeout_s == float("inf") else min(max(timeout_s, 0), SLEEP_S_MAX)
            )
        )

    def _noticed(self, events: list[tuple[int, int]]) -> set[int]:
        ready = {descriptor for descriptor, _ in events}
        if self._wake_descriptor in ready:
            os.eventfd_read(self._wake_descriptor)
        return ready

    def _unload_unused(self) -> None:
        now_s = time.monotonic()
        if self._models.next_unload_s <= now_s:
            for entry in self._models.unload_due(now_s):
                log.info("device %s: unloaded model %s, unused", self._device, entry.name)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_descriptor, 1)

    def _post(self, action: Callable[[], None]) -> None:
        """Have the loop run something, from any thread."""
        self._posted.append(action)
        self._wake()

    def _take_posted(self) -> None:
        while self._posted:
            self._posted.popleft()()

    # --- Clients ------------------------------------------------------------------------------

    def _read_requests(self) -> None:
        for session, frame in self._router.receive():
            self._pace.happened(time.monotonic())
            tenant = self._tenants.get(session)
            if tenant is None:
                continue
            try:
                self._handle(tenant, wire.read_to_worker(frame))
            except InferdError as why:
                self._answer(session, wire.Failed(0, why.code, str(why)))

    def _handle(self, tenant: Tenant, message: wire.ToWorker) -> None:
        match message:
            case wire.Submit():
                self._submit(tenant, message)
            case wire.Bind():
                self._bind(tenant, message)
            case wire.Cancel():
                self._cancel(tenant, message)
            case wire.ReleaseRequest():
                self._release_request(tenant, message.request)
            case wire.ReleaseModel():
                entry = tenant.models.pop(message.model, None)
                if entry is not None:
                    self._models.release(entry, tenant.session, time.monotonic())
            case wire.Join():
                raise ProtocolViolation("this connection has joined already")
            case _:
                self._call(tenant, message)

    def _call(self, tenant: Tenant, message: wire.WorkerCall) -> None:
        """Answer a call about an idle request."""
        try:
            request = tenant.request(message.request)
            if request.entry is not None:
                raise RequestBusy("Infer Request is busy")
            answer = answer_call(request, tenant.segments, message)
        except InferdError as why:
            answer = wire.Failed(message.call, why.code, str(why))
        self._answer(tenant.session, answer)

    def _bind(self, tenant: Tenant, message: wire.Bind) -> None:
        """Make or change a request. What goes wrong shows at its next submission."""
        request = tenant.requests.get(message.request)
        if request is None:
            if len(tenant.requests) >= self._limits["requests_per_session_max"]:
                raise OverBudget(
                    f"a session may have {self._limits['requests_per_session_max']} requests "
                    "(limits.requests_per_session_max)"
                )
            request = BoundRequest(message.request, tenant.model(message.model))
            tenant.requests[message.request] = request
        if request.entry is not None:
            raise RequestBusy("Infer Request is busy: its tensors can't be changed now")
        request.bind(message.inputs, message.outputs, tenant.segments)
        if request.error is None and log.isEnabledFor(logging.DEBUG):
            inputs, outputs = request.addresses()
            log.debug(
                "session %d: bound request %d, inputs at %s, outputs at %s",
                tenant.session,
                message.request,
                ",".join(map(hex, inputs)),
                ",".join(map(hex, outputs)),
            )

    def _submit(self, tenant: Tenant, message: wire.Submit) -> None:
        try:
            request = tenant.request(message.request)
            if request.entry is not None:
                raise RequestBusy("Infer Request is busy")
            if request.error is not None:
                raise request.error
            if self._is_draining:
                raise DaemonStopping("the daemon is shutting down and takes no new inferences")
        except InferdError as why:
            refusal = wire.Ended(message.request, message.sequence, why.code, str(why))
            self._answer(tenant.session, refusal)
            return
        request.entry = self._scheduler.submit(tenant.session, message.sequence, request)

    def _cancel(self, tenant: Tenant, message: wire.Cancel) -> None:
        request = tenant.requests.get(message.request)
        entry = request.entry if request is not None else None
        if request is None or entry is None or entry.sequence != message.sequence:
            return  # it has ended: the answer is on its way
        if self._scheduler.cancel(entry):
            self._end(request, RequestCancelled.code, "Infer Request was canceled")
        else:
            request.cancel()

    def _release_request(self, tenant: Tenant, request: int) -> None:
        """Forget a request. One that runs goes on: its submission keeps it until it has ended."""
        tenant.requests.pop(request, None)

    # --- Running ------------------------------------------------------------------------------

    def _start_jobs(self) -> None:
        """Start what may run, but no longer than the loop may be deaf."""
        until_s = time.monotonic() + DEAF_S_MAX
        while (entry := self._scheduler.start()) is not None:
            self._executor.start(entry, alone=self._scheduler.running == 1)
            self._take_outcomes()
            if time.monotonic() > until_s:
                return

    def _take_outcomes(self) -> None:
        while (outcome := self._executor.outcome()) is not None:
            self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        entry, error = outcome.entry, outcome.error
        request = entry.work
        state = self._scheduler.finish(entry, failed=error is not None)
        if state is Job.CANCELLED:
            self._end(request, RequestCancelled.code, "Infer Request was canceled")
        elif state is Job.FAILED:
            self._end(request, InferenceFailed.code, f"the engine failed: {error}")
        else:
            self._complete(request, outcome.started_ns, outcome.finished_ns)

    def _complete(self, request: BoundRequest, started_ns: int, finished_ns: int) -> None:
        entry, request.entry = request.entry, None
        assert entry is not None
        request.model.ran((finished_ns - started_ns) * 1e-9)
        head = (request.id, entry.sequence, started_ns, finished_ns)
        if request.results:
            self._answer(entry.session, wire.CompletedElastic(*head, request.results))
        else:
            self._answer(entry.session, wire.Completed(*head))

    def _end(self, request: BoundRequest, code: str, text: str) -> None:
        entry, request.entry = request.entry, None
        assert entry is not None
        self._answer(entry.session, wire.Ended(request.id, entry.sequence, code, text))

    def _answer(self, session: int, message: wire.FromWorker) -> None:
        if session in self._tenants and not self._router.send(session, encode(message)):
            self._tell(orders.Expel(session, "it does not read its completions"))

    # --- The supervisor -----------------------------------------------------------------------

    def _read_orders(self) -> None:
        while (packet := pipe.receive(self._supervisor)) is not None:
            if not packet.frame:
                self._is_over = True
                return
            self._obey(orders.read_to_worker(packet.frame), packet)

    def _obey(self, order: orders.ToWorker, packet: pipe.Packet) -> None:
        match order:
            case orders.OpenSession():
                self._tenants[order.session] = Tenant(order.session)
                self._router.admit(Member(order.session, order.token, order.uid, order.pid))
            case orders.CloseSession():
                self._close_session(order.session)
            case orders.AttachSegment() | orders.DetachSegment():
                self._change_segments(order, packet)
            case orders.CompileModel() | orders.ReadModel():
                self._read_files(order, packet)
            case orders.AskReport():
                self._tell(self._report(order.call))
            case orders.Drain():
                self._is_draining = True
            case orders.Setup():
                raise AssertionError("a worker is set up once")

    def _tell(self, message: tuple[Any, ...]) -> None:
        self._outbox.send(encode(message))

    def _close_session(self, session: int) -> None:
        tenant = self._tenants.pop(session, None)
        if tenant is None:
            return
        self._router.forget(session)
        for entry in self._scheduler.drop(session):
            entry.work.cancel()
        self._models.forget(session, time.monotonic())

    def _change_segments(
        self, order: orders.AttachSegment | orders.DetachSegment, packet: pipe.Packet
    ) -> None:
        tenant = self._tenants.get(order.session)
        if tenant is None:
            packet.close()
        elif isinstance(order, orders.DetachSegment):
            tenant.segments.pop(order.segment, None)
        else:
            self._attach(tenant, order, packet)

    def _attach(self, tenant: Tenant, order: orders.AttachSegment, packet: pipe.Packet) -> None:
        try:
            (descriptor,) = packet.descriptors
            tenant.segments[order.segment] = Segment.receive(
                descriptor, order.byte_size, allow_unsealed=order.allow_unsealed
            )
        except InferdError as why:
            self._tell(orders.CallFailed(order.call, why.code, str(why)))
        else:
            self._tell(orders.Done(order.call))

    def _report(self, call: int) -> orders.Report:
        ended = self._scheduler.ended
        models = [
            orders.ModelReport(
                entry.id,
                entry.name,
                entry.state.value,
                len(entry.users),
                entry.inferences,
                entry.compile_ms,
            )
            for entry in self._models
        ]
        sessions = [
            orders.SessionReport(
                tenant.session, len(tenant.requests), self._scheduler.in_flight(tenant.session)
            )
            for tenant in self._tenants.values()
        ]
        return orders.Report(
            call,
            self._scheduler.queued,
            self._scheduler.running,
            ended[Job.DONE],
            ended[Job.FAILED],
            ended[Job.CANCELLED],
            tuple(models),
            tuple(sessions),
        )

    # --- Models -------------------------------------------------------------------------------

    def _read_files(
        self, order: orders.CompileModel | orders.ReadModel, packet: pipe.Packet
    ) -> None:
        def fail(why: InferdError) -> None:
            self._tell(orders.CallFailed(order.call, why.code, str(why)))

        def use(model: ReadModel) -> None:
            if isinstance(order, orders.CompileModel):
                self._use_model(order, model)
            else:
                self._compiler.describe(
                    model,
                    order.shapes,
                    lambda facts: self._tell(orders.ModelRead(order.call, *facts)),
                    fail,
                )

        self._compiler.read(order.names, packet.descriptors, use, fail)

    def _use_model(self, order: orders.CompileModel, model: ReadModel) -> None:
        """The files are read: join the entry that has them, or make one."""
        tenant = self._tenants.get(order.session)
        if tenant is None:
            return
        if len(tenant.models) >= self._limits["models_per_session_max"]:
            text = (
                f"a session may have {self._limits['models_per_session_max']} models "
                "(limits.models_per_session_max)"
            )
            self._tell(orders.CallFailed(order.call, OverBudget.code, text))
            return
        key = key_of(model.digest, order.properties, order.shapes)
        entry, is_new = self._models.use(key, order.session)
        if entry.state is Model.READY:
            self._hand_out(entry, order)
            return
        entry.waiting.append(order)
        if is_new:
            self._compiler.compile(
                model,
                order.properties,
                order.shapes,
                lambda compiled, took_ms: self._compiled(entry, compiled, took_ms),
                lambda why: self._compile_failed(entry, why),
            )

    def _compiled(self, entry: ModelEntry, compiled: CompiledModel, took_ms: float) -> None:
        self._models.compiled(entry, compiled, took_ms, time.monotonic())
        log.info("device %s: compiled model %s in %.0f ms", self._device, entry.name, took_ms)
        self._scheduler.running_max = max(self._scheduler.running_max, compiled.running_max)
        waiting, entry.waiting = entry.waiting, []
        for order in waiting:
            self._hand_out(entry, order)

    def _compile_failed(self, entry: ModelEntry, why: InferdError) -> None:
        self._models.failed(entry, why)
        log.warning("device %s: can't compile a model: %s", self._device, why)
        for order in entry.waiting:
            self._tell(orders.CallFailed(order.call, why.code, str(why)))

    def _hand_out(self, entry: ModelEntry, order: orders.CompileModel) -> None:
        """Give a session its use of a model; if the session has gone meanwhile, take it back."""
        tenant = self._tenants.get(order.session)
        if tenant is None:
            return
        tenant.models[order.model] = entry
        compiled = entry.compiled
        assert compiled is not None
        properties = {name: json.dumps(value) for name, value in compiled.properties.items()}
        self._tell(
            orders.ModelCompiled(
                order.call,
                entry.name,
                tuple(compiled.inputs),
                tuple(compiled.outputs),
                properties,
            )
        )


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def leave_the_file_system() -> None:
    """Work in a directory that does not exist any more: a relative name leads nowhere from there.

    An engine that follows a reference in a client's model must not find a file of ours.
    """
    folder = tempfile.mkdtemp(prefix="inferd-worker-")
    os.chdir(folder)
    os.rmdir(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="inferd-worker", description=__doc__)
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--supervisor", type=int, required=True)
    parser.add_argument("--log-level", default="info")
    arguments = parser.parse_args()
    die_with(arguments.supervisor)
    # The supervisor decides when a worker ends, also where a signal goes to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure(arguments.log_level)
    leave_the_file_system()
    supervisor = socket.socket(fileno=arguments.pipe)
    supervisor.setblocking(True)
    setup = orders.read_to_worker(supervisor.recv(pipe.PACKET_BYTES_MAX))
    assert isinstance(setup, orders.Setup)
    supervisor.setblocking(False)
    try:
        if setup.cores:
            os.sched_setaffinity(0, setup.cores)
        worker = Worker(supervisor, setup)
    except Exception as why:  # importing and opening an engine may raise anything
        code, text = DeviceUnavailable.code, f"{type(why).__name__}: {why}"
        if isinstance(why, InferdError):
            code, text = why.code, str(why)
        with contextlib.suppress(OSError):
            supervisor.send(encode(orders.BootFailed(code, text)))
        return EXIT_BOOT_FAILED
    worker.run()
    sys.stderr.flush()
    os._exit(0)  # engines' threads and exit handlers have nothing left to do for us


if __name__ == "__main__":
    sys.exit(main())
