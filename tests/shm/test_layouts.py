"""Layouts: whatever a peer claims, an array over a segment lies inside it or is not made."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inferd.shm.element_type import ElementType
from inferd.shm.errors import LayoutInvalid
from inferd.shm.layouts import (
    RANK_MAX,
    TensorLayout,
    byte_size,
    contiguous_strides,
    decode_strings,
    element_count,
    encode_strings,
    span_bytes,
    view,
)

SIZE = 4096
TENSOR_TYPES = [each for each in ElementType if each is not ElementType.dynamic]
WHOLE_BYTE_TYPES = [
    each for each in TENSOR_TYPES if not each.is_packed and each is not ElementType.string
]
quickly = settings(deadline=None, max_examples=300)
small_shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)


def memory() -> NDArray[np.uint8]:
    """A stand-in for a mapped segment, with another number in every byte of its neighbourhood."""
    return np.arange(SIZE, dtype=np.uint8)


def lies_inside(array: NDArray[Any], buffer: NDArray[np.uint8]) -> bool:
    if not array.size:
        return True
    low, high = np.lib.array_utils.byte_bounds(array)
    start = buffer.ctypes.data
    return start <= low <= high <= start + buffer.nbytes


# --- Hostile layouts ------------------------------------------------------------------------------

hostile = st.one_of(
    st.integers(-64, SIZE + 64),
    st.builds(
        lambda power, off, sign: sign * ((1 << power) + off),
        st.integers(8, 70),
        st.integers(-9, 9),
        st.sampled_from([1, -1]),
    ),
)
plausible = st.one_of(st.integers(0, 4), st.integers(0, 64).map(lambda each: each * 8), hostile)
hostile_numbers = st.lists(plausible, max_size=5) | st.lists(hostile, max_size=RANK_MAX + 2)
hostile_layouts = st.builds(
    TensorLayout,
    segment=st.just(1),
    offset=plausible,
    element_type=st.sampled_from([each.name for each in ElementType]) | st.text(max_size=4),
    shape=hostile_numbers.map(tuple),
    strides=st.none() | hostile_numbers.map(tuple),
)
same_rank_layouts = st.integers(0, 5).flatmap(
    lambda rank: st.builds(
        TensorLayout,
        segment=st.just(1),
        offset=plausible,
        element_type=st.sampled_from([each.name for each in ElementType]),
        shape=st.tuples(*[plausible] * rank),
        strides=st.tuples(*[plausible] * rank),
    )
)


# The examples are too much for numpy itself, which raises errors of its own.
@settings(deadline=None, max_examples=1000)
@given(hostile_layouts | same_rank_layouts)
@example(TensorLayout(1, 0, "f32", (1 << 61,), (0,)))
@example(TensorLayout(1, 0, "f64", (0, 1 << 61), None))
@example(TensorLayout(1, 0, "f64", (0, 1 << 61), (0, 0)))
@example(TensorLayout(1, 0, "f32", (1, 1), (1 << 65, 1 << 65)))
def test_an_array_lies_inside_the_segment_or_is_not_made(layout: TensorLayout) -> None:
    buffer = memory()
    try:
        array = view(buffer, layout, SIZE)
    except LayoutInvalid:
        return
    assert lies_inside(array, buffer)


# A worker makes a copy of what has strides, so 4 bytes must not pass for 4 TiB.
def test_an_array_never_claims_more_bytes_than_its_segment_has() -> None:
    with pytest.raises(LayoutInvalid):
        view(memory(), TensorLayout(1, 0, "f32", (1 << 40,), (0,)), SIZE)


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        (TensorLayout(1, 0, "f33", (1,), None), "element type 'f33'"),
        (TensorLayout(1, 0, "object", (1,), None), "element type 'object'"),
        (TensorLayout(1, 0, "dynamic", (1,), None), "element type 'dynamic'"),
        (TensorLayout(1, 0, "u8", (1,) * (RANK_MAX + 1), None), "rank"),
        (TensorLayout(1, 0, "u8", (-1,), None), "negative dimension"),
        (TensorLayout(1, 0, "u8", (0, -1), None), "negative dimension"),
        (TensorLayout(1, 0, "u8", (1 << 31, 1 << 31, 2), None), "too many elements"),
        (TensorLayout(1, 0, "u8", (0, 1 << 63), None), "too many elements"),
        (TensorLayout(1, -4, "f32", (1,), None), "offset -4"),
        (TensorLayout(1, 2, "f32", (1,), None), "not a multiple"),
        (TensorLayout(1, SIZE + 8, "f32", (0,), None), "offset 4104"),
        (TensorLayout(1, SIZE - 8, "f32", (3,), None), "takes 12 bytes"),
        (TensorLayout(1, 0, "u8", (SIZE + 1,), None), "takes 4097 bytes"),
        (TensorLayout(1, 0, "u1", (8 * SIZE + 1,), None), "takes 4097 bytes"),
        (TensorLayout(1, 0, "f32", (2, 2), (8,)), "1 strides for rank 2"),
        (TensorLayout(1, 0, "f32", (2,), (-4,)), "multiples"),
        (TensorLayout(1, 0, "f32", (2,), (6,)), "multiples"),
        (TensorLayout(1, 0, "f32", (2,), (SIZE,)), "takes 4100 bytes"),
        (TensorLayout(1, 0, "i4", (2,), (1,)), "can't have strides"),
        (TensorLayout(1, 0, "string", (2,), (32,)), "can't have strides"),
    ],
)
def test_a_refusal_says_what_is_wrong(layout: TensorLayout, complaint: str) -> None:
    with pytest.raises(LayoutInvalid, match=complaint):
        view(memory(), layout, SIZE)


@pytest.mark.parametrize(
    "layout",
    [
        TensorLayout(1, 0, "u8", (SIZE,), None),
        TensorLayout(1, SIZE - 4, "f32", (1,), None),
        TensorLayout(1, SIZE - 4, "f32", (), ()),
        TensorLayout(1, SIZE, "f64", (0, 3), None),
        TensorLayout(1, SIZE, "f64", (3, 0), (1 << 40, 8)),
        TensorLayout(1, 0, "u8", (2,), (SIZE - 1,)),
        TensorLayout(1, 0, "u1", (8 * SIZE,), None),
        TensorLayout(1, 0, "u8", (1,) * RANK_MAX, None),
    ],
)
def test_a_layout_may_reach_to_the_very_end(layout: TensorLayout) -> None:
    buffer = memory()
    assert lies_inside(view(buffer, layout, SIZE), buffer)


# --- Agreement with numpy -------------------------------------------------------------------------


@quickly
@given(small_shapes, st.sampled_from(WHOLE_BYTE_TYPES))
def test_contiguous_tensors_are_laid_out_as_numpy_does(
    shape: tuple[int, ...], element_type: ElementType
) -> None:
    array = np.empty(shape, element_type.to_dtype())
    assert contiguous_strides(shape, element_type.size) == array.strides
    assert byte_size(element_type, shape) == array.nbytes
    assert element_count(shape) == array.size


@st.composite
def slices(draw: st.DrawFn) -> tuple[ElementType, NDArray[Any], NDArray[Any]]:
    """An element type, a segment's bytes, and a strided part of a tensor in them."""
    element_type = draw(st.sampled_from(WHOLE_BYTE_TYPES))
    shape = draw(small_shapes)
    buffer = memory()
    count = element_count(shape)
    typed = buffer[: count * element_type.size].view(element_type.to_dtype()).reshape(shape)
    steps = [slice(draw(st.integers(0, each - 1)), None, draw(st.integers(1, 3))) for each in shape]
    index: Any = (*steps, ...)
    part = typed[index].transpose(draw(st.permutations(range(len(shape)))))
    return element_type, buffer, part


