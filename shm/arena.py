"""The arena: 64-byte aligned blocks from a few large segments, taken back when their views die.

A block is a numpy array over a segment's memory. numpy keeps that array alive for as long as any
view of it lives, so its death is the moment to take the bytes back. Deaths happen in any thread and
inside any allocation (the garbage collector), so a finalizer only leaves a note; whoever holds
the lock next reads it.
"""

import os
import threading
import weakref
from bisect import bisect_right
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferd.shm.free_list import FreeList
from inferd.shm.segment import Segment

SEGMENT_BYTES_FIRST: Final = 1 << 20
SEGMENT_BYTES_LAST: Final = 64 << 20  # segments double in size up to this
KEPT_BYTES_MAX: Final = 64 << 20  # free segments beyond this go back to the kernel


class Place(NamedTuple):
    """Where memory of this process lies in a segment."""

    segment: Segment
    offset: int


class _Slab(NamedTuple):
    """A segment of the arena and what is free in it; None for one opened by name."""

    segment: Segment
    free: FreeList | None


class Arena:
    """All shared memory that this process made or opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slabs: list[_Slab] = []  # sorted by address
        self._addresses: list[int] = []
        self._released: deque[tuple[Segment, int, int]] = deque()
        self._next_bytes = SEGMENT_BYTES_FIRST

    def allocate(self, byte_size: int) -> NDArray[np.uint8]:
        """Return an uninitialised block, shape (byte_size,), dtype uint8, 64-byte aligned.

        Raises
        ------
        OutOfMemory
            The machine has not that much memory left.
        """
        assert byte_size >= 0
        with self._lock:
            self._take_back()
            segment, offset = self._reserve(byte_size)
        block = segment.block(offset, byte_size)
        self._watch(block, segment, offset, byte_size)
        self._take_back_if_free()
        return block

    def open(self, name: str) -> NDArray[np.uint8]:
        """Show a named POSIX shared-memory object as a block; see `Segment.open`."""
        segment = Segment.open(name)
        with self._lock:
            self._insert(_Slab(segment, None))
        block = segment.block(0, segment.byte_size)
        self._watch(block, segment, 0, segment.byte_size)
        return block

    def locate(self, array: NDArray[Any]) -> Place | None:
        """Return where an array lies, or None if it is not all in one segment of this arena."""
        low, high = np.lib.array_utils.byte_bounds(array)
        with self._lock:
            index = bisect_right(self._addresses, low) - 1
            segment = self._slabs[index].segment if index >= 0 else None
        offset = None if segment is None else segment.offset_of(low, high - low)
        return None if segment is None or offset is None else Place(segment, offset)

    def segments(self) -> list[Segment]:
        """Return the segments that are mapped now."""
        with self._lock:
            self._take_back()
            return [slab.segment for slab in self._slabs]

    def trim(self) -> None:
        """Give every segment back in which no block is alive."""
        with self._lock:
            self._take_back()
            for slab in [slab for slab in self._slabs if slab.free and slab.free.is_empty]:
                self._remove(slab)

    @property
    def used_bytes(self) -> int:
        """Bytes in blocks that are alive, rounded up to the alignment."""
        with self._lock:
            self._take_back()
            return sum(
                slab.segment.byte_size - (slab.free.free_bytes if slab.free else 0)
                for slab in self._slabs
            )

    def _reserve(self, byte_size: int) -> Place:
        # Segments in use first, small ones first: what lies in few segments is attached in few.
        for slab in sorted(self._slabs, key=_reluctance):
            offset = slab.free.allocate(byte_size) if slab.free else None
            if offset is not None:
                return Place(slab.segment, offset)
        segment = Segment.create(max(byte_size, self._next_bytes))
        self._next_bytes = min(self._next_bytes * 2, SEGMENT_BYTES_LAST)
        free = FreeList(segment.byte_size)
        self._insert(_Slab(segment, free))
        offset = free.allocate(byte_size)
        assert offset is not None
        return Place(segment, offset)

    def _insert(self, slab: _Slab) -> None:
        index = bisect_right(self._addresses, slab.segment.address)
        self._slabs.insert(index, slab)
        self._addresses.insert(index, slab.segment.address)

    def _watch(
        self, block: NDArray[np.uint8], segment: Segment, offset: int, byte_size: int
    ) -> None:
        finalizer = weakref.finalize(block, self._note, segment, offset, byte_size)
        finalizer.atexit = False

    def _note(self, segment: Segment, offset: int, byte_size: int) -> None:
        self._released.append((segment, offset, byte_size))
        self._take_back_if_free()

    def _take_back_if_free(self) -> None:
        """Handle the notes, unless somebody has the lock: then they, or the next one, will."""
        while self._released and self._lock.acquire(blocking=False):
            try:
                self._take_back()
            finally:
                self._lock.release()

    def _take_back(self) -> None:
        dropped: list[_Slab] = []
        while self._released:
            segment, offset, byte_size = self._released.popleft()
            slab = self._slabs[bisect_right(self._addresses, segment.address) - 1]
            assert slab.segment is segment
            if slab.free is None:
                self._remove(slab)
            else:
                slab.free.release(offset, byte_size)
                if slab.free.is_empty:
                    dropped.append(slab)
        for slab in dropped:
            self._drop_if_surplus(slab)

    def _drop_if_surplus(self, slab: _Slab) -> None:
        empty = [each for each in self._slabs if each.free is not None and each.free.is_empty]
        kept_bytes = sum(each.segment.byte_size for each in empty)
        if slab in empty and kept_bytes > KEPT_BYTES_MAX:
            self._remove(slab)

    def _remove(self, slab: _Slab) -> None:
        index = self._slabs.index(slab)
        del self._slabs[index], self._addresses[index]


def _reluctance(slab: _Slab) -> tuple[bool, int]:
    return (slab.free is not None and slab.free.is_empty, slab.segment.byte_size)


_arena = Arena()


def process_arena() -> Arena:
    """Return the arena of this process. A forked child gets one of its own."""
    return _arena


def _renew_after_fork() -> None:
    global _arena
    _arena = Arena()


os.register_at_fork(after_in_child=_renew_after_fork)
