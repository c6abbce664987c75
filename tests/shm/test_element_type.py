"""ElementType: OpenVINO's names, and what numpy has for them."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.shm.element_type import ElementType, of_array, packed_bytes
from inferd.shm.errors import WrongType, WrongValue

OF_NUMPY = {
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
STAND_INS = {"bf16": "float16", "f8e4m3": "uint8", "f8e5m2": "uint8", "f8e8m0": "uint8"}
PACKED = {"u1", "u2", "u3", "u4", "i4", "nf4", "f4e2m1", "u6"}
SIGNED = {"boolean", "bf16", "f16", "f32", "f64", "f4e2m1", "f8e4m3", "f8e5m2", "f8e8m0"} | {
    f"i{bits}" for bits in (4, 8, 16, 32, 64)
}
REAL = {"bf16", "f16", "f32", "f64", "f4e2m1", "f8e4m3", "f8e5m2", "f8e8m0"}

every_type = pytest.mark.parametrize("element_type", ElementType, ids=lambda each: each.name)


@pytest.mark.parametrize(("dtype", "name"), OF_NUMPY.items())
def test_a_numpy_type_and_its_element_type_are_each_others(dtype: str, name: str) -> None:
    element_type = ElementType[name]
    assert ElementType(np.dtype(dtype)) is ElementType(dtype) is element_type
    assert ElementType(np.dtype(dtype).type) is element_type
    assert of_array(np.empty(0, dtype)) is element_type
    assert element_type.to_dtype() == np.dtype(dtype)


@pytest.mark.parametrize(("name", "dtype"), STAND_INS.items())
def test_types_that_numpy_lacks_show_as_their_raw_bits(name: str, dtype: str) -> None:
    assert ElementType[name].to_dtype() == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["S5", "U5", "S", "U", bytes, str])
def test_text_is_of_type_string(dtype: object) -> None:
    assert ElementType(dtype) is ElementType.string


@pytest.mark.parametrize("dtype", [">f4", ">i8", "complex64", "datetime64[ns]", "V8", object, []])
def test_other_numpy_types_have_no_element_type(dtype: object) -> None:
    with pytest.raises(WrongValue, match="no element type for numpy type"):
        ElementType(dtype)


def test_an_array_of_another_type_has_no_element_type() -> None:
    with pytest.raises(WrongValue, match="complex64"):
        of_array(np.empty(0, np.complex64))


@pytest.mark.parametrize("value", [None, 7, "f33", "bf16", ("f32",), 1.5, "F32", object()])
def test_what_names_no_numpy_type_is_of_the_wrong_type(value: object) -> None:
    with pytest.raises(WrongType, match="names no element type"):
        ElementType(value)


# numpy parses parts of a text that has a comma as Python.
@settings(deadline=None, max_examples=300)
@given(st.text(max_size=6) | st.text("fiucbSUVOmM?<>=|,()[]{}0123456789:' ", max_size=8))
def test_any_text_names_a_type_or_is_refused(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, for old type codes
        try:
            found = ElementType(text)
        except (WrongType, WrongValue):
            return
    assert found is ElementType.string or found.name in OF_NUMPY.values()


@every_type
def test_a_type_tells_its_name(element_type: ElementType) -> None:
    assert element_type.type_name == element_type.get_type_name() == element_type.to_string()
    assert element_type.to_string() == element_type.name


@every_type
def test_types_narrower_than_a_byte_are_packed(element_type: ElementType) -> None:
    assert element_type.is_packed == (element_type.name in PACKED)


@every_type
def test_a_whole_byte_type_is_as_wide_as_its_numpy_type(element_type: ElementType) -> None:
    if element_type.is_packed:
        assert element_type.to_dtype().itemsize == element_type.size == 1
    elif element_type not in (ElementType.string, ElementType.dynamic):
        assert element_type.to_dtype().itemsize * 8 == element_type.bitwidth
        assert element_type.to_dtype().itemsize == element_type.size
    assert element_type.get_size() == element_type.size
    assert element_type.get_bitwidth() == element_type.bitwidth


@every_type
def test_packed_elements_never_fill_less_than_their_bits(element_type: ElementType) -> None:
    if element_type.is_packed:
        for elements in range(50):
            used_bits = packed_bytes(element_type, elements) * 8
            assert 0 <= used_bits - elements * element_type.bitwidth < 3 * 8


@every_type
def test_what_a_type_says_of_itself(element_type: ElementType) -> None:
    name = element_type.name
    assert element_type.is_real() == element_type.real == (name in REAL)
    assert element_type.is_signed() == element_type.signed == (name in SIGNED)
    assert element_type.is_integral() == element_type.integral == (name not in REAL)
    assert element_type.is_integral_number() == (name not in REAL | {"boolean"})
    assert element_type.is_quantized() == element_type.quantized
    assert element_type.is_dynamic() != element_type.is_static()
    assert element_type.is_dynamic() == (name == "dynamic")


def test_a_dynamic_type_has_no_numpy_type() -> None:
    with pytest.raises(IndexError):
        ElementType.dynamic.to_dtype()


@every_type
def test_merging_keeps_what_is_known(element_type: ElementType) -> None:
    dynamic, other = ElementType.dynamic, ElementType.u16
    assert element_type.merge(dynamic) is dynamic.merge(element_type) is element_type
    assert element_type.merge(element_type) is element_type
    is_compatible = element_type in (dynamic, other)
    assert element_type.compatible(other) == is_compatible
    assert element_type.merge(other) is (other if is_compatible else None)


def test_a_type_is_compared_with_types_only() -> None:
    for compare in (ElementType.f32.compatible, ElementType.f32.merge):
        with pytest.raises(WrongType, match="got 'f32'"):
            compare("f32")  # type: ignore[arg-type]


def test_repr_is_openvinos() -> None:
    assert repr(ElementType.f32) == str(ElementType.f32) == "<Type: 'float32'>"
    assert len({repr(each) for each in ElementType}) == len(ElementType)