@quickly
@given(slices())
def test_a_strided_view_shows_what_numpy_shows(
    sliced: tuple[ElementType, NDArray[Any], NDArray[Any]],
) -> None:
    element_type, buffer, part = sliced
    offset = part.ctypes.data - buffer.ctypes.data
    layout = TensorLayout(1, offset, element_type.name, part.shape, part.strides)
    array = view(buffer, layout, SIZE)
    low, high = np.lib.array_utils.byte_bounds(part)
    assert span_bytes(layout, SIZE) == high - low
    assert (array.dtype, array.shape) == (part.dtype, part.shape)
    assert array.ctypes.data == part.ctypes.data
    assert array.tobytes() == part.tobytes()


@pytest.mark.parametrize("element_type", TENSOR_TYPES, ids=lambda each: each.name)
def test_every_element_type_has_a_view(element_type: ElementType) -> None:
    buffer = memory()
    array = view(buffer, TensorLayout(1, 64, element_type.name, (2, 5), None), SIZE)
    if element_type is ElementType.string or element_type.is_packed:
        assert array.shape == (byte_size(element_type, (2, 5)),)
    else:
        assert array.shape == (2, 5)
        assert array.dtype == element_type.to_dtype()
    assert array.nbytes == byte_size(element_type, (2, 5))
    assert array.ctypes.data == buffer.ctypes.data + 64
    assert array.tobytes() == buffer[64 : 64 + array.nbytes].tobytes()


