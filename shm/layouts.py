"""Where a tensor lies in a segment: element type, shape, strides, offset, and the checks of them.

Pure arithmetic on Python integers, which can't overflow. A layout that came from a peer becomes an
array only through `view`, which checks it against the memory that is really there.

A string tensor is stored as in Arrow: ``elements + 1`` offsets (int64), then the UTF-8 bytes.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from inferd.shm.element_type import ElementType, packed_bytes
from inferd.shm.errors import LayoutInvalid

RANK_MAX: Final = 32  # numpy allows 64, OpenVINO's kernels far fewer
BYTES_MAX: Final = 1 << 62
_OFFSET_BYTES: Final = 8


class TensorLayout(NamedTuple):
    """A tensor in a segment. ``strides`` (bytes) is None where elements lie back to back."""

    segment: int
    offset: int
    element_type: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None


def element_count(shape: Sequence[int]) -> int:
    """Return the number of elements; 1 for a scalar."""
    return math.prod(shape)


def byte_size(element_type: ElementType, shape: Sequence[int]) -> int:
    """Return the bytes of a contiguous tensor; for strings, those of its offsets alone."""
    elements = element_count(shape)
    if element_type is ElementType.string:
        return (elements + 1) * _OFFSET_BYTES
    if element_type.is_packed:
        return packed_bytes(element_type, elements)
    return elements * element_type.size


def contiguous_strides(shape: Sequence[int], item_bytes: int) -> tuple[int, ...]:
    """Return the strides (bytes) of a tensor in C order."""
    strides: list[int] = []
    step = item_bytes
    for dimension in reversed(shape):
        strides.append(step)
        step *= dimension
    return tuple(reversed(strides))


def span_bytes(layout: TensorLayout, segment_bytes: int) -> int:
    """Check a layout against the size of its segment and return how many bytes it reaches over.

    Raises
    ------
    LayoutInvalid
        The layout is malformed, or reaches outside the segment.
    """
    element_type = _element_type(layout)
    _check_shape(layout)
    span = (
        _strided_span(layout, element_type, segment_bytes)
        if layout.strides is not None
        else byte_size(element_type, layout.shape)
    )
    if layout.offset < 0 or layout.offset > segment_bytes or span > segment_bytes - layout.offset:
        raise LayoutInvalid(
            f"tensor {layout.element_type}{list(layout.shape)} takes {span} bytes at offset "
            f"{layout.offset}, but its segment has {segment_bytes} bytes"
        )
    if layout.offset % min(element_type.size, 8):
        raise LayoutInvalid(
            f"offset {layout.offset} is not a multiple of the element's {element_type.size} bytes"
        )
    return span


def view(buffer: Any, layout: TensorLayout, segment_bytes: int) -> NDArray[Any]:
    """Show a tensor in a mapped segment as an array, after checking its layout.

    Returns
    -------
    ndarray, shape and dtype as the layout says
        Packed types and strings come as a flat array of their bytes. The array keeps the buffer
        alive.

    Raises
    ------
    LayoutInvalid
        The layout is malformed, or reaches outside the segment.
    """
    span = span_bytes(layout, segment_bytes)
    raw: NDArray[Any] = np.frombuffer(buffer, np.uint8, count=span, offset=layout.offset)
    element_type = ElementType[layout.element_type]
    if element_type is ElementType.string:
        return raw
    typed = raw.view(element_type.to_dtype())
    if element_type.is_packed:
        return typed
    try:
        if layout.strides is None or span == 0:
            return typed.reshape(layout.shape)
        return as_strided(typed, layout.shape, layout.strides)
    except (ValueError, OverflowError) as why:  # numbers that numpy can't hold, beside a 0
        raise LayoutInvalid(f"shape {list(layout.shape)} can't be shown: {why}") from None


def _element_type(layout: TensorLayout) -> ElementType:
    element_type = ElementType.__members__.get(layout.element_type)
    if element_type is None or element_type is ElementType.dynamic:
        raise LayoutInvalid(f"no tensor can have element type {layout.element_type!r}")
    return element_type


def _check_shape(layout: TensorLayout) -> None:
    if len(layout.shape) > RANK_MAX:
        raise LayoutInvalid(f"rank {len(layout.shape)} is above {RANK_MAX}")
    if any(dimension < 0 for dimension in layout.shape):
        raise LayoutInvalid(f"shape {list(layout.shape)} has a negative dimension")
    if math.prod(max(dimension, 1) for dimension in layout.shape) > BYTES_MAX:
        raise LayoutInvalid(f"shape {list(layout.shape)} has too many elements")


def _strided_span(layout: TensorLayout, element_type: ElementType, segment_bytes: int) -> int:
    strides = layout.strides
    assert strides is not None
    if element_type.is_packed or element_type is ElementType.string:
        raise LayoutInvalid(f"a {layout.element_type} tensor can't have strides")
    if len(strides) != len(layout.shape):
        raise LayoutInvalid(f"{len(strides)} strides for rank {len(layout.shape)}")
    if any(stride < 0 or stride % element_type.size for stride in strides):
        raise LayoutInvalid(
            f"strides {list(strides)} must be multiples of the element's {element_type.size} bytes"
        )
    elements = element_count(layout.shape)
    if elements * element_type.size > segment_bytes:  # strides of 0 would let it seem larger
        raise LayoutInvalid(
            f"{elements} elements of {layout.element_type} take more than the segment's "
            f"{segment_bytes} bytes"
        )
    if not elements:
        return 0
    last = sum(
        (dimension - 1) * stride for dimension, stride in zip(layout.shape, strides, strict=True)
    )
    return last + element_type.size


def encode_strings(values: Sequence[bytes]) -> bytes:
    """Store strings as offsets and bytes."""
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    return offsets.tobytes() + b"".join(values)


def decode_strings(raw: NDArray[np.uint8], elements: int) -> list[bytes]:
    """Read strings that a peer stored; the memory may change meanwhile, so it is copied first.

    Raises
    ------
    LayoutInvalid
        The offsets don't ascend, or point outside.
    """
    stored = raw.tobytes()
    head = (elements + 1) * _OFFSET_BYTES
    if len(stored) < head:
        raise LayoutInvalid(f"{len(stored)} bytes can't hold {elements} strings")
    offsets = np.frombuffer(stored, np.int64, count=elements + 1).tolist()
    if offsets[0] != 0 or offsets[-1] > len(stored) - head or offsets != sorted(offsets):
        raise LayoutInvalid("the offsets of a string tensor must ascend from 0 within its block")
    body = stored[head:]
    return [body[start:end] for start, end in itertools.pairwise(offsets)]
