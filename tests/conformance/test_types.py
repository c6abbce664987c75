"""The small types: element types, shapes, dimensions, strides, coordinates and layouts.

Left out: reading or writing past the end of a Shape, Strides or Coordinate, which OpenVINO does
not check, and the size of an element of type string, which is that of a C++ object.
"""

from typing import Any, Final

import numpy as np
import pytest

BITS: Final = {
    "u1": 1,
    "u2": 2,
    "u3": 3,
    "u4": 4,
    "i4": 4,
    "nf4": 4,
    "f4e2m1": 4,
    "u6": 6,
    "boolean": 8,
    "i8": 8,
    "u8": 8,
    "f8e4m3": 8,
    "f8e5m2": 8,
    "f8e8m0": 8,
    "i16": 16,
    "u16": 16,
    "f16": 16,
    "bf16": 16,
    "i32": 32,
    "u32": 32,
    "f32": 32,
    "i64": 64,
    "u64": 64,
    "f64": 64,
}
SIGNED_INTEGERS: Final = {"i4", "i8", "i16", "i32", "i64"}
UNSIGNED_INTEGERS: Final = {"u1", "u2", "u3", "u4", "u6", "u8", "u16", "u32", "u64"}
REALS: Final = {"f4e2m1", "f8e4m3", "f8e5m2", "f8e8m0", "f16", "bf16", "f32", "f64"}
QUANTIZED: Final = {"i4", "i8", "i32", "u8", "nf4", "f4e2m1", "f8e4m3", "f8e5m2", "f8e8m0"}

DTYPES: Final = {
    "bool": "boolean",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
}
STAND_INS: Final = {
    "bf16": "float16",
    "i4": "int8",
    "u1": "uint8",
    "u2": "uint8",
    "u3": "uint8",
    "u4": "uint8",
    "u6": "uint8",
    "nf4": "uint8",
    "f4e2m1": "uint8",
    "f8e4m3": "uint8",
    "f8e5m2": "uint8",
    "f8e8m0": "uint8",
}


def element(ov: Any, name: str) -> Any:
    return getattr(ov.Type, name)


# Type


@pytest.mark.parametrize("name", [*BITS, "string", "dynamic"])
def test_an_element_type_has_one_name(ov: Any, name: str) -> None:
    it = element(ov, name)
    assert [it.get_type_name(), it.type_name, it.to_string()] == [name] * 3


@pytest.mark.parametrize("name", BITS)
def test_an_element_type_knows_its_bits_and_whole_bytes(ov: Any, name: str) -> None:
    it = element(ov, name)
    assert it.bitwidth == it.get_bitwidth() == BITS[name]
    assert it.size == it.get_size() == (BITS[name] + 7) // 8


@pytest.mark.parametrize("name", BITS)
def test_an_element_type_knows_what_numbers_it_holds(ov: Any, name: str) -> None:
    it = element(ov, name)
    assert it.is_real() == it.real == (name in REALS)
    assert it.is_integral() == it.integral == (name not in REALS)
    assert it.is_signed() == it.signed == (name in SIGNED_INTEGERS | REALS | {"boolean"})
    assert it.is_quantized() == it.quantized == (name in QUANTIZED)


@pytest.mark.parametrize("name", sorted(SIGNED_INTEGERS | UNSIGNED_INTEGERS))
def test_an_integer_is_an_integral_number(ov: Any, name: str) -> None:
    assert element(ov, name).is_integral_number()
    assert element(ov, name).integral_number


@pytest.mark.parametrize("name", sorted({*REALS, "boolean"}))
def test_a_real_or_a_truth_value_is_no_integral_number(ov: Any, name: str) -> None:
    assert not element(ov, name).is_integral_number()
    assert not element(ov, name).integral_number


@pytest.mark.parametrize("name", [*BITS, "string"])
def test_every_type_but_dynamic_is_static(ov: Any, name: str) -> None:
    assert element(ov, name).is_static()
    assert not element(ov, name).is_dynamic()


