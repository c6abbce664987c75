"""Segment: sealed and reserved when it is ours, and checked in every way when it is a peer's."""

import errno
import fcntl
import gc
import mmap
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from inferd.shm.errors import DescriptorInvalid, OutOfMemory
from inferd.shm.segment import PAGE_BYTES, Segment, sealed_memory

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
SIZE = 4 * PAGE_BYTES


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def mapped_segments() -> int:
    return Path("/proc/self/maps").read_text().count("memfd:inferd")


def memory(byte_size: int = SIZE, *, seals: int = SEALS, reserve: bool = True) -> int:
    """Shared memory as a peer may make it."""
    descriptor = os.memfd_create("peer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, byte_size)
    if reserve and byte_size:
        os.posix_fallocate(descriptor, 0, byte_size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def half_reserved() -> int:
    descriptor = memory(seals=0, reserve=False)
    os.posix_fallocate(descriptor, 0, SIZE // 2)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


def reopened(mode: int) -> int:
    descriptor = memory()
    try:
        return os.open(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


def file_on_disk() -> int:
    with tempfile.TemporaryFile(dir="/var/tmp") as file:  # never a tmpfs, which knows seals
        os.posix_fallocate(file.fileno(), 0, SIZE)
        return os.dup(file.fileno())


def end_of(ends: tuple[int, int]) -> int:
    os.close(ends[1])
    return ends[0]


def end_of_sockets() -> int:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


@contextmanager
def no_descriptor_leaked() -> Iterator[None]:
    gc.collect()
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def failing_map(*_: object, **__: object) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def error_of(call: Callable[[], object]) -> type[Exception] | None:
    """The error's type alone: the error itself would keep what the call made."""
    try:
        call()
    except Exception as why:
        return type(why)
    return None


def closes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that are closed from now on; a second close of one is only noted."""
    closed: list[int] = []
    close = os.close

    def note(descriptor: int) -> None:
        closed.append(descriptor)
        if closed.count(descriptor) == 1:
            close(descriptor)

    monkeypatch.setattr(os, "close", note)
    return closed


# --- Ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte_size", [0, SIZE - 1, SIZE + 1])
def test_our_segments_can_be_neither_shrunk_nor_grown(byte_size: int) -> None:
    segment = Segment.create(SIZE)
    with pytest.raises(PermissionError):
        os.ftruncate(segment.descriptor, byte_size)


def test_nobody_can_change_the_seals() -> None:
    segment = Segment.create(SIZE)
    assert segment.is_sealed
    with pytest.raises(PermissionError):
        fcntl.fcntl(segment.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


@pytest.mark.parametrize(
    ("asked", "got"),
    [(-1, PAGE_BYTES), (0, PAGE_BYTES), (1, PAGE_BYTES), (PAGE_BYTES + 1, 2 * PAGE_BYTES)],
)
def test_segments_are_whole_pages_and_reserved(asked: int, got: int) -> None:
    segment = Segment.create(asked)
    status = os.fstat(segment.descriptor)
    assert segment.byte_size == segment.memory.nbytes == status.st_size == got
    assert status.st_blocks * 512 >= got


def test_ids_are_never_used_again() -> None:
    ids = [Segment.create(1).id for _ in range(3)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


@pytest.mark.parametrize("byte_size", [1 << 50, (1 << 63) - 1, 1 << 63, 1 << 80])
def test_what_the_machine_has_not_is_refused_before_anything_is_taken(
    byte_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    with no_descriptor_leaked(), pytest.raises(OutOfMemory, match="no room for a segment of"):
        Segment.create(byte_size)


def test_a_reservation_that_fails_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with no_descriptor_leaked(), pytest.raises(OutOfMemory, match="No space left"):
        sealed_memory(SIZE)


def test_a_mapping_that_fails_closes_its_descriptor_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "mmap", failing_map)
    closed = closes(monkeypatch)
    with no_descriptor_leaked():
        assert error_of(lambda: Segment.create(SIZE)) is not None
    assert len(closed) == 1


def test_a_mapping_that_fails_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "mmap", failing_map)
    closes(monkeypatch)
    assert error_of(lambda: Segment.create(SIZE)) is OutOfMemory


def test_the_mapping_goes_with_the_last_array_over_it() -> None:
    before = mapped_segments()
    segment = Segment.create(SIZE)
    block = segment.block(64, 128)
    del segment
    block[:] = 7
    assert mapped_segments() == before + 1
    del block
    assert mapped_segments() == before


def test_a_block_is_a_part_of_the_mapping() -> None:
    segment = Segment.create(SIZE)
    block = segment.block(64, 128)
    block[:] = 7
    assert block.shape == (128,)
    assert np.flatnonzero(segment.memory).tolist() == list(range(64, 192))


@pytest.mark.parametrize(
    ("start", "span", "offset"),
    [
        (0, SIZE, 0),
        (64, SIZE - 64, 64),
        (SIZE, 0, SIZE),
        (-1, 1, None),
        (0, SIZE + 1, None),
        (SIZE, 1, None),
    ],
)
def test_memory_has_an_offset_only_if_it_is_all_in_the_segment(
    start: int, span: int, offset: int | None
) -> None:
    segment = Segment.create(SIZE)
    assert segment.offset_of(segment.address + start, span) == offset


def test_a_forgotten_descriptor_is_closed_and_the_mapping_stays() -> None:
    before = open_descriptors()
    segment = Segment.create(SIZE)
    with_descriptor = open_descriptors()
    segment.forget_descriptor()
    segment.forget_descriptor()
    assert before <= open_descriptors() < with_descriptor
    segment.memory[-1] = 7
    assert segment.memory[-1] == 7


# --- A peer's -------------------------------------------------------------------------------------


def test_what_one_side_writes_the_other_reads() -> None:
    theirs = Segment.create(SIZE)
    ours = Segment.receive(os.dup(theirs.descriptor), SIZE, allow_unsealed=False)
    theirs.memory[:3] = (1, 2, 3)
    assert ours.is_sealed
    assert ours.memory[:4].tolist() == [1, 2, 3, 0]


def test_a_segment_of_one_byte_is_accepted() -> None:
    assert Segment.receive(memory(1), 1, allow_unsealed=False).memory.tolist() == [0]


def test_an_accepted_descriptor_belongs_to_the_segment() -> None:
    descriptor = memory()
    segment = Segment.receive(descriptor, SIZE, allow_unsealed=False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    segment.memory[-1] = 7


def test_an_unsealed_segment_is_accepted_only_where_that_is_allowed() -> None:
    segment = Segment.receive(memory(seals=0), SIZE, allow_unsealed=True)
    assert not segment.is_sealed
    with pytest.raises(DescriptorInvalid, match="not sealed"):
        Segment.receive(memory(seals=0), SIZE, allow_unsealed=False)


@pytest.mark.parametrize("missing", [fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL])
def test_every_seal_is_asked_for(missing: int) -> None:
    with no_descriptor_leaked(), pytest.raises(DescriptorInvalid, match="not sealed"):
        Segment.receive(memory(seals=SEALS & ~missing), SIZE, allow_unsealed=False)


REFUSED: dict[str, tuple[Callable[[], int], str]] = {
    "a directory": (lambda: os.open("/", os.O_RDONLY), "is not shared memory"),
    "a pipe": (lambda: end_of(os.pipe()), "is not shared memory"),
    "a socket": (end_of_sockets, "is not shared memory"),
    "an eventfd": (lambda: os.eventfd(0), "is not shared memory"),
    "a pidfd": (lambda: os.pidfd_open(os.getpid()), "is not shared memory"),
    "a device": (lambda: os.open("/dev/zero", os.O_RDWR), "is not shared memory"),
    "a file": (file_on_disk, "is a file, not shared memory"),
    "sparse memory": (lambda: memory(reserve=False), "is not reserved"),
    "half-reserved memory": (half_reserved, "is not reserved"),
    "read-only": (lambda: reopened(os.O_RDONLY), "is not open for reading and writing"),
    "write-only": (lambda: reopened(os.O_WRONLY), "is not open for reading and writing"),
    "a path only": (lambda: reopened(os.O_PATH), "is not open for reading and writing"),
}


@pytest.mark.parametrize("allow_unsealed", [False, True])
@pytest.mark.parametrize(("make", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_reserved_shared_memory_is_refused_and_closed(
    make: Callable[[], int], complaint: str, allow_unsealed: bool
) -> None:
    with no_descriptor_leaked():
        descriptor = make()
        with pytest.raises(DescriptorInvalid, match=complaint):
            Segment.receive(descriptor, SIZE, allow_unsealed=allow_unsealed)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("said", [-SIZE, -1, 0, 1, SIZE - 1, SIZE + 1, 1 << 62, 1 << 63, 1 << 80])
@pytest.mark.parametrize("byte_size", [0, SIZE])
def test_a_segment_of_another_size_than_was_said_is_refused(byte_size: int, said: int) -> None:
    with no_descriptor_leaked(), pytest.raises(DescriptorInvalid, match=str(byte_size)):
        Segment.receive(memory(byte_size), said, allow_unsealed=False)


def test_a_huge_sparse_segment_is_refused_though_its_size_is_true() -> None:
    byte_size = 1 << 50
    with no_descriptor_leaked(), pytest.raises(DescriptorInvalid, match="not reserved"):
        Segment.receive(memory(byte_size, reserve=False), byte_size, allow_unsealed=False)


def test_a_descriptor_that_cannot_be_mapped_is_refused_and_closed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descriptor = memory()
    monkeypatch.setattr(mmap, "mmap", failing_map)
    closed = closes(monkeypatch)
    receive = partial(Segment.receive, descriptor, SIZE, allow_unsealed=False)
    assert error_of(receive) is DescriptorInvalid
    assert closed == [descriptor]
