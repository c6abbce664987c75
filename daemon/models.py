"""What is loaded on a device, who uses it, and what is unloaded when. Pure: time is an argument.

Two sessions that compile the same files with the same properties use one entry. An entry that
nobody uses is kept for a while, because programs come back.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inferd.daemon.engines.base import CompiledModel
from inferd.shm.errors import InferdError
from inferd.shm.states import MODEL, Model, ModelEvent, step
from inferd.shm.wire import Reshape


class ModelKey(NamedTuple):
    """What makes two compilations the same."""

    digest: bytes
    properties: tuple[tuple[str, str], ...]
    shapes: tuple[Reshape, ...]


@dataclass(eq=False)
class ModelEntry:
    """A model on this device. ``waiting`` are the calls to answer once it is compiled."""

    id: int
    key: ModelKey
    name: str = ""
    state: Model = Model.COMPILING
    compiled: CompiledModel | None = None
    compile_ms: float = 0.0
    inferences: int = 0
    expected_s: float = float("inf")  # of the next inference, from the last ones
    users: Counter[int] = field(default_factory=Counter)
    waiting: list[Any] = field(default_factory=list)
    unload_at_s: float = float("inf")

    def ran(self, seconds: float) -> None:
        """Learn from an inference how long the next may take."""
        self.inferences += 1
        known = self.expected_s != float("inf")
        self.expected_s = self.expected_s * 0.75 + seconds * 0.25 if known else seconds


class Models:
    """The models of one device."""

    def __init__(self, keep_alive_s: float) -> None:
        self._keep_alive_s = keep_alive_s
        self._by_key: dict[ModelKey, ModelEntry] = {}
        self._ids = itertools.count(1)
        self.next_unload_s = float("inf")  # when `unload_due` is worth calling

    def __iter__(self) -> Any:
        return iter(self._by_key.values())

    def use(self, key: ModelKey, session: int) -> tuple[ModelEntry, bool]:
        """Return the entry of a key, and whether it is new and has to be compiled."""
        is_new = key not in self._by_key
        if is_new:
            self._by_key[key] = ModelEntry(next(self._ids), key)
        entry = self._by_key[key]
        entry.users[session] += 1
        entry.unload_at_s = float("inf")
        return entry, is_new

    def compiled(
        self, entry: ModelEntry, model: CompiledModel, compile_ms: float, now_s: float
    ) -> None:
        entry.state = step(MODEL, entry.state, ModelEvent.COMPILED)
        entry.compiled, entry.compile_ms, entry.name = model, compile_ms, model.name
        self._keep_if_unused(entry, now_s)

    def failed(self, entry: ModelEntry, why: InferdError) -> None:
        """Forget an entry that could not be compiled, so that the next try starts afresh."""
        entry.state = step(MODEL, entry.state, ModelEvent.FAIL)
        del self._by_key[entry.key]

    def release(self, entry: ModelEntry, session: int, now_s: float) -> None:
        """Take back one use."""
        entry.users[session] -= 1
        if not entry.users[session]:
            del entry.users[session]
        self._keep_if_unused(entry, now_s)

    def forget(self, session: int, now_s: float) -> None:
        """Take back every use of a session that has ended."""
        for entry in self._by_key.values():
            if entry.users.pop(session, 0):
                self._keep_if_unused(entry, now_s)

    def _keep_if_unused(self, entry: ModelEntry, now_s: float) -> None:
        if not entry.users:
            entry.unload_at_s = now_s + self._keep_alive_s
            self.next_unload_s = min(self.next_unload_s, entry.unload_at_s)

    def unload_due(self, now_s: float) -> list[ModelEntry]:
        """Drop the entries that nobody used for long enough, and return them."""
        due = [
            entry
            for entry in self._by_key.values()
            if entry.state is Model.READY and entry.unload_at_s <= now_s
        ]
        for entry in due:
            del self._by_key[entry.key]
        times = [entry.unload_at_s for entry in self if entry.state is Model.READY]
        self.next_unload_s = min(times, default=float("inf"))
        return due


def key_of(
    digest: bytes, properties: Mapping[str, str], shapes: tuple[Reshape, ...] = ()
) -> ModelKey:
    """Return the key of a compilation."""
    return ModelKey(digest, tuple(sorted(properties.items())), tuple(sorted(shapes, key=repr)))
