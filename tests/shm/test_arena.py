"""Arena: a block lives as long as any view of it, and not a moment longer."""

import gc
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)
from numpy.typing import NDArray

from inferd.shm.arena import SEGMENT_BYTES_FIRST, Arena
from inferd.shm.errors import AccessDenied, OutOfMemory, WrongValue
from inferd.shm.free_list import FreeList

Bytes = NDArray[np.uint8]
NOBODY = 65534


@pytest.fixture
def arena() -> Arena:
    return Arena()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- Blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte_size", [0, 1, 64, 65, SEGMENT_BYTES_FIRST, SEGMENT_BYTES_FIRST + 1])
def test_a_block_has_the_size_that_was_asked_for_and_is_aligned(
    arena: Arena, byte_size: int
) -> None:
    block = arena.allocate(byte_size)
    assert block.shape == (byte_size,)
    assert block.flags.writeable
    assert block.ctypes.data % 64 == 0


def test_a_block_comes_back_when_its_last_view_dies(arena: Arena) -> None:
    block = arena.allocate(4096)
    view = block[1024:].view(np.float32).reshape(16, -1)[::2].T
    del block
    assert arena.used_bytes == 4096
    view[:] = 1.5
    del view
    assert arena.used_bytes == 0


@pytest.mark.parametrize(
    "make_view",
    [
        lambda block: block[5:6],
        lambda block: block[::-1],
        lambda block: memoryview(block)[3:],
        lambda block: np.frombuffer(memoryview(block), np.int64),
        lambda block: np.lib.stride_tricks.as_strided(block, (2, 2), (64, 1)),
        lambda block: block.view(np.recarray),
        lambda block: np.broadcast_to(block, (2, 128)),
        lambda block: iter(block),
        lambda block: block.data,
    ],
)
def test_every_kind_of_view_keeps_the_block(
    arena: Arena, make_view: Callable[[Bytes], object]
) -> None:
    view: object = make_view(arena.allocate(128))
    assert arena.used_bytes == 128
    del view
    assert arena.used_bytes == 0


def test_bytes_that_came_back_are_used_again(arena: Arena) -> None:
    address = arena.allocate(128).ctypes.data
    assert arena.allocate(128).ctypes.data == address


def test_many_blocks_share_few_segments(arena: Arena) -> None:
    blocks = [arena.allocate(64 << 10) for _ in range(100)]
    assert arena.used_bytes == 100 * (64 << 10)
    assert [segment.byte_size >> 20 for segment in by_id(arena)] == [1, 2, 4]
    assert len(blocks) == 100


def test_a_block_that_the_machine_has_no_room_for_changes_nothing(arena: Arena) -> None:
    before = open_descriptors()
    with pytest.raises(OutOfMemory):
        arena.allocate(1 << 60)
    assert (arena.segments(), arena.used_bytes, open_descriptors()) == ([], 0, before)
    arena.allocate(64)


def test_surplus_segments_go_back_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferd.shm.arena.KEPT_BYTES_MAX", SEGMENT_BYTES_FIRST)
    before = open_descriptors()
    arena = Arena()
    small = arena.allocate(SEGMENT_BYTES_FIRST)
    large = arena.allocate(8 * SEGMENT_BYTES_FIRST)
    kept = by_id(arena)[0]
    del small, large
    assert arena.segments() == [kept]
    assert arena.allocate(SEGMENT_BYTES_FIRST).ctypes.data == kept.address
    del arena, kept
    assert open_descriptors() == before


