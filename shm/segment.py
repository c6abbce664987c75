"""Segments: shared-memory objects without a name, sealed so that no peer can shrink them.

The kernel frees a segment when the last process that maps it is gone, so none can leak. Sizing uses
posix_fallocate: exhaustion is an error here, not a SIGBUS later. This module and `arena` are the
only ones that map memory.
"""

import fcntl
import itertools
import mmap
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from inferd.shm.errors import AccessDenied, DescriptorInvalid, OutOfMemory, WrongValue

PAGE_BYTES: Final = mmap.PAGESIZE
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_MFD_NOEXEC_SEAL: Final = 0x0008  # Linux 6.3; not in Python's os
_FOLDER: Final = Path("/dev/shm")  # where POSIX shared-memory objects show on Linux
_ids = itertools.count(1)


class Segment:
    """A mapped shared-memory object.

    Attributes
    ----------
    id : int
        Unique in this process and never used again.
    byte_size : int
    memory : ndarray, shape (byte_size,), dtype uint8
        The mapping. Arrays that view it keep it alive.
    address : int
        Where it is mapped in this process.
    is_sealed : bool
        False for an object that was opened by its name and so may be truncated by others.
    """

    def __init__(self, descriptor: int, byte_size: int, *, is_sealed: bool) -> None:
        """Map a descriptor, which belongs to the segment from now on, whatever happens.

        Raises
        ------
        OSError
            It can't be mapped.
        """
        self._descriptor = descriptor
        self.id = next(_ids)
        self.byte_size = byte_size
        self.is_sealed = is_sealed
        self._map = _map(descriptor, byte_size)
        self.memory: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.address: int = self.memory.__array_interface__["data"][0]

    @classmethod
    def create(cls, byte_size: int) -> Self:
        """Reserve, seal and map a new segment of at least this many bytes.

        Raises
        ------
        OutOfMemory
            The machine has not that much memory left.
        """
        byte_size = max(-(-byte_size // PAGE_BYTES), 1) * PAGE_BYTES
        try:
            return cls(sealed_memory(byte_size), byte_size, is_sealed=True)
        except OSError as why:
            raise OutOfMemory(f"can't map a segment of {byte_size} bytes: {why}") from None

    @classmethod
    def open(cls, name: str) -> Self:
        """Map a named POSIX shared-memory object with the rights of this process.

        Raises
        ------
        WrongValue
            There is no such object, or it is empty.
        AccessDenied
            This user may not read and write it.
        """
        plain = name.removeprefix("/")
        if not plain or "/" in plain or plain in (".", ".."):
            raise WrongValue(f"{name!r} is no name of a POSIX shared-memory object, like '/frames'")
        try:
            descriptor = os.open(_FOLDER / plain, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except PermissionError:
            raise AccessDenied(
                f"this user may not read and write the shared-memory object {name!r}"
            ) from None
        except (OSError, ValueError) as why:
            raise WrongValue(f"can't open the shared-memory object {name!r}: {why}") from None
        status = os.fstat(descriptor)
        if not status.st_size or not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise WrongValue(f"the shared-memory object {name!r} is empty or not a plain one")
        try:
            return cls(descriptor, status.st_size, is_sealed=False)
        except (OSError, ValueError) as why:
            raise WrongValue(f"can't map the shared-memory object {name!r}: {why}") from None

    @classmethod
    def receive(cls, descriptor: int, byte_size: int, *, allow_unsealed: bool) -> Self:
        """Check and map a descriptor that a peer sent; it belongs to the segment afterwards.

        Raises
        ------
        DescriptorInvalid
            It is not shared memory of this size, or not sealed against shrinking.
        """
        try:
            is_sealed = check_descriptor(descriptor, byte_size, allow_unsealed=allow_unsealed)
        except BaseException:
            os.close(descriptor)
            raise
        try:
            segment = cls(descriptor, byte_size, is_sealed=is_sealed)
        except (OSError, ValueError) as why:
            raise DescriptorInvalid(f"can't map the descriptor: {why}") from None
        segment.forget_descriptor()
        return segment

    def block(self, offset: int, byte_size: int) -> NDArray[np.uint8]:
        """Return a part of the mapping as an array of its own, shape (byte_size,), dtype uint8."""
        return np.frombuffer(self._map, np.uint8, count=byte_size, offset=offset)

    @property
    def descriptor(self) -> int:
        """The descriptor to pass on; it goes with the segment."""
        return self._descriptor

    def forget_descriptor(self) -> None:
        """Close the descriptor of a segment that is never passed on; the mapping stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def offset_of(self, address: int, span_bytes: int) -> int | None:
        """Return the offset of memory in this process, or None where it is not all in here."""
        offset = address - self.address
        return offset if 0 <= offset <= self.byte_size - span_bytes else None

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)

    def __repr__(self) -> str:
        return f"<Segment {self.id}: {self.byte_size} bytes>"


def sealed_memory(byte_size: int) -> int:
    """Return the descriptor of new, reserved, sealed shared memory.

    Raises
    ------
    OutOfMemory
        The machine has not that much memory left.
    """
    available = _available_bytes()
    if byte_size > available:
        raise OutOfMemory(
            f"no room for a segment of {byte_size} bytes: the machine has {available} bytes left"
        )
    descriptor = _memfd()
    try:
        os.posix_fallocate(descriptor, 0, byte_size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as why:
        os.close(descriptor)
        raise OutOfMemory(
            f"no room for a segment of {byte_size} bytes: {os.strerror(why.errno or 0)}"
        ) from None
    return descriptor


def check_descriptor(descriptor: int, byte_size: int, *, allow_unsealed: bool) -> bool:
    """Check a descriptor that a peer sent, and return whether it is sealed.

    Raises
    ------
    DescriptorInvalid
        It is not shared memory of this size, or not sealed against shrinking.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise DescriptorInvalid("the descriptor is not shared memory")
    if byte_size < 1 or status.st_size != byte_size:
        raise DescriptorInvalid(
            f"the segment was said to have {byte_size} bytes, but has {status.st_size}"
        )
    if status.st_blocks * 512 < byte_size:
        raise DescriptorInvalid("the segment is not reserved; size it with posix_fallocate")
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
        raise DescriptorInvalid("the descriptor is not open for reading and writing")
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:  # only tmpfs and hugetlbfs know seals
        raise DescriptorInvalid("the descriptor is a file, not shared memory") from None
    is_sealed = seals & _SEALS == _SEALS
    if not is_sealed and not allow_unsealed:
        raise DescriptorInvalid(
            "the segment is not sealed against shrinking; make it with memfd_create and add "
            "F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL"
        )
    return is_sealed


def _memfd() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("inferd", flags | _MFD_NOEXEC_SEAL)
    except OSError:  # a kernel before 6.3
        return os.memfd_create("inferd", flags)


def _map(descriptor: int, byte_size: int) -> mmap.mmap:
    """Map with all pages in place; on 3.13 without a second descriptor."""
    keywords: dict[str, Any] = {"flags": mmap.MAP_SHARED | mmap.MAP_POPULATE}
    if sys.version_info >= (3, 13):
        keywords["trackfd"] = False
    return mmap.mmap(descriptor, byte_size, **keywords)


def _available_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return sys.maxsize  # a kernel that does not say: let the reservation decide