def test_the_dynamic_type_has_no_size(ov: Any) -> None:
    assert ov.Type.dynamic.is_dynamic()
    assert not ov.Type.dynamic.is_static()
    assert ov.Type.dynamic.bitwidth == ov.Type.dynamic.size == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_and_an_element_type_name_each_other(ov: Any, dtype: str) -> None:
    it = element(ov, DTYPES[dtype])
    assert ov.Type(np.dtype(dtype)) == it
    assert ov.Type(np.dtype(dtype).type) == it
    assert ov.Type(dtype) == it
    assert it.to_dtype() == np.dtype(dtype)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_type_that_numpy_lacks_has_a_stand_in(ov: Any, name: str) -> None:
    assert element(ov, name).to_dtype() == np.dtype(STAND_INS[name])


@pytest.mark.parametrize(
    ("python", "name"),
    [(bool, "boolean"), (int, "i64"), (float, "f64"), (str, "string"), (bytes, "string")],
)
def test_a_python_type_names_an_element_type(ov: Any, python: type, name: str) -> None:
    assert ov.Type(python) == element(ov, name)


@pytest.mark.parametrize("dtype", ["U4", "S4"])
def test_text_dtypes_of_any_length_are_strings(ov: Any, dtype: str) -> None:
    assert ov.Type(np.dtype(dtype)) == ov.Type.string


def test_the_dtype_of_strings_is_bytes(ov: Any) -> None:
    assert ov.Type.string.to_dtype().kind == "S"


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "object", "datetime64[s]"])
def test_a_dtype_without_an_element_type_is_refused(ov: Any, dtype: str) -> None:
    with pytest.raises(RuntimeError):
        ov.Type(np.dtype(dtype))


@pytest.mark.parametrize("nonsense", [3, "f32", "nope", object()])
def test_what_is_no_dtype_is_refused(ov: Any, nonsense: object) -> None:
    with pytest.raises(TypeError):
        ov.Type(nonsense)


@pytest.mark.parametrize("name", [*BITS, "string", "dynamic"])
def test_an_element_type_equals_itself_only(ov: Any, name: str) -> None:
    equal = [
        other for other in [*BITS, "string", "dynamic"] if element(ov, other) == element(ov, name)
    ]
    assert equal == [name]


@pytest.mark.parametrize("other", ["f32", "float32", np.float32, np.dtype("float32"), 32, None])
def test_an_element_type_equals_no_other_kind_of_thing(ov: Any, other: object) -> None:
    assert ov.Type.f32 != other


def test_equal_element_types_are_the_same_key(ov: Any) -> None:
    sizes = {ov.Type.f32: 4, ov.Type.f64: 8}
    assert sizes[ov.Type(np.float32)] == 4
    assert hash(ov.Type(np.float64)) == hash(ov.Type.f64)


def test_an_unknown_element_type_is_no_attribute(ov: Any) -> None:
    with pytest.raises(AttributeError):
        _ = ov.Type.f33


def test_any_type_is_compatible_with_dynamic_and_itself(ov: Any) -> None:
    assert ov.Type.f32.compatible(ov.Type.dynamic)
    assert ov.Type.f32.compatible(ov.Type.f32)
    assert not ov.Type.f32.compatible(ov.Type.i32)


def test_merging_types_finds_the_more_exact_one_or_none(ov: Any) -> None:
    assert ov.Type.f32.merge(ov.Type.dynamic) == ov.Type.f32
    assert ov.Type.dynamic.merge(ov.Type.i8) == ov.Type.i8
    assert ov.Type.f32.merge(ov.Type.i32) is None


# Shape


@pytest.mark.parametrize(
    "source",
    [[2, 3], (2, 3), "2,3", "[2,3]", np.array([2, 3])],
    ids=["list", "tuple", "text", "brackets", "array"],
)
def test_a_shape_is_made_from(ov: Any, source: Any) -> None:
    assert list(ov.Shape(source)) == [2, 3]


def test_a_shape_is_made_from_a_shape_and_is_another(ov: Any) -> None:
    first = ov.Shape([2, 3])
    second = ov.Shape(first)
    second[0] = 9
    assert (list(first), list(second)) == ([2, 3], [9, 3])


def test_a_shape_made_from_nothing_is_that_of_a_scalar(ov: Any) -> None:
    assert list(ov.Shape()) == list(ov.Shape([])) == []
    assert len(ov.Shape()) == 0


@pytest.mark.parametrize("source", [[1, -1], [1.5], 3, None, ["a"]])
def test_a_shape_needs_whole_positive_numbers(ov: Any, source: object) -> None:
    with pytest.raises(TypeError):
        ov.Shape(source)


