"""FreeList: whatever the order, blocks never overlap and every byte comes back."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from inferd.shm.free_list import ALIGNMENT_BYTES, FreeList, aligned

SIZE = 32 * ALIGNMENT_BYTES


class AnyOrder(RuleBasedStateMachine):
    """Allocates and releases in any order, beside a model that knows what is used."""

    blocks = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        self.free = FreeList(SIZE)
        self.used: dict[int, int] = {}

    def gaps(self) -> list[tuple[int, int]]:
        """What lies between the used blocks: ranges as large as merging can make them."""
        edges = [0]
        for offset, byte_size in sorted(self.used.items()):
            edges += [offset, offset + aligned(byte_size)]
        edges.append(SIZE)
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]

    @rule(target=blocks, byte_size=st.integers(0, SIZE // 4))
    def allocate(self, byte_size: int) -> int:
        needed = aligned(byte_size)
        fitting = [start for start, end in self.gaps() if end - start >= needed]
        offset = self.free.allocate(byte_size)
        assert offset == (fitting[0] if fitting else None)
        if offset is None:
            nothing: int = multiple()  # type: ignore[assignment]  # for the bundle, not a value
            return nothing
        self.used[offset] = byte_size
        return offset

    @rule(offset=consumes(blocks))
    def release(self, offset: int) -> None:
        self.free.release(offset, self.used.pop(offset))

    @invariant()
    def blocks_are_aligned_and_apart(self) -> None:
        assert all(offset % ALIGNMENT_BYTES == 0 for offset in self.used)
        assert all(start <= end for start, end in self.gaps())

    @invariant()
    def free_and_used_are_the_whole(self) -> None:
        used_bytes = sum(aligned(byte_size) for byte_size in self.used.values())
        assert self.free.free_bytes + used_bytes == SIZE
        assert self.free.is_empty == (not self.used)

    def teardown(self) -> None:
        for offset, byte_size in self.used.items():
            self.free.release(offset, byte_size)
        assert self.free.is_empty
        assert self.free.allocate(SIZE) == 0


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)


def test_an_empty_block_has_an_address_of_its_own() -> None:
    free = FreeList(SIZE)
    assert free.allocate(0) != free.allocate(0)


def test_a_block_that_does_not_fit_changes_nothing() -> None:
    free = FreeList(SIZE)
    assert free.allocate(SIZE + 1) is None
    assert free.is_empty


def test_the_first_gap_that_is_large_enough_is_taken() -> None:
    free = FreeList(SIZE)
    small, _, large, _ = (free.allocate(units * ALIGNMENT_BYTES) for units in (1, 1, 3, 1))
    assert small is not None
    assert large is not None
    free.release(small, ALIGNMENT_BYTES)
    free.release(large, 3 * ALIGNMENT_BYTES)
    assert free.allocate(2 * ALIGNMENT_BYTES) == large


@pytest.mark.parametrize(
    ("offset", "byte_size"), [(0, 64), (0, 128), (64, 64), (SIZE - 64, 64), (SIZE, 64)]
)
def test_releasing_what_is_free_is_a_bug_of_ours(offset: int, byte_size: int) -> None:
    free = FreeList(SIZE)
    free.allocate(64)
    free.release(0, 64)
    with pytest.raises(AssertionError, match="released twice"):
        free.release(offset, byte_size)


@pytest.mark.parametrize(
    ("byte_size", "taken"), [(0, 64), (1, 64), (64, 64), (65, 128), (1 << 40, 1 << 40)]
)
def test_sizes_are_rounded_up_to_the_alignment(byte_size: int, taken: int) -> None:
    assert aligned(byte_size) == taken