def test_a_segment_with_a_block_in_it_is_never_surplus(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferd.shm.arena.KEPT_BYTES_MAX", 0)
    blocks = [arena.allocate(1024) for _ in range(3)]
    for block in blocks:
        block[:] = 7
    del blocks[0], block
    assert len(arena.segments()) == 1
    assert all((block == 7).all() for block in blocks)


def test_an_arena_that_is_gone_leaves_no_descriptor_and_no_mapping() -> None:
    before = open_descriptors()
    arena = Arena()
    blocks = [arena.allocate(SEGMENT_BYTES_FIRST) for _ in range(4)]
    maps = Path("/proc/self/maps").read_text()
    addresses = [f"{segment.address:x}-" for segment in arena.segments()]
    assert all(address in maps for address in addresses)
    del blocks, arena
    assert open_descriptors() == before


def by_id(arena: Arena) -> list[Any]:
    return sorted(arena.segments(), key=lambda segment: segment.id)


class AnyOrder(RuleBasedStateMachine):
    """Takes blocks and views and lets them go in any order. Each block has its own contents."""

    views = Bundle("views")

    def __init__(self) -> None:
        super().__init__()
        self.arena = Arena()
        self.alive: dict[int, tuple[Bytes, int]] = {}
        self.blocks = 0

    @rule(target=views, byte_size=st.integers(0, 3000) | st.just(SEGMENT_BYTES_FIRST // 2))
    def allocate(self, byte_size: int) -> int:
        self.blocks += 1
        block = self.arena.allocate(byte_size)
        block[:] = self.blocks % 251
        self.alive[self.blocks] = (block, byte_size)
        return self.blocks

    @rule(block=views, start=st.integers(0, 3000), step=st.integers(1, 9))
    def keep_only_a_part(self, block: int, start: int, step: int) -> None:
        view, byte_size = self.alive[block]
        if view.size:
            self.alive[block] = (view[min(start, view.size - 1) :: step], byte_size)

    @rule(block=consumes(views))
    def let_go(self, block: int) -> None:
        del self.alive[block]

    @invariant()
    def nobody_else_wrote_there(self) -> None:
        assert all((view == block % 251).all() for block, (view, _) in self.alive.items())

    @invariant()
    def exactly_the_blocks_that_are_alive_are_used(self) -> None:
        sizes = [byte_size for _, byte_size in self.alive.values()]
        assert self.arena.used_bytes == sum(max(-(-size // 64), 1) * 64 for size in sizes)

    def teardown(self) -> None:
        self.alive.clear()
        assert self.arena.used_bytes == 0


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=25, stateful_step_count=30)


# --- Deaths in other places -----------------------------------------------------------------------


def test_a_block_that_dies_in_another_thread_comes_back(arena: Arena) -> None:
    held = [arena.allocate(128)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert arena.used_bytes == 0


class Watch:
    """Notices when two threads are in the same work at once."""

    def __init__(self) -> None:
        self.at_work: list[int] = []
        self.collisions: list[int] = []

    def over(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            self.at_work.append(1)
            time.sleep(0)  # lets other threads in, if anything does
            self.collisions.extend(self.at_work[1:])
            try:
                return work(*arguments)
            finally:
                self.at_work.pop()

        return watched


def test_threads_that_take_and_drop_at_once_never_share_bytes(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    for name in ("allocate", "release"):
        monkeypatch.setattr(FreeList, name, watch.over(getattr(FreeList, name)))
    together = threading.Barrier(4)
    spoilt: list[int] = []

    def work(number: int) -> None:
        together.wait()
        blocks: list[Bytes] = []
        for turn in range(150):
            block = arena.allocate(64 * (1 + turn % 5))
            block[:] = number
            blocks.append(block)
            if turn % 3 == 2:
                spoilt.extend(number for block in blocks if (block != number).any())
                del blocks[turn % 2 :: 2]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (watch.collisions, spoilt, arena.used_bytes) == ([], [], 0)


def cycle_with(block: Bytes) -> None:
    """Leave garbage that only the collector finds."""
    garbage: list[Any] = [block]
    garbage.append(garbage)


def test_a_block_that_the_collector_finds_comes_back(arena: Arena) -> None:
    cycle_with(arena.allocate(128))
    assert arena.used_bytes == 128
    gc.collect()
    assert arena.used_bytes == 0


@pytest.mark.parametrize("moment", ["allocate", "release"])
def test_a_block_that_dies_while_the_arena_is_at_work_comes_back(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    work = getattr(FreeList, moment)

    def collect_first(*arguments: Any) -> Any:
        gc.collect()
        return work(*arguments)

    other = arena.allocate(64)
    cycle_with(arena.allocate(128))
    monkeypatch.setattr(FreeList, moment, collect_first)
    other = arena.allocate(64)  # and the first one dies
    monkeypatch.undo()
    assert arena.used_bytes == other.nbytes


IN_A_FORKED_CHILD = """
import os
from inferd.shm.arena import process_arena

parents = process_arena()
blocks = [parents.allocate(128), parents.allocate(128)]
blocks[0][:] = 7
child = os.fork()
if child == 0:
    arena = process_arena()
    assert arena is not parents
    assert arena.segments() == []
    own = arena.allocate(128)
    own[:] = 9
    assert arena.locate(blocks[0]) is None
    assert (blocks[0] == 7).all()
    blocks.clear()  # is the child's affair alone
    del own
    assert arena.used_bytes == 0
else:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert process_arena() is parents
    assert parents.used_bytes == 256
    assert (blocks[0] == 7).all()
"""


def test_a_forked_child_gets_an_arena_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_FORKED_CHILD], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


# --- Places ---------------------------------------------------------------------------------------


def test_a_view_is_located_where_its_bytes_are(arena: Arena) -> None:
    blocks = [arena.allocate(SEGMENT_BYTES_FIRST), arena.allocate(1024)]
    for block in blocks:
        view = block[64:].view(np.float32)[3:7]
        view[:] = 2.5
        place = arena.locate(view)
        assert place is not None
        found = place.segment.block(place.offset, 16).view(np.float32)
        assert found.tolist() == [2.5] * 4
        assert found.ctypes.data == view.ctypes.data


def test_a_view_with_negative_strides_is_located_at_its_lowest_byte(arena: Arena) -> None:
    block = arena.allocate(1024)
    assert arena.locate(block[::-1]) == arena.locate(block)


def test_what_is_not_all_in_one_segment_has_no_place(arena: Arena) -> None:
    block = arena.allocate(SEGMENT_BYTES_FIRST)
    before = np.lib.stride_tricks.as_strided(block, (2,), (-1,))
    after = np.lib.stride_tricks.as_strided(block[-1:], (2,), (1,))
    assert arena.locate(before) is None
    assert arena.locate(after) is None
    assert arena.locate(np.zeros(16)) is None
    assert Arena().locate(block) is None


# --- Objects that another program made and named --------------------------------------------------

MakeObject = Callable[..., str]


@pytest.fixture
def make_object() -> Iterator[MakeObject]:
    """Make POSIX shared-memory objects as `shm_open` does; they go when the test ends."""
    paths: list[Path] = []

    def make(contents: bytes, mode: int = 0o600) -> str:
        name = f"/inferd-test-{secrets.token_hex(8)}"
        paths.append(Path("/dev/shm" + name))
        descriptor = os.open(paths[-1], os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        os.write(descriptor, contents)
        os.close(descriptor)
        return name

    yield make
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Go without the rights of root, to whom every file is open."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_named_object_shows_what_the_other_program_writes(
    arena: Arena, make_object: MakeObject
) -> None:
    name = make_object(b"frame 17")
    block = arena.open(name)
    assert block.tobytes() == b"frame 17"
    with Path("/dev/shm" + name).open("r+b") as other:
        other.write(b"FRAME")
    assert block.tobytes() == b"FRAME 17"
    block[:5] = 0
    assert Path("/dev/shm" + name).read_bytes() == b"\0" * 5 + b" 17"


def test_a_named_object_has_places_and_is_marked_as_unsealed(
    arena: Arena, make_object: MakeObject
) -> None:
    block = arena.open(make_object(bytes(8192)).removeprefix("/"))
    place = arena.locate(block[4096:])
    assert place is not None
    assert (place.offset, place.segment.is_sealed) == (4096, False)


def test_a_named_object_goes_with_its_last_view_and_not_before(
    arena: Arena, make_object: MakeObject
) -> None:
    before = open_descriptors()
    name = make_object(b"x" * 4096)
    view = arena.open(name)[-1:]
    Path("/dev/shm" + name).unlink()
    assert (len(arena.segments()), arena.used_bytes) == (1, 4096)
    assert view.tobytes() == b"x"
    del view
    assert (arena.segments(), arena.used_bytes) == ([], 0)
    assert open_descriptors() == before


def test_our_own_blocks_are_never_put_into_a_named_object(
    arena: Arena, make_object: MakeObject
) -> None:
    named = arena.open(make_object(bytes(1 << 20)))
    block = arena.allocate(64)
    assert not np.shares_memory(named, block)
    place = arena.locate(block)
    assert place is not None
    assert place.segment.is_sealed


def refused(arena: Arena, name: str) -> str:
    """Return why a name is refused, after a look at what was left behind."""
    before = open_descriptors()
    with pytest.raises(WrongValue) as raised:
        arena.open(name)
    assert (arena.segments(), open_descriptors()) == ([], before)
    return str(raised.value)


@pytest.mark.parametrize(
    "name", ["", "/", ".", "..", "/..", "//frames", "/a/b", "a/", "../etc/passwd", "/../dev/zero"]
)
def test_a_path_is_no_name(arena: Arena, name: str) -> None:
    assert "is no name of a POSIX shared-memory object" in refused(arena, name)


@pytest.mark.parametrize("name", ["/fra\0mes", "/fra\ud800mes"])
def test_a_name_that_no_file_can_have_is_refused(arena: Arena, name: str) -> None:
    assert "shared-memory object" in refused(arena, name)


@pytest.mark.parametrize("name", ["/inferd-test-missing", "/" + "x" * 300])
def test_a_missing_object_is_named_in_the_error(arena: Arena, name: str) -> None:
    assert repr(name) in refused(arena, name)


def test_an_empty_object_is_refused(arena: Arena, make_object: MakeObject) -> None:
    assert "is empty" in refused(arena, make_object(b""))


def test_a_directory_is_refused(arena: Arena, make_object: MakeObject) -> None:
    name = make_object(b"")
    path = Path("/dev/shm" + name)
    path.unlink()
    path.mkdir()
    try:
        assert "Is a directory" in refused(arena, name)
    finally:
        path.rmdir()


def test_a_pipe_is_refused(arena: Arena, make_object: MakeObject) -> None:
    name = make_object(b"")
    path = Path("/dev/shm" + name)
    path.unlink()
    os.mkfifo(path)
    assert "not a plain one" in refused(arena, name)


def test_a_link_is_not_followed(arena: Arena, make_object: MakeObject) -> None:
    target, link = make_object(b"frame"), make_object(b"")
    path = Path("/dev/shm" + link)
    path.unlink()
    path.symlink_to("/dev/shm" + target)
    assert "symbolic links" in refused(arena, link)


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o200])
def test_an_object_that_this_user_may_not_read_and_write_is_refused(
    arena: Arena, make_object: MakeObject, mode: int
) -> None:
    name = make_object(b"secret", mode)
    before = open_descriptors()
    with ordinary_user(), pytest.raises(AccessDenied, match=name):
        arena.open(name)
    assert (arena.segments(), open_descriptors()) == ([], before)