def test_a_shape_equals_lists_tuples_and_shapes_of_the_same_numbers(ov: Any) -> None:
    shape = ov.Shape([2, 3])
    assert shape == [2, 3]
    assert shape == (2, 3)
    assert shape == ov.Shape([2, 3])


@pytest.mark.parametrize("other", [[2, 4], [2], [2, 3, 1], (3, 2), [], "[2,3]", 6, None])
def test_a_shape_differs_from(ov: Any, other: object) -> None:
    assert ov.Shape([2, 3]) != other


@pytest.mark.parametrize(("index", "length"), [(0, 2), (1, 3), (2, 4), (-1, 4), (-3, 2)])
def test_a_shape_is_read_by_index(ov: Any, index: int, length: int) -> None:
    assert ov.Shape([2, 3, 4])[index] == length


@pytest.mark.parametrize(
    "part",
    [slice(2), slice(1, None), slice(None, None, -1), slice(0, 4, 2), slice(2, 2), slice(-2, None)],
    ids=str,
)
def test_a_slice_of_a_shape_is_a_shape(ov: Any, part: slice) -> None:
    piece = ov.Shape([2, 3, 4, 5])[part]
    assert isinstance(piece, ov.Shape)
    assert piece == [2, 3, 4, 5][part]


@pytest.mark.parametrize("index", ["a", 1.0, None])
def test_a_shape_is_indexed_by_whole_numbers(ov: Any, index: object) -> None:
    with pytest.raises(TypeError):
        ov.Shape([2, 3])[index]


def test_a_shape_can_be_changed_in_place(ov: Any) -> None:
    shape = ov.Shape([2, 3])
    shape[1] = 7
    assert shape == [2, 7]


@pytest.mark.parametrize("length", [1.5, "3", None])
def test_a_shape_takes_no_length_but_whole_numbers(ov: Any, length: object) -> None:
    shape = ov.Shape([2, 3])
    with pytest.raises(TypeError):
        shape[0] = length
    assert shape == [2, 3]


def test_a_shape_behaves_as_a_sequence(ov: Any) -> None:
    shape = ov.Shape([2, 3])
    assert len(shape) == 2
    assert tuple(shape) == (2, 3)
    assert 3 in shape
    assert 4 not in shape
    assert bool(shape)
    assert not ov.Shape()


def test_numpy_takes_a_shape_as_a_shape(ov: Any) -> None:
    assert np.zeros(ov.Shape([2, 3])).shape == (2, 3)


@pytest.mark.parametrize(("lengths", "text"), [([], "[]"), ([2, 3], "[2,3]"), ([0], "[0]")])
def test_a_shape_as_text(ov: Any, lengths: list[int], text: str) -> None:
    shape = ov.Shape(lengths)
    assert str(shape) == shape.to_string() == text


def test_a_shape_can_be_changed_and_so_has_no_hash(ov: Any) -> None:
    with pytest.raises(TypeError):
        hash(ov.Shape([2, 3]))


# Dimension


def bounds(dimension: Any) -> tuple[int, int]:
    """The least and the greatest length, -1 for no limit."""
    return dimension.min_length, dimension.max_length


@pytest.mark.parametrize(
    ("arguments", "limits", "text"),
    [
        ((3,), (3, 3), "3"),
        (("3",), (3, 3), "3"),
        ((), (0, -1), "?"),
        ((-1,), (0, -1), "?"),
        (("?",), (0, -1), "?"),
        ((2, 4), (2, 4), "2..4"),
        (("2..4",), (2, 4), "2..4"),
        ((2, -1), (2, -1), "2.."),
        (("2..",), (2, -1), "2.."),
        (("..4",), (0, 4), "..4"),
        ((3, 3), (3, 3), "3"),
    ],
)
def test_a_dimension_has_limits(
    ov: Any, arguments: Any, limits: tuple[int, int], text: str
) -> None:
    dimension = ov.Dimension(*arguments)
    assert bounds(dimension) == limits
    assert (dimension.get_min_length(), dimension.get_max_length()) == limits
    assert str(dimension) == dimension.to_string() == text


