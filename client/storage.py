"""The memory behind tensors: several `Tensor` objects may show one storage.

A storage lies in a block of the arena, in memory of the program that is shared with it, or in a
region of another storage. Only what lies in the arena reaches a worker without a copy.
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
        What `Tensor.data` shows; None for strings.
    strings : list of bytes
        The elements of a string tensor in C order.
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
        "strings",
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
        """Lay elements over ``raw``, flat bytes of the program, or over a new block."""
        if element_type is ElementType.dynamic:
            raise WrongValue("a tensor can't have a dynamic element type")
        self.element_type = element_type
        self._keep = keep
        self._region: NDArray[Any] | None = None
        self._owns = raw is None
        self.strings: list[bytes] = []
        self._raw: NDArray[np.uint8] = (
            process_arena().allocate(data_bytes(element_type, shape)) if raw is None else raw
        )
        self._show(tuple(shape))

    @classmethod
    def region_of(cls, other: "Storage", begin: Sequence[int], end: Sequence[int]) -> "Storage":
        """Return a region of another storage; the memory stays that one's."""
        region = cls.__new__(cls)
        region.element_type = other.element_type
        region._keep = other
        region._owns = False
        region.strings = []
        slices = tuple(slice(low, high) for low, high in zip(begin, end, strict=True))
        region._region = other.array[slices]
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
        if self._region is None or not self.array.size:
            return contiguous_strides(self.shape, self.element_type.size)
        return self.array.strides

    def reshape(self, shape: Sequence[int]) -> None:
        """Change the shape. Memory of our own grows; other memory must suffice.

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
        elif data_bytes(self.element_type, shape) > self._raw.nbytes:
            if not self._owns:
                raise TensorMismatch(
                    f"shape {list(shape)} takes {data_bytes(self.element_type, shape)} bytes, but "
                    f"the shared memory of this tensor has {self._raw.nbytes}"
                )
            self._raw = process_arena().allocate(data_bytes(self.element_type, shape))
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
        """Replace the elements of a string tensor."""
        if len(values) != element_count(self.shape):
            raise TensorMismatch(
                f"the tensor has {element_count(self.shape)} elements, got {len(values)} strings"
            )
        self.strings = list(values)

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
        if self.element_type is ElementType.string:
            self.strings = [b""] * element_count(shape)
        elif self._region is not None:
            self.array = self._region[tuple(slice(size) for size in shape)]
        else:
            typed = self._raw[: data_bytes(self.element_type, shape)].view(
                self.element_type.to_dtype()
            )
            self.array = typed if self.element_type.is_packed else typed.reshape(shape)
