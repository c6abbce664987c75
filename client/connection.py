"""One session of this process with a daemon: what it may use, and what it made known there."""

import os
import sys
import threading
import weakref
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inferd import __version__
from inferd.client import discovery
from inferd.client.channels import Channel, SessionChannel
from inferd.client.link import Link
from inferd.client.session import Ticket
from inferd.shm import wire
from inferd.shm.arena import process_arena
from inferd.shm.codec import encode
from inferd.shm.errors import InferdError, OverBudget
from inferd.shm.ports import Port
from inferd.shm.segment import Segment


class ModelFiles(NamedTuple):
    """A model as open descriptors: its own file first, then the files that it refers to."""

    names: tuple[str, ...]
    descriptors: tuple[int, ...]


class RemoteModel(NamedTuple):
    """A compiled model in a worker, as this session knows it."""

    id: int
    device: str
    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    properties: Mapping[str, str]  # JSON texts
    generation: int
    channel: Channel


class Connection:
    """A session. It ends when nothing of this process refers to it any more."""

    def __init__(self, opened: discovery.Opened) -> None:
        self.directory = opened.directory
        self.devices = opened.welcome.devices
        self.limits = opened.welcome.limits
        self.daemon_pid = opened.welcome.pid
        self.daemon_version = opened.welcome.version
        self.link = Link(SessionChannel(opened.socket), opened.directory, opened.welcome.token)
        self._ids = 0
        self._lock = threading.Lock()
        self._attaching: dict[tuple[int, str, int], Ticket] = {}
        self._watched: set[int] = set()
        self._requests: defaultdict[str, weakref.WeakSet[object]] = defaultdict(weakref.WeakSet)
        finalizer = weakref.finalize(self, self.link.close)
        finalizer.atexit = False

    @classmethod
    def shared(cls, *, autostart: bool) -> "Connection":
        """Return this process's session with the nearest daemon, opening it if there is none.

        Raises
        ------
        DaemonNotFound, AccessDenied, VersionMismatch, OverBudget, DaemonStopping
            See `discovery.open_session`.
        """
        with _opening:
            for place in discovery.places():
                known = _shared.get((str(place), os.getpid()))
                if known is not None and known.link.is_open:
                    return known
            opened = discovery.open_session(__version__, autostart=autostart)
            connection = cls(opened)
            _shared[opened.directory, os.getpid()] = connection
            return connection

    def new_id(self) -> int:
        """Return a number that this session has not used for anything yet."""
        with self._lock:
            self._ids += 1
            return self._ids

    def count_request(self, device: str, request: object) -> None:
        """Count a request for as long as it lives.

        Raises
        ------
        OverBudget
            The session has as many as the daemon allows.
        """
        requests = self._requests[device]
        allowed = self.limits.get("requests_per_session_max", sys.maxsize)
        if len(requests) >= allowed:
            raise OverBudget(
                f"a session may have {allowed} requests on a device "
                "(limits.requests_per_session_max)"
            )
        requests.add(request)

    def read_model(
        self, files: ModelFiles, device: str, shapes: tuple[wire.Reshape, ...]
    ) -> wire.ModelRead:
        """Ask a device's worker what a model has."""
        offer = self._offer(files)
        answer: wire.ModelRead = self.link.call(
            self.link.control, lambda call: encode(wire.ReadModel(call, offer, device, shapes))
        )
        return answer

    def _offer(self, files: ModelFiles) -> int:
        offer = self.new_id()
        self.link.call(
            self.link.session,
            lambda call: encode(wire.OfferFiles(call, offer, files.names)),
            files.descriptors,
        )
        return offer

    def compile(
        self,
        files: ModelFiles,
        device: str,
        properties: Mapping[str, str],
        shapes: tuple[wire.Reshape, ...] = (),
    ) -> RemoteModel:
        """Have a device's worker compile a model, or join it if it has that already."""
        link, offer, model = self.link, self._offer(files), self.new_id()
        compiled: wire.Compiled = link.call(
            link.control,
            lambda call: encode(wire.Compile(call, model, offer, device, dict(properties), shapes)),
        )
        channel = link.worker(device, compiled.generation, compiled.endpoint)
        return RemoteModel(
            model,
            device,
            compiled.name,
            compiled.inputs,
            compiled.outputs,
            compiled.properties,
            compiled.generation,
            channel,
        )

    def attach(self, segments: Sequence[Segment], model: RemoteModel) -> None:
        """Make segments known to a model's worker, each once.

        Raises
        ------
        OverBudget
            The daemon's limits are reached, though nothing unused is attached.
        """
        try:
            self._attach(segments, model)
        except OverBudget:
            process_arena().trim()
            self._attach(segments, model)

    def _attach(self, segments: Sequence[Segment], model: RemoteModel) -> None:
        begun = [self._begin_attach(segment, model) for segment in segments]
        for key, ticket in filter(None, begun):
            self.link.wait(ticket)
            try:
                ticket.raise_error()
            except InferdError:
                with self._lock:
                    self._attaching.pop(key, None)
                raise

    def status(self) -> bytes:
        """Return what the daemon tells of itself, as JSON."""
        answer: wire.Status = self.link.call(
            self.link.control, lambda call: encode(wire.AskStatus(call))
        )
        return answer.report

    def _begin_attach(
        self, segment: Segment, model: RemoteModel
    ) -> tuple[tuple[int, str, int], Ticket] | None:
        key = (segment.id, model.device, model.generation)
        ticket = self._attaching.get(key)
        if ticket is not None and ticket.is_settled and ticket.error is None:
            return None
        with self._lock:
            ticket = self._attaching.get(key)
            if ticket is None:
                ticket = self._attaching[key] = self.link.begin(
                    self.link.session,
                    lambda call: encode(
                        wire.Attach(
                            call, segment.id, segment.byte_size, model.device, model.generation
                        )
                    ),
                    [segment.descriptor],
                )
                self._detach_when_gone(segment)
        return key, ticket

    def _detach_when_gone(self, segment: Segment) -> None:
        if segment.id in self._watched:
            return
        self._watched.add(segment.id)
        finalizer = weakref.finalize(segment, _detach, weakref.ref(self), segment.id)
        finalizer.atexit = False


# The open sessions, by runtime directory and process: a forked child has none yet.
_shared: "weakref.WeakValueDictionary[tuple[str, int], Connection]" = weakref.WeakValueDictionary()
_opening = threading.Lock()


def _detach(reference: "weakref.ref[Connection]", segment: int) -> None:
    connection = reference()
    if connection is not None:
        connection._watched.discard(segment)
        link = connection.link
        link.send_later(link.session, encode(wire.Detach(segment)))
        for key in [key for key in list(connection._attaching) if key[0] == segment]:
            connection._attaching.pop(key, None)
