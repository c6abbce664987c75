"""Which bytes of one segment are free: first fit, neighbours merged. Pure."""

from bisect import bisect_left
from typing import Final

ALIGNMENT_BYTES: Final = 64  # a cache line, and what vector instructions of any engine want


def aligned(byte_size: int) -> int:
    """Round up to the alignment; an empty block takes one unit, so that it has an address."""
    return max(-(-byte_size // ALIGNMENT_BYTES), 1) * ALIGNMENT_BYTES


class FreeList:
    """The free ranges of a segment, sorted by offset, never adjacent, never empty."""

    def __init__(self, byte_size: int) -> None:
        self.byte_size = byte_size
        self._ranges: list[tuple[int, int]] = [(0, byte_size)]

    @property
    def free_bytes(self) -> int:
        return sum(end - start for start, end in self._ranges)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is allocated."""
        return self._ranges == [(0, self.byte_size)]

    def allocate(self, byte_size: int) -> int | None:
        """Take aligned bytes and return their offset, or None where no range is large enough."""
        needed = aligned(byte_size)
        for index, (start, end) in enumerate(self._ranges):
            if end - start >= needed:
                rest = [(start + needed, end)] if end - start > needed else []
                self._ranges[index : index + 1] = rest
                return start
        return None

    def release(self, offset: int, byte_size: int) -> None:
        """Give back what `allocate` returned for this size."""
        start, end = offset, offset + aligned(byte_size)
        index = bisect_left(self._ranges, (start, end))
        before = self._ranges[index - 1] if index else (-1, -1)
        after = self._ranges[index] if index < len(self._ranges) else (self.byte_size, 0)
        assert before[1] <= start, "released twice"
        assert end <= after[0], "released twice"
        first, last = index, index
        if before[1] == start:
            first, start = index - 1, before[0]
        if after[0] == end and index < len(self._ranges):
            last, end = index + 1, after[1]
        self._ranges[first:last] = [(start, end)]