@pytest.mark.parametrize(
    ("name", "elements", "expected"),
    [
        ("u1", 8, 1),
        ("u1", 9, 2),
        ("u2", 5, 2),
        ("u3", 8, 3),
        ("u3", 9, 6),
        ("i4", 3, 2),
        ("u4", 0, 0),
        ("nf4", 1, 1),
        ("f4e2m1", 2, 1),
        ("u6", 4, 3),
        ("u6", 5, 6),
    ],
)
def test_packed_elements_share_bytes(name: str, elements: int, expected: int) -> None:
    assert byte_size(ElementType[name], (elements,)) == expected


def test_an_array_keeps_the_segment_and_writes_through() -> None:
    buffer = memory()
    array = view(buffer, TensorLayout(1, 8, "f64", (2,), None), SIZE)
    array[1] = 2.5
    assert buffer[16:24].view(np.float64)[0] == 2.5


# --- Strings --------------------------------------------------------------------------------------


@quickly
@given(st.lists(st.binary(max_size=20), max_size=8), st.binary(max_size=9))
def test_strings_come_back_as_they_were(values: list[bytes], rest_of_the_block: bytes) -> None:
    stored = np.frombuffer(encode_strings(values) + rest_of_the_block, np.uint8)
    assert decode_strings(stored, len(values)) == values


def test_strings_are_stored_as_in_arrow() -> None:
    offsets = np.array([0, 2, 2, 5], np.int64).tobytes()
    assert encode_strings([b"ab", b"", b"cde"]) == offsets + b"abcde"


@quickly
@given(
    offsets=st.lists(st.integers(-2, 12) | st.integers(-(1 << 63), (1 << 63) - 1), max_size=6),
    body=st.binary(max_size=12),
    elements=st.integers(0, 6) | st.integers(0, 1 << 62),
)
def test_hostile_offsets_never_show_what_lies_outside(
    offsets: list[int], body: bytes, elements: int
) -> None:
    stored = np.frombuffer(np.array(offsets, np.int64).tobytes() + body, np.uint8)
    try:
        values = decode_strings(stored, elements)
    except LayoutInvalid:
        return
    assert len(values) == elements
    assert b"".join(values) == stored[8 * (elements + 1) :].tobytes()[: sum(map(len, values))]


@pytest.mark.parametrize(
    "offsets", [[1, 2, 3], [0, 3, 2], [0, 1, 4], [0, -1, 3], [0, 1 << 62, 3], [-1, 0, 3]]
)
def test_offsets_that_do_not_ascend_inside_the_block_are_refused(offsets: list[int]) -> None:
    stored = np.frombuffer(np.array(offsets, np.int64).tobytes() + b"abc", np.uint8)
    with pytest.raises(LayoutInvalid, match="must ascend"):
        decode_strings(stored, 2)


@pytest.mark.parametrize("elements", [2, 1 << 40, 1 << 62])
def test_a_block_too_small_for_its_offsets_is_refused(elements: int) -> None:
    with pytest.raises(LayoutInvalid, match="can't hold"):
        decode_strings(np.zeros(16, np.uint8), elements)