@pytest.mark.parametrize("arguments", [(), (-1,), (2, 4), (2, -1)])
def test_a_dimension_with_a_choice_is_dynamic_and_has_no_length(ov: Any, arguments: Any) -> None:
    dimension = ov.Dimension(*arguments)
    assert dimension.is_dynamic
    assert not dimension.is_static
    with pytest.raises(RuntimeError):
        dimension.get_length()
    with pytest.raises(RuntimeError):
        len(dimension)


@pytest.mark.parametrize("arguments", [(3,), (3, 3), ("3",)])
def test_a_dimension_without_a_choice_is_static_and_has_a_length(ov: Any, arguments: Any) -> None:
    dimension = ov.Dimension(*arguments)
    assert dimension.is_static
    assert not dimension.is_dynamic
    assert dimension.get_length() == len(dimension) == 3


def test_a_dimension_equals_numbers_and_dimensions(ov: Any) -> None:
    assert ov.Dimension(3) == 3
    assert ov.Dimension(3) == ov.Dimension(3)
    assert ov.Dimension(3) != 4
    assert ov.Dimension(2, 4) == ov.Dimension(2, 4)
    assert ov.Dimension(2, 4) != ov.Dimension(2, 5)
    assert ov.Dimension() == ov.Dimension.dynamic() == ov.Dimension(-1)
    assert ov.Dimension(3) != "3"


@pytest.mark.parametrize("nonsense", [1.5, None, [3]])
def test_a_dimension_is_made_from_numbers_or_text(ov: Any, nonsense: object) -> None:
    with pytest.raises(TypeError):
        ov.Dimension(nonsense)


def test_a_dimension_refuses_text_that_names_none(ov: Any) -> None:
    with pytest.raises(RuntimeError):
        ov.Dimension("x")


def test_a_dimension_has_no_hash(ov: Any) -> None:
    with pytest.raises(TypeError):
        hash(ov.Dimension(3))


@pytest.mark.parametrize(
    ("one", "other", "compatible", "refines", "relaxes"),
    [
        ((3,), (3,), True, True, True),
        ((3,), (4,), False, False, False),
        ((3,), (), True, True, False),
        ((), (3,), True, False, True),
        ((2, 4), (4, 8), True, False, False),
        ((2, 4), (1, 8), True, True, False),
        ((2, 4), (5, 8), False, False, False),
    ],
)
def test_dimensions_compare_by_what_they_allow(
    ov: Any, one: Any, other: Any, compatible: bool, refines: bool, relaxes: bool
) -> None:
    first, second = ov.Dimension(*one), ov.Dimension(*other)
    assert first.compatible(second) is compatible
    assert first.refines(second) is refines
    assert first.relaxes(second) is relaxes


# PartialShape


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ([1, 2], "[1,2]"),
        ((1, 2), "[1,2]"),
        ([], "[]"),
        ([1, -1], "[1,?]"),
        ([1, (2, 4)], "[1,2..4]"),
        ([1, [2, 4]], "[1,2..4]"),
        ([(2, -1)], "[2..]"),
        ([1, "?"], "[1,?]"),
        ([1, "2..4"], "[1,2..4]"),
        ("[?,3]", "[?,3]"),
        ("?,3", "[?,3]"),
        ("[1,2..4,3..]", "[1,2..4,3..]"),
        ("...", "[...]"),
    ],
)
def test_a_partial_shape_is_made_from(ov: Any, source: Any, text: str) -> None:
    shape = ov.PartialShape(source)
    assert str(shape) == shape.to_string() == text


def test_a_partial_shape_is_made_from_shapes_and_dimensions(ov: Any) -> None:
    assert ov.PartialShape(ov.Shape([1, 2])) == [1, 2]
    assert ov.PartialShape(ov.PartialShape([1, -1])) == ov.PartialShape([1, -1])
    assert ov.PartialShape([ov.Dimension(1), ov.Dimension()]) == ov.PartialShape([1, -1])


@pytest.mark.parametrize("source", [3, None, [1.5], [None], [(2, 4, 6)]])
def test_a_partial_shape_refuses_what_is_no_dimension(ov: Any, source: object) -> None:
    with pytest.raises(TypeError):
        ov.PartialShape(source)


@pytest.mark.parametrize("source", ["bad", "[1,x]", [1, "x"]])
def test_a_partial_shape_refuses_text_that_names_none(ov: Any, source: object) -> None:
    with pytest.raises(RuntimeError):
        ov.PartialShape(source)


