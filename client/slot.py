"""One port of a request: its tensor, and how a worker gets at it.

A tensor in the arena is bound as it is. Memory of the program and strings are staged: a block of
the arena stands in for them, filled before the inference or emptied after it. An output whose size
is known only afterwards is elastic: the worker may use all of its block, and keeps what does not
fit until we fetch it into a larger one.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from inferd.client.ports import ConstOutput
from inferd.client.storage import Storage
from inferd.shm.arena import Place
from inferd.shm.element_type import ElementType
from inferd.shm.layouts import TensorLayout, decode_strings, element_count, encode_strings
from inferd.shm.segment import Segment
from inferd.shm.wire import Binding, Result

STRING_ROOM_BYTES: Final = 4096  # for an output of strings, before the first run tells more

Fetch = Callable[[Binding, Segment], None]


class Slot:
    """The tensor of one port; ``bound`` is what the worker was told last."""

    __slots__ = ("bound", "is_elastic", "is_string", "port", "staged", "storage")

    def __init__(self, port: ConstOutput) -> None:
        facts = port.facts
        self.port = port
        self.is_string = facts.element_type == ElementType.string.name
        self.is_elastic = not port.is_input and (self.is_string or facts.static_shape is None)
        self.storage = Storage(port.get_element_type(), facts.first_shape)
        self.staged: Storage | None = None
        self.bound: Binding | TensorLayout | None = None

    def set(self, storage: Storage) -> None:
        """Use another tensor.

        Raises
        ------
        TensorMismatch
            It does not fit the port; the old one stays.
        """
        if not self.is_elastic or storage.shape != (0,):
            self.port.facts.check(storage.element_type, storage.shape)
        self.storage, self.staged = storage, None

    @property
    def is_current(self) -> bool:
        """Whether the worker knows this very tensor in its present shape."""
        return self.bound is not None and self.bound is self.storage.known_layout

    def check(self) -> None:
        """Raise `TensorMismatch` if the tensor of an input no longer fits its port."""
        self.port.facts.check(self.storage.element_type, self.storage.shape)

    def prepare(self) -> Storage:
        """Make the tensor visible to a worker, and return the storage that it is to use."""
        if self.is_string:
            return self._stage_strings()
        if self.storage.layout is not None and not (self.is_elastic and self.storage.is_region):
            return self.storage
        return self._stage()

    def is_bound_to(self, shared: Storage) -> bool:
        """Whether the worker knows the storage that `prepare` returned."""
        if self.is_elastic or self.is_string:
            return self.bound == self.binding(shared)
        return self.bound is shared.layout

    def bind(self, shared: Storage) -> Binding:
        """Return what the worker has to be told, and take it as told."""
        binding = self.binding(shared)
        self.bound = binding if self.is_elastic or self.is_string else shared.layout
        return binding

    def binding(self, shared: Storage) -> Binding:
        """Return the message that tells of a storage."""
        if not self.is_elastic and not self.is_string:
            assert shared.layout is not None
            return Binding(self.port.position, shared.layout, 0)
        place = _block(shared)
        layout = TensorLayout(
            place.segment.id,
            place.offset,
            self.storage.element_type.name,
            self.storage.shape if self.port.is_input else (0,),
            None,
        )
        return Binding(self.port.position, layout, shared.block_bytes)

    def segment(self, shared: Storage) -> Segment:
        """Return the segment in which a storage lies."""
        return _block(shared).segment

    def collect(self, result: Result | None, fetch: Fetch) -> None:
        """Make an output readable after a run that succeeded.

        Raises
        ------
        TensorMismatch
            The output does not fit into memory that the program has set.
        """
        if result is None:
            if self.staged is not None:
                np.copyto(self.storage.array, self.staged.array)
        elif self.is_string:
            self._collect_strings(result, fetch)
        else:
            self._collect_elastic(result, fetch)

    def _stage(self) -> Storage:
        storage = self.storage
        if self.staged is None or self.staged.shape != storage.shape:
            self.staged = Storage(storage.element_type, storage.shape)
        if self.port.is_input:
            np.copyto(self.staged.array, storage.array)
        return self.staged

    def _stage_strings(self) -> Storage:
        content = encode_strings(self.storage.strings) if self.port.is_input else b""
        room = self._room(max(len(content), STRING_ROOM_BYTES))
        room.array[: len(content)] = np.frombuffer(content, np.uint8)
        return room

    def _room(self, byte_size: int) -> Storage:
        """Return a staged block of at least this many bytes."""
        if self.staged is None or self.staged.block_bytes < byte_size:
            self.staged = Storage(ElementType.u8, (byte_size,))
        return self.staged

    def _collect_strings(self, result: Result, fetch: Fetch) -> None:
        room = self._room(result.byte_size)
        if result.is_held:
            fetch(self.bind(room), self.segment(room))
        values = decode_strings(room.array, element_count(result.shape))
        self.storage.reshape(result.shape)
        self.storage.take_strings(values)

    def _collect_elastic(self, result: Result, fetch: Fetch) -> None:
        self.storage.reshape(result.shape)
        if self.staged is not None:
            self.staged.reshape(result.shape)
        shared = self.staged or self.storage
        if result.is_held:
            fetch(self.bind(shared), self.segment(shared))
        if self.staged is not None:
            np.copyto(self.storage.array, self.staged.array)


def _block(storage: Storage) -> Place:
    place = storage.block_place()
    assert place is not None, "what a worker uses lies in the arena"
    return place
