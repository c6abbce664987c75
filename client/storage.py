"""The memory behind tensors: several `Tensor` objects may show one storage.

A storage lies in a block of the arena, in memory of the program that is shared with it, or in a
region of another storage. Only what lies in the arena reaches a worker without a copy. Strings are
objects of this process.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferd.shm.arena import Place, process_arena
from inferd.shm.element_type import ElementType, packed_bytes
from inferd.shm.errors import TensorMismatch, WrongValue
from inferd.shm.layouts import TensorLayout, contiguous_strides, element_count


def data_bytes(element_type: ElementType, shape: Sequence[int]) -> int:
    """Return the bytes of a contiguous tensor's data; 0 for strings, which are kept as objects."""
    elements = element_count(shape)
    if element_type is ElementType.string:
        return 0
    if element_type.is_packed:
        return packed_bytes(element_type, elements)
    return elements * element_type.size


class Storage:
    """Elements of one type and shape.

    Attributes
    ----------
    array : ndarray, shape as the tensor's (flat bytes for packed types)
        What `Tensor.data` shows; for strings, `bytes` objects.
    """

    __slots__ = (
        "__weakref__",
        "_is_placed",
        "_keep",
        "_layout",
        "_owns",
        "_raw",
        "_region",
        "array",
        "element_type",
        "shape",
    )

    array: NDArray[Any]
    _is_placed: bool
    _layout: TensorLayout | None

    def __init__(
        self,
        element_type: ElementType,
        shape: Sequence[int],
        raw: NDArray[np.uint8] | None = None,
        keep: Any = None,
    ) -> None:
        """Lay elements over ``raw``, flat bytes of the program, or over memory of our own.

        Raises
        ------
        WrongValue
            The element type is dynamic.
        OutOfMemory
            There is no shared memory left.
        """
        if element_type is ElementType.dynamic:
            raise WrongValue("a tensor can't have a dynamic element type")
        self.element_type = element_type
        self._keep = keep
        self._region: NDArray[Any] | None = None
        self._owns = raw is None
        self._raw: NDArray[Any] = _allocate(element_type, shape) if raw is None else raw
        self._show(tuple(shape))

    @classmethod
    def region_of(cls, other: "Storage", begin: Sequence[int], end: Sequence[int]) -> "Storage":
        """Return a region of another storage; the memory stays that one's."""
        region = cls.__new__(cls)
        region.element_type = other.element_type
        region._keep = other
        region._owns = False
        region._region = _part(other.array, begin, end)
        region._raw = other._raw
        region._show(region._region.shape)
        return region

    @property
    def is_region(self) -> bool:
        return self._region is not None

    @property
    def byte_size(self) -> int:
        if self.element_type is ElementType.string:
            return element_count(self.shape) * self.element_type.size
        return data_bytes(self.element_type, self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, in each dimension."""
        size = self.element_type.size
        if self._region is None or not self.array.size:
            return contiguous_strides(self.shape, size)
        return tuple(stride // self.array.itemsize * size for stride in self.array.strides)

    @property
    def strings(self) -> list[bytes]:
        """The elements of a string tensor, in C order."""
        elements: list[bytes] = self.array.reshape(-1).tolist()
        return elements

    def reshape(self, shape: Sequence[int]) -> None:
        """Change the shape. Memory of our own grows, as a new one; other memory must suffice.

        Raises
        ------
        TensorMismatch
            The memory is not ours and does not hold that many elements.
        """
        shape = tuple(shape)
        if shape == self.shape:
            return
        if self._region is not None:
            self._check_region(shape)
        elif _raw_size(self.element_type, shape) > self._raw.size:
            if not self._owns:
                raise TensorMismatch(
                    f"shape {list(shape)} takes {data_bytes(self.element_type, shape)} bytes, but "
                    f"the shared memory of this tensor has {self._raw.nbytes}"
                )
            self._raw = _allocate(self.element_type, shape)
        self._show(shape)

    @property
    def layout(self) -> TensorLayout | None:
        """Where the elements lie in a segment; None for strings and for memory of the program.

        The same object until the storage changes.
        """
        if not self._is_placed:
            self._layout = self._locate()
            self._is_placed = True
        return self._layout

    @property
    def known_layout(self) -> TensorLayout | None:
        """The layout as last asked for; None if the storage has changed since."""
        return self._layout

    def place(self) -> Place | None:
        """Return the segment and offset, or None for strings and for memory of the program."""
        if self.element_type is ElementType.string:
            return None
        return process_arena().locate(self.array)

    @property
    def block_bytes(self) -> int:
        """The bytes of the memory from the first element on, used or not."""
        return self._raw.nbytes

    def block_place(self) -> Place | None:
        """Return where that memory lies; None for memory of the program."""
        return process_arena().locate(self._raw)

    def _locate(self) -> TensorLayout | None:
        place = self.place()
        if place is None:
            return None
        strides = self.array.strides if self._region is not None else None
        return TensorLayout(
            place.segment.id, place.offset, self.element_type.name, self.shape, strides
        )

    def take_strings(self, values: Sequence[bytes]) -> None:
        """Replace the elements of a string tensor.

        Raises
        ------
        TensorMismatch
            There are more or fewer values than elements.
        """
        if len(values) != element_count(self.shape):
            raise TensorMismatch(
                f"the tensor has {element_count(self.shape)} elements, got {len(values)} strings"
            )
        self.array[...] = np.array(values, dtype=object).reshape(self.shape)

    def _check_region(self, shape: tuple[int, ...]) -> None:
        region = self._region
        assert region is not None
        fits = len(shape) == region.ndim and all(
            size <= limit for size, limit in zip(shape, region.shape, strict=True)
        )
        if not fits:
            raise TensorMismatch(
                f"a region of shape {list(region.shape)} can't take shape {list(shape)}"
            )

    def _show(self, shape: tuple[int, ...]) -> None:
        self._layout = None
        self._is_placed = False
        self.shape = shape
        if self._region is not None:
            self.array = _part(self._region, [0] * len(shape), shape)
            return
        flat = self._raw[: _raw_size(self.element_type, shape)]
        if self.element_type is not ElementType.string:
            flat = flat.view(self.element_type.to_dtype())
        self.array = flat if self.element_type.is_packed else flat.reshape(shape)


def _part(array: NDArray[Any], begin: Sequence[int], end: Sequence[int]) -> NDArray[Any]:
    """Return a view of an array between two corners, also of one without dimensions."""
    slices: list[Any] = [slice(low, high) for low, high in zip(begin, end, strict=True)]
    part: NDArray[Any] = array[(*slices, ...)]
    return part


def _raw_size(element_type: ElementType, shape: Sequence[int]) -> int:
    """Return how many bytes, or objects if they are strings, the elements take."""
    if element_type is ElementType.string:
        return element_count(shape)
    return data_bytes(element_type, shape)


def _allocate(element_type: ElementType, shape: Sequence[int]) -> NDArray[Any]:
    """Take flat memory: a block of the arena, or empty strings."""
    if element_type is ElementType.string:
        return np.full(element_count(shape), b"", dtype=object)
    return process_arena().allocate(data_bytes(element_type, shape))