@pytest.mark.parametrize("source", ["[]", "[1]", "[1,2]", "[0]"])
def test_a_partial_shape_without_a_choice_is_a_shape(ov: Any, source: str) -> None:
    shape = ov.PartialShape(source)
    assert shape.is_static
    assert not shape.is_dynamic
    assert shape.to_shape() == shape.get_shape() == ov.Shape(source)
    assert shape == ov.Shape(source)
    assert shape == list(ov.Shape(source))
    assert shape == tuple(ov.Shape(source))


@pytest.mark.parametrize("source", ["[?]", "[1,?]", "[1,2..4]", "..."])
def test_a_partial_shape_with_a_choice_is_no_shape(ov: Any, source: str) -> None:
    shape = ov.PartialShape(source)
    assert shape.is_dynamic
    assert not shape.is_static
    with pytest.raises(RuntimeError):
        shape.to_shape()
    with pytest.raises(RuntimeError):
        shape.get_shape()


@pytest.mark.parametrize("other", [[1, 2], (1, -1), [1, -1]])
def test_a_dynamic_shape_cannot_be_compared_with_a_list(ov: Any, other: object) -> None:
    with pytest.raises(TypeError):
        _ = ov.PartialShape([1, -1]) == other


@pytest.mark.parametrize("other", [[1, 3], (2, 1), [1], "[1,2]", 3])
def test_a_partial_shape_differs_from(ov: Any, other: object) -> None:
    assert ov.PartialShape([1, 2]) != other


def test_a_partial_shape_knows_its_extremes(ov: Any) -> None:
    shape = ov.PartialShape([1, (2, 4)])
    assert shape.get_min_shape() == [1, 2]
    assert shape.get_max_shape() == [1, 4]


def test_a_partial_shape_knows_its_rank(ov: Any) -> None:
    assert ov.PartialShape([1, -1]).rank == 2
    assert len(ov.PartialShape([1, -1])) == 2
    assert ov.PartialShape("...").rank.is_dynamic
    with pytest.raises(RuntimeError):
        len(ov.PartialShape("..."))


@pytest.mark.parametrize(
    ("index", "limits"), [(0, (1, 1)), (1, (2, 4)), (2, (0, -1)), (-1, (0, -1))]
)
def test_a_partial_shape_is_read_by_index(ov: Any, index: int, limits: tuple[int, int]) -> None:
    assert bounds(ov.PartialShape([1, (2, 4), -1])[index]) == limits


@pytest.mark.parametrize("index", [2, 7])
def test_a_partial_shape_has_no_dimension_past_its_end(ov: Any, index: int) -> None:
    shape = ov.PartialShape([1, 2])
    with pytest.raises(RuntimeError):
        shape[index]
    with pytest.raises(RuntimeError):
        shape.get_dimension(index)


def test_a_partial_shape_behaves_as_a_sequence(ov: Any) -> None:
    shape = ov.PartialShape([1, 2, -1])
    assert [bounds(each) for each in shape] == [(1, 1), (2, 2), (0, -1)]
    assert str(shape[1:]) == "[2,?]"
    assert shape.get_dimension(1) == 2
    shape[2] = 5
    shape[0] = ov.Dimension(2, 4)
    assert str(shape) == "[2..4,2,5]"


@pytest.mark.parametrize("arguments", [(3,), (2,), (0,)])
def test_a_partial_shape_of_a_known_rank_only(ov: Any, arguments: Any) -> None:
    shape = ov.PartialShape.dynamic(*arguments)
    assert [bounds(each) for each in shape] == [(0, -1)] * arguments[0]


def test_a_partial_shape_of_no_known_rank(ov: Any) -> None:
    assert ov.PartialShape.dynamic() == ov.PartialShape("...")


@pytest.mark.parametrize(
    ("one", "other", "compatible", "refines", "relaxes"),
    [
        ("[1,?]", "[1,5]", True, False, True),
        ("[1,5]", "[1,?]", True, True, False),
        ("[1,?]", "[2,5]", False, False, False),
        ("[1,2]", "[1,2,3]", False, False, False),
        ("...", "[1,2,3]", True, False, True),
        ("[1,2]", "[1,2]", True, True, True),
        ("[1,2..4]", "[1,3]", True, False, True),
        ("[1,2..4]", "[1,5]", False, False, False),
    ],
)
def test_partial_shapes_compare_by_what_they_allow(
    ov: Any, one: str, other: str, compatible: bool, refines: bool, relaxes: bool
) -> None:
    first, second = ov.PartialShape(one), ov.PartialShape(other)
    assert first.compatible(second) is compatible
    assert first.refines(second) is refines
    assert first.relaxes(second) is relaxes


def test_a_partial_shape_has_no_hash(ov: Any) -> None:
    with pytest.raises(TypeError):
        hash(ov.PartialShape([1, 2]))


# Strides and Coordinate


def test_strides_equal_lists_tuples_and_strides_of_the_same_numbers(ov: Any) -> None:
    strides = ov.Strides([12, 4])
    assert strides == [12, 4]
    assert strides == (12, 4)
    assert strides == ov.Strides((12, 4))
    assert strides != [12, 8]
    assert strides != [12]


@pytest.mark.parametrize("kind", ["Strides", "Coordinate"])
def test_offsets_behave_as_a_sequence(ov: Any, kind: str) -> None:
    offsets = getattr(ov, kind)([12, 4])
    assert len(offsets) == 2
    assert list(offsets) == [12, 4]
    assert (offsets[0], offsets[1]) == (12, 4)
    offsets[0] = 16
    assert list(offsets) == [16, 4]


@pytest.mark.parametrize("kind", ["Strides", "Coordinate"])
def test_offsets_are_made_from_offsets(ov: Any, kind: str) -> None:
    make = getattr(ov, kind)
    assert list(make(make([12, 4]))) == list(make((12, 4))) == [12, 4]


def test_a_coordinate_is_made_from_a_shape(ov: Any) -> None:
    assert list(ov.Coordinate(ov.Shape([2, 3]))) == [2, 3]


@pytest.mark.parametrize("kind", ["Strides", "Coordinate"])
@pytest.mark.parametrize("source", [[-1], [1.5], 3, None])
def test_offsets_are_whole_positive_numbers(ov: Any, kind: str, source: object) -> None:
    make = getattr(ov, kind)
    with pytest.raises(TypeError):
        make(source)


# Layout


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("NCHW", "[N,C,H,W]"),
        ("[N,C,H,W]", "[N,C,H,W]"),
        ("nchw", "[N,C,H,W]"),
        ("N...C", "[N,...,C]"),
        ("N?HW", "[N,?,H,W]"),
        ("[N,custom]", "[N,CUSTOM]"),
        ("...", "[...]"),
    ],
)
def test_a_layout_names_dimensions(ov: Any, source: str, text: str) -> None:
    layout = ov.Layout(source)
    assert str(layout) == layout.to_string() == text


@pytest.mark.parametrize(("name", "index"), [("N", 0), ("C", 1), ("H", 2), ("W", 3), ("w", 3)])
def test_a_layout_knows_where_a_dimension_is(ov: Any, name: str, index: int) -> None:
    assert ov.Layout("NCHW").has_name(name)
    assert ov.Layout("NCHW").get_index_by_name(name) == index


def test_a_dimension_after_the_dots_is_counted_from_the_end(ov: Any) -> None:
    assert ov.Layout("N...C").get_index_by_name("C") == -1


def test_a_layout_does_not_know_other_dimensions(ov: Any) -> None:
    assert not ov.Layout("NCHW").has_name("D")
    with pytest.raises(RuntimeError):
        ov.Layout("NCHW").get_index_by_name("D")


@pytest.mark.parametrize("source", ["NN", "n c", "N,C"])
def test_a_layout_refuses_text_that_names_none(ov: Any, source: str) -> None:
    with pytest.raises(RuntimeError):
        ov.Layout(source)


def test_a_layout_is_made_from_text(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.Layout(3)


def test_layouts_equal_layouts_and_text_of_the_same_names(ov: Any) -> None:
    assert ov.Layout("NCHW") == ov.Layout("[N,C,H,W]")
    assert ov.Layout("NCHW") == "NCHW"
    assert ov.Layout("NCHW") != "NHWC"
    assert ov.Layout("NCHW") != ov.Layout("NHWC")
    assert ov.Layout("NCHW") != 3


def test_an_empty_layout_says_nothing(ov: Any) -> None:
    assert ov.Layout().empty
    assert ov.Layout("").empty
    assert not ov.Layout("NCHW").empty
    assert not ov.Layout.scalar().empty
