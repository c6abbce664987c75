"""Tensor: how it is made, which memory it is, and what may be done to it.

Left out because OpenVINO corrupts memory or answers garbage there: deepcopy of a tensor of
strings, the bytes of a tensor of empty strings only, an array of another byte order, views of a
tensor that has grown since. Regions of tensors are in test_roi.
"""

import copy
import gc
import pickle
import weakref
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES: Final = {
    "boolean": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}
STAND_INS: Final = {"bf16": "float16", "f8e4m3": "uint8", "f8e5m2": "uint8", "f8e8m0": "uint8"}
WHOLE_BYTES: Final = {**DTYPES, **STAND_INS}

# How many elements share how many bytes.
PACKED: Final = {
    "u1": (8, 1),
    "u2": (4, 1),
    "u3": (8, 3),
    "u4": (2, 1),
    "i4": (2, 1),
    "nf4": (2, 1),
    "f4e2m1": (2, 1),
    "u6": (4, 3),
}
PACKED_ODD: Final = {"i4": np.int8}

WORDS: Final = ["a", "two words", "a text that is longer than any short string is", "zürich"]

array_dtypes = pytest.mark.parametrize("dtype", DTYPES.values())
whole_byte_types = pytest.mark.parametrize("name", WHOLE_BYTES)
packed_types = pytest.mark.parametrize("name", PACKED)


def element(ov: Any, name: str) -> Any:
    return getattr(ov.Type, name)


def counting(*shape: int, dtype: Any = np.float32) -> Array:
    """0, 1, 2 ... in the given shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def packed_bytes(name: str, count: int) -> int:
    elements, size = PACKED[name]
    return -(-count // elements) * size


def overwrite_free_memory(ov: Any, count: int) -> list[Any]:
    """Tensors that would take the place of one of the same size that is gone."""
    return [ov.Tensor(np.full(count, -1, np.float32)) for _ in range(20)]


def alive(reference: "weakref.ref[Any]") -> bool:
    gc.collect()
    return reference() is not None


@pytest.fixture
def tensor(ov: Any) -> Any:
    """Owns its memory: [[0, 1, 2], [3, 4, 5]], float32."""
    return ov.Tensor(counting(2, 3))


# From an array


@array_dtypes
def test_a_tensor_copies_an_array(ov: Any, dtype: str) -> None:
    array = counting(2, 3, dtype=dtype)
    tensor = ov.Tensor(array)
    expected = array.copy()
    array[:] = 0
    assert tensor.element_type == ov.Type(np.dtype(dtype))
    assert tensor.shape == [2, 3]
    assert tensor.data.dtype == np.dtype(dtype)
    assert np.array_equal(tensor.data, expected)
    assert not np.shares_memory(tensor.data, array)


@array_dtypes
def test_a_tensor_shares_an_array(ov: Any, dtype: str) -> None:
    array = counting(2, 3, dtype=dtype)
    tensor = ov.Tensor(array, shared_memory=True)
    assert tensor.element_type == ov.Type(np.dtype(dtype))
    assert np.shares_memory(tensor.data, array)
    array[0, 0] = 1
    assert tensor.data[0, 0] == 1
    tensor.data[1, 2] = 0
    assert array[1, 2] == 0


def test_sharing_is_the_second_argument(ov: Any) -> None:
    array = counting(3)
    assert np.shares_memory(ov.Tensor(array, True).data, array)
    assert not np.shares_memory(ov.Tensor(array, False).data, array)
    assert np.shares_memory(ov.Tensor(array=array, shared_memory=True).data, array)


SCATTERED: Final = {
    "transposed": counting(2, 3).T,
    "every second": counting(2, 6)[:, ::2],
    "backwards": counting(2, 3)[::-1],
    "column order": np.asfortranarray(counting(2, 3)),
    "repeated": np.broadcast_to(np.float32(7), (2, 3)),
}


@pytest.mark.parametrize("array", SCATTERED.values(), ids=SCATTERED.keys())
def test_a_copy_of_a_scattered_array_is_continuous(ov: Any, array: Array) -> None:
    tensor = ov.Tensor(array)
    assert np.array_equal(tensor.data, array)
    assert tensor.is_continuous()
    assert tensor.strides == np.ascontiguousarray(array).strides


@pytest.mark.parametrize("array", SCATTERED.values(), ids=SCATTERED.keys())
def test_a_scattered_array_cannot_be_shared(ov: Any, array: Array) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(array, shared_memory=True)


def test_a_copy_of_a_read_only_array_is_writable(ov: Any) -> None:
    array = counting(3)
    array.flags.writeable = False
    tensor = ov.Tensor(array)
    tensor.data[:] = 9
    assert array.tolist() == [0, 1, 2]


def test_a_read_only_array_cannot_be_shared(ov: Any) -> None:
    array = counting(3)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        ov.Tensor(array, shared_memory=True)


@pytest.mark.parametrize("shared", [False, True])
def test_an_array_without_dimensions_is_one_element(ov: Any, shared: bool) -> None:
    tensor = ov.Tensor(np.array(3.5), shared_memory=shared)
    assert (list(tensor.shape), tensor.size, list(tensor.strides)) == ([], 1, [])
    assert tensor.data.shape == ()
    assert tensor.data[()] == 3.5


@pytest.mark.parametrize("shared", [False, True])
def test_an_array_may_be_empty(ov: Any, shared: bool) -> None:
    tensor = ov.Tensor(np.zeros((0, 3), np.float32), shared_memory=shared)
    assert tensor.shape == [0, 3]
    assert (tensor.size, tensor.byte_size) == (0, 0)
    assert tensor.data.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "object", "datetime64[s]"])
def test_an_array_of_an_unknown_type_is_refused(ov: Any, dtype: str) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(np.zeros(2, dtype))


# From an array, seen in another shape or type


@pytest.mark.parametrize("shape", [[3, 2], (3, 2), [6], [1, 6, 1]], ids=str)
def test_an_array_is_shared_in_another_shape(ov: Any, shape: Any) -> None:
    array = counting(2, 3)
    tensor = ov.Tensor(array, shape)
    assert tensor.shape == list(shape)
    assert np.array_equal(tensor.data, array.reshape(shape))
    tensor.data[:] = 8
    assert (array == 8).all()


def test_an_array_is_shared_in_an_openvino_shape(ov: Any) -> None:
    array = counting(2, 3)
    assert ov.Tensor(array, ov.Shape([3, 2])).data.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_part_of_an_array_is_shared(ov: Any) -> None:
    array = counting(6)
    tensor = ov.Tensor(array, [2])
    tensor.data[:] = 9
    assert array.tolist() == [9, 9, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("u8", [24]), ("i32", [2, 3]), ("u16", [12]), ("i64", [3]), ("f8e4m3", [4, 6])],
)
def test_an_array_is_shared_as_another_type(ov: Any, name: str, shape: list[int]) -> None:
    array = counting(2, 3)
    tensor = ov.Tensor(array, shape, element(ov, name))
    assert tensor.element_type == element(ov, name)
    assert tensor.shape == shape
    assert np.shares_memory(tensor.data, array)
    assert tensor.data.tobytes() == array.tobytes()


def test_the_type_may_be_named(ov: Any) -> None:
    array = counting(2, 3)
    tensor = ov.Tensor(array=array, shape=[3, 2], type=ov.Type.i32)
    assert tensor.element_type == ov.Type.i32
    assert np.array_equal(tensor.data, array.view(np.int32).reshape(3, 2))


@pytest.mark.parametrize("name", ["u4", "i4", "u1", "nf4", "f4e2m1"])
def test_bytes_are_shared_as_a_packed_type(ov: Any, name: str) -> None:
    array = np.array([0x21, 0x43], np.uint8)
    count = 2 * PACKED[name][0]
    tensor = ov.Tensor(array, [count], element(ov, name))
    assert tensor.shape == [count]
    assert tensor.data.tolist() == [0x21, 0x43]
    tensor.data[0] = 0x65
    assert array.tolist() == [0x65, 0x43]


@pytest.mark.parametrize("shape", [[-1], [2.5], ["2"]])
def test_an_array_is_shared_in_whole_positive_lengths(ov: Any, shape: list[object]) -> None:
    array = counting(6)
    with pytest.raises(TypeError):
        ov.Tensor(array, shape)


def test_a_scattered_array_is_not_shared_in_another_shape(ov: Any) -> None:
    array = counting(2, 3).T
    with pytest.raises(RuntimeError):
        ov.Tensor(array, [6])


# From a list


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1, 2, 3], "i64"),
        ([1.5, 2.0], "f64"),
        ([1, 2.5], "f64"),
        ([True, False], "boolean"),
        ([[1, 2], [3, 4], [5, 6]], "i64"),
        ([[[0.5]]], "f64"),
        ([2**40, -(2**40)], "i64"),
    ],
)
def test_a_list_becomes_a_tensor_of_its_kind(ov: Any, values: list[Any], name: str) -> None:
    tensor = ov.Tensor(values)
    assert tensor.element_type == element(ov, name)
    assert tensor.shape == np.shape(values)
    assert tensor.data.tolist() == values


@pytest.mark.parametrize("values", [["a", "bb"], [["a"], ["bb"]]])
def test_a_list_of_texts_becomes_strings(ov: Any, values: list[Any]) -> None:
    tensor = ov.Tensor(values)
    assert tensor.element_type == ov.Type.string
    assert tensor.str_data.tolist() == values


def test_a_list_of_bytes_becomes_strings(ov: Any) -> None:
    assert ov.Tensor([b"a", b"bb"]).str_data.tolist() == ["a", "bb"]


def test_a_list_of_numpy_scalars_keeps_their_type(ov: Any) -> None:
    assert ov.Tensor([np.float32(1), np.float32(2)]).element_type == ov.Type.f32
    assert ov.Tensor([np.int8(1)]).element_type == ov.Type.i8


def test_an_empty_list_is_an_empty_tensor(ov: Any) -> None:
    assert ov.Tensor([]).shape == [0]
    assert ov.Tensor([[]]).shape == [1, 0]


@pytest.mark.parametrize("values", [[None], [1j], [2**70]])
def test_a_list_without_an_element_type_is_refused(ov: Any, values: list[Any]) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(values)


def test_a_ragged_list_is_refused(ov: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        ov.Tensor([[1], [2, 3]])


def test_a_list_cannot_be_shared(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.Tensor([1, 2], shared_memory=True)


# From a type and a shape


@whole_byte_types
@pytest.mark.parametrize("shape", [[2, 3], [6], [1, 2, 3, 1], [], [0], [0, 3]], ids=str)
def test_a_tensor_is_made_of_a_type_and_a_shape(ov: Any, name: str, shape: list[int]) -> None:
    tensor = ov.Tensor(element(ov, name), shape)
    like = np.empty(shape, WHOLE_BYTES[name])
    assert tensor.element_type == tensor.get_element_type() == element(ov, name)
    assert tensor.shape == tensor.get_shape() == shape
    assert tensor.size == tensor.get_size() == like.size
    assert tensor.byte_size == tensor.get_byte_size() == like.nbytes
    assert (tensor.data.dtype, tensor.data.shape) == (like.dtype, like.shape)
    assert tensor.is_continuous()


@whole_byte_types
def test_the_elements_of_a_tensor_can_be_written(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [2, 3])
    values = counting(2, 3, dtype=WHOLE_BYTES[name])
    tensor.data[:] = values
    assert np.array_equal(tensor.data, values)


@whole_byte_types
def test_strides_are_in_bytes(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [2, 3, 4])
    assert tensor.strides == tensor.get_strides()
    assert tensor.strides == np.empty((2, 3, 4), WHOLE_BYTES[name]).strides


@packed_types
@pytest.mark.parametrize("shape", [[1], [2], [3], [8], [9], [16], [3, 3], [2, 4, 5]], ids=str)
def test_packed_elements_share_bytes(ov: Any, name: str, shape: list[int]) -> None:
    tensor = ov.Tensor(element(ov, name), shape)
    count = int(np.prod(shape))
    assert tensor.shape == shape
    assert tensor.size == count
    assert tensor.byte_size == packed_bytes(name, count)
    assert tensor.data.shape == (packed_bytes(name, count),)
    assert tensor.data.dtype == PACKED_ODD.get(name, np.uint8)
    assert tensor.is_continuous()


@packed_types
def test_packed_bytes_can_be_written(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [16])
    values = list(range(1, tensor.byte_size + 1))
    tensor.data[:] = values
    assert tensor.data.tolist() == values


@packed_types
def test_packed_elements_have_no_strides(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [16])
    with pytest.raises(RuntimeError):
        _ = tensor.strides
    with pytest.raises(RuntimeError):
        tensor.get_strides()


@packed_types
def test_a_packed_tensor_can_take_another_shape(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [8])
    tensor.shape = [3, 11]
    assert tensor.byte_size == packed_bytes(name, 33)
    assert tensor.data.shape == (packed_bytes(name, 33),)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (np.float32, "f32"),
        (np.dtype("int16"), "i16"),
        ("uint8", "u8"),
        (float, "f64"),
        (int, "i64"),
        (bool, "boolean"),
        (np.bool_, "boolean"),
    ],
)
def test_the_type_may_be_a_dtype_or_a_python_type(ov: Any, kind: Any, name: str) -> None:
    assert ov.Tensor(kind, [2, 3]).element_type == element(ov, name)
    assert ov.Tensor(kind, ov.Shape([2, 3])).shape == [2, 3]


@pytest.mark.parametrize("kind", [str, bytes, np.str_])
def test_a_text_type_makes_strings(ov: Any, kind: type) -> None:
    tensor = ov.Tensor(kind, [2])
    assert tensor.element_type == ov.Type.string
    assert tensor.str_data.tolist() == ["", ""]


@pytest.mark.parametrize(
    "shape", [[2, 3], (2, 3), np.array([2, 3])], ids=["list", "tuple", "array"]
)
def test_the_shape_may_be_a_sequence(ov: Any, shape: Any) -> None:
    assert ov.Tensor(ov.Type.f32, shape).shape == [2, 3]
    assert ov.Tensor(type=ov.Type.f32, shape=shape).shape == [2, 3]


@pytest.mark.parametrize("shape", [[-1], [1.5], "2,3", 3, None])
def test_a_shape_of_a_wrong_kind_is_refused(ov: Any, shape: object) -> None:
    with pytest.raises(TypeError):
        ov.Tensor(ov.Type.f32, shape)


@pytest.mark.parametrize("kind", ["f32", "nope"])
def test_a_type_that_is_no_dtype_is_refused(ov: Any, kind: str) -> None:
    with pytest.raises(TypeError):
        ov.Tensor(kind, [2])


@pytest.mark.parametrize("kind", [np.complex64, object])
def test_a_dtype_without_an_element_type_is_refused(ov: Any, kind: type) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(kind, [2])


def test_a_tensor_has_a_definite_type(ov: Any) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(ov.Type.dynamic, [2])


@pytest.mark.parametrize("shape", [[2**50], [2**62, 2**62]])
def test_more_memory_than_there_is_is_refused(ov: Any, shape: list[int]) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(ov.Type.f32, shape)


def test_a_tensor_is_made_of_something(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.Tensor()


# From a port


@pytest.fixture
def port(core: Any, tmp_path: Path) -> Any:
    """Wants float32, shape (1, 4)."""
    path = tmp_path / "add.onnx"
    path.write_bytes(models.add((1, 4)))
    return core.compile_model(path, "CPU").input(0)


def test_a_tensor_is_made_for_a_port(ov: Any, port: Any) -> None:
    for tensor in (ov.Tensor(port), ov.Tensor(port=port)):
        assert tensor.element_type == ov.Type.f32
        assert tensor.shape == [1, 4]


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 2)])
def test_an_array_is_shared_in_the_shape_of_a_port(ov: Any, port: Any, shape: Any) -> None:
    array = counting(*shape)
    tensor = ov.Tensor(port, array)
    assert tensor.shape == [1, 4]
    assert tensor.data.tolist() == [[0, 1, 2, 3]]
    assert np.shares_memory(tensor.data, array)


def test_an_array_too_small_for_a_port_is_refused(ov: Any, port: Any) -> None:
    array = counting(3)
    with pytest.raises(RuntimeError):
        ov.Tensor(port, array)


def test_an_array_too_large_for_a_port_is_cropped_with_a_warning(ov: Any, port: Any) -> None:
    array = counting(8)
    with pytest.warns(RuntimeWarning):
        tensor = ov.Tensor(port, array)
    assert tensor.data.tolist() == [[0, 1, 2, 3]]


def test_an_array_of_another_type_is_reinterpreted_with_a_warning(ov: Any, port: Any) -> None:
    array = counting(1, 4, dtype=np.int32)
    with pytest.warns(RuntimeWarning):
        tensor = ov.Tensor(port, array)
    assert tensor.element_type == ov.Type.f32
    assert np.array_equal(tensor.data, array.view(np.float32))


def test_a_scattered_array_cannot_be_shared_with_a_port(ov: Any, port: Any) -> None:
    array = counting(1, 8)[:, ::2]
    with pytest.raises(RuntimeError):
        ov.Tensor(port, array)


def test_a_tensor_for_a_dynamic_port_is_empty(ov: Any, core: Any, tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    path.write_bytes(models.relu(("n", 4)))
    assert ov.Tensor(core.compile_model(path, "CPU").input(0)).size == 0


# data


@pytest.mark.parametrize("shared", [False, True])
def test_data_is_a_writable_view(ov: Any, shared: bool) -> None:
    tensor = ov.Tensor(counting(2, 3), shared_memory=shared)
    first, second = tensor.data, tensor.data
    assert first.flags.writeable
    assert not first.flags.owndata
    assert first.flags.c_contiguous
    first[1, 1] = 40
    assert second[1, 1] == 40


@pytest.mark.parametrize("name", ["data", "size", "byte_size", "strides", "element_type"])
def test_a_property_cannot_be_assigned(tensor: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(tensor, name, getattr(tensor, name))


def test_bf16_is_seen_as_its_raw_bits(ov: Any) -> None:
    tensor = ov.Tensor(ov.Type.bf16, [2])
    tensor.data.view(np.uint16)[:] = [0x3F80, 0xC000]
    assert tensor.data.dtype == np.float16
    assert tensor.data.view(np.uint16).tolist() == [0x3F80, 0xC000]


def test_a_bf16_tensor_shares_raw_bits(ov: Any) -> None:
    bits = np.array([0x3F80, 0xC000], np.uint16)
    tensor = ov.Tensor(bits, [2], ov.Type.bf16)
    assert tensor.element_type == ov.Type.bf16
    assert tensor.data.view(np.uint16).tolist() == [0x3F80, 0xC000]
    assert np.shares_memory(tensor.data, bits)


@pytest.mark.parametrize("shared", [False, True])
def test_a_view_outlives_its_tensor(ov: Any, shared: bool) -> None:
    view = ov.Tensor(counting(1000), shared_memory=shared).data
    gc.collect()
    noise = overwrite_free_memory(ov, 1000)
    assert np.array_equal(view, counting(1000))
    del noise


def test_a_shared_tensor_keeps_its_array_alive(ov: Any) -> None:
    array = counting(3)
    reference = weakref.ref(array)
    tensor = ov.Tensor(array, shared_memory=True)
    del array
    assert alive(reference)
    del tensor
    assert not alive(reference)


def test_a_reshaped_tensor_keeps_its_array_alive(ov: Any) -> None:
    array = counting(6)
    reference = weakref.ref(array)
    tensor = ov.Tensor(array, [2, 3])
    del array
    assert alive(reference)
    del tensor
    assert not alive(reference)


def test_a_view_of_a_shared_tensor_keeps_its_array_alive(ov: Any) -> None:
    array = counting(3)
    reference = weakref.ref(array)
    view = ov.Tensor(array, shared_memory=True).data
    del array
    assert alive(reference)
    del view
    assert not alive(reference)


def test_a_copying_tensor_lets_its_array_go(ov: Any) -> None:
    array = counting(3)
    reference = weakref.ref(array)
    tensor = ov.Tensor(array)
    del array
    assert not alive(reference)
    assert tensor.data.tolist() == [0, 1, 2]


# shape


@pytest.mark.parametrize("shape", [[3, 2], [6], [1, 6], [1, 2], [5], [], [0], [2, 0]], ids=str)
def test_a_tensor_takes_a_shape_that_fits(tensor: Any, shape: list[int]) -> None:
    count = int(np.prod(shape))
    tensor.shape = shape
    assert tensor.shape == shape
    assert tensor.size == count
    assert tensor.byte_size == 4 * count
    assert tensor.data.shape == tuple(shape)
    assert tensor.data.reshape(-1).tolist() == list(range(count))


@pytest.mark.parametrize("shape", [[3, 3], [100], [2, 3, 4]], ids=str)
def test_owned_memory_grows(tensor: Any, shape: list[int]) -> None:
    tensor.shape = shape
    assert tensor.shape == shape
    assert tensor.byte_size == 4 * int(np.prod(shape))
    tensor.data[:] = 5
    assert tensor.data.shape == tuple(shape)
    assert (tensor.data == 5).all()


def test_a_tensor_shrinks_and_grows_back_in_the_same_memory(tensor: Any) -> None:
    before = tensor.data
    tensor.shape = [2]
    tensor.data[:] = [7, 8]
    tensor.shape = [2, 3]
    assert np.shares_memory(tensor.data, before)
    assert tensor.data.tolist() == [[7, 8, 2], [3, 4, 5]]


def test_an_empty_tensor_grows(ov: Any) -> None:
    tensor = ov.Tensor(ov.Type.i32, [0, 3])
    tensor.shape = [2, 3]
    tensor.data[:] = 1
    assert tensor.data.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("shape", [[6], [3, 2], [4], [1]], ids=str)
def test_a_shared_tensor_takes_a_shape_that_its_array_holds(ov: Any, shape: list[int]) -> None:
    array = counting(2, 3)
    tensor = ov.Tensor(array, shared_memory=True)
    tensor.shape = shape
    tensor.data[:] = 9
    assert np.count_nonzero(array == 9) == int(np.prod(shape))
    tensor.shape = [2, 3]
    assert np.array_equal(tensor.data, array)
    assert np.shares_memory(tensor.data, array)


@pytest.mark.parametrize("shape", [[7], [3, 3], [2, 3, 2]], ids=str)
def test_a_shared_tensor_cannot_outgrow_its_array(ov: Any, shape: list[int]) -> None:
    tensor = ov.Tensor(counting(2, 3), shared_memory=True)
    with pytest.raises(RuntimeError):
        tensor.shape = shape
    assert tensor.shape == [2, 3]
    assert np.array_equal(tensor.data, counting(2, 3))


def test_a_tensor_of_a_part_cannot_grow_into_the_rest(ov: Any) -> None:
    tensor = ov.Tensor(counting(6), [4])
    with pytest.raises(RuntimeError):
        tensor.shape = [6]


def test_the_shape_may_be_set_by_any_sequence(ov: Any, tensor: Any) -> None:
    for shape in ([3, 2], (6,), ov.Shape([1, 6]), np.array([2, 3])):
        tensor.shape = shape
        assert tensor.shape == list(shape)


def test_set_shape_is_the_same(ov: Any, tensor: Any) -> None:
    tensor.set_shape([3, 2])
    assert tensor.shape == [3, 2]
    tensor.set_shape(ov.Shape([6]))
    assert tensor.shape == [6]


@pytest.mark.parametrize("shape", [[-1], [1.5], "2", 3, None])
def test_a_wrong_shape_is_refused(tensor: Any, shape: object) -> None:
    with pytest.raises(TypeError):
        tensor.shape = shape
    with pytest.raises(TypeError):
        tensor.set_shape(shape)
    assert tensor.shape == [2, 3]


def test_a_partial_shape_is_no_shape(ov: Any, tensor: Any) -> None:
    with pytest.raises(TypeError):
        tensor.shape = ov.PartialShape([2, 3])


# Strings


def test_an_array_of_texts_becomes_strings(ov: Any) -> None:
    tensor = ov.Tensor(np.array(WORDS).reshape(2, 2))
    assert tensor.element_type == ov.Type.string
    assert tensor.shape == [2, 2]
    assert tensor.size == 4
    assert tensor.is_continuous()
    assert tensor.str_data.dtype.kind == "U"
    assert tensor.str_data.shape == (2, 2)
    assert tensor.str_data.reshape(-1).tolist() == WORDS


def test_an_array_of_bytes_becomes_strings(ov: Any) -> None:
    tensor = ov.Tensor(np.array([b"a", b"bcd"]))
    assert tensor.element_type == ov.Type.string
    assert tensor.bytes_data.dtype.kind == "S"
    assert tensor.bytes_data.tolist() == [b"a", b"bcd"]


@pytest.mark.parametrize("text", ["plain", "zürich", "漢字", "🙂", "a\0b", "x" * 5000])
def test_text_is_utf_8_bytes(ov: Any, text: str) -> None:
    tensor = ov.Tensor(np.array([text]))
    assert tensor.str_data.tolist() == [text]
    assert tensor.bytes_data.tolist() == [text.encode()]
    assert ov.Tensor([text.encode()]).str_data.tolist() == [text]


def test_bytes_that_are_no_text_stay_bytes(ov: Any) -> None:
    tensor = ov.Tensor([b"\xff\xfe", b"ok"])
    assert tensor.bytes_data.tolist() == [b"\xff\xfe", b"ok"]
    assert tensor.str_data.tolist() == ["\ufffd\ufffd", "ok"]


@pytest.mark.parametrize("shape", [[3], [2, 2], []], ids=str)
def test_new_strings_are_empty(ov: Any, shape: list[int]) -> None:
    strings = ov.Tensor(ov.Type.string, shape).str_data
    assert strings.shape == tuple(shape)
    assert (strings == "").all()


def test_one_text_is_a_tensor_without_dimensions(ov: Any) -> None:
    tensor = ov.Tensor(np.array("hello"))
    assert tensor.shape == []
    assert tensor.str_data.tolist() == "hello"


@pytest.mark.parametrize(
    "values",
    [
        ["x", "y", "z"],
        [b"x", b"y", b"z"],
        np.array(["x", "y", "z"]),
        np.array([b"x", b"y", b"z"]),
        np.array([["x"], ["y"], ["z"]]),
    ],
    ids=["list", "list of bytes", "array", "array of bytes", "other shape"],
)
@pytest.mark.parametrize("name", ["str_data", "bytes_data"])
def test_strings_can_be_replaced(ov: Any, name: str, values: Any) -> None:
    tensor = ov.Tensor(WORDS[:3])
    setattr(tensor, name, values)
    assert tensor.shape == [3]
    assert tensor.str_data.tolist() == ["x", "y", "z"]
    assert tensor.bytes_data.tolist() == [b"x", b"y", b"z"]


@pytest.mark.parametrize(
    "values", [["a"], ["a", "b", "c"], np.array([]), "ab", 3, None, ("a", "b"), [1, 2]]
)
@pytest.mark.parametrize("name", ["str_data", "bytes_data"])
def test_strings_are_replaced_by_as_many_strings(ov: Any, name: str, values: Any) -> None:
    tensor = ov.Tensor(["p", "q"])
    with pytest.raises(RuntimeError):
        setattr(tensor, name, values)
    assert tensor.str_data.tolist() == ["p", "q"]


@pytest.mark.parametrize("name", ["str_data", "bytes_data"])
def test_strings_that_were_read_are_copies(ov: Any, name: str) -> None:
    tensor = ov.Tensor(["p", "q"])
    getattr(tensor, name)[0] = "z"
    assert tensor.str_data.tolist() == ["p", "q"]


@pytest.mark.parametrize("name", ["str_data", "bytes_data"])
def test_numbers_are_no_strings(tensor: Any, name: str) -> None:
    with pytest.raises(RuntimeError):
        getattr(tensor, name)
    with pytest.raises(RuntimeError):
        setattr(tensor, name, ["a"] * 6)


def test_data_of_strings_is_a_copy_with_a_warning(ov: Any) -> None:
    tensor = ov.Tensor(["p", "qq"])
    with pytest.warns(RuntimeWarning):
        data = tensor.data
    assert data.tolist() == [b"p", b"qq"]
    data[0] = b"z"
    assert tensor.str_data.tolist() == ["p", "qq"]


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([b"a"])])
def test_strings_cannot_be_shared(ov: Any, array: Array) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(array, shared_memory=True)


def test_strings_take_another_shape(ov: Any) -> None:
    tensor = ov.Tensor([["p", "q"], ["r", "s"]])
    tensor.shape = [4]
    assert tensor.str_data.tolist() == ["p", "q", "r", "s"]
    tensor.shape = [6]
    tensor.str_data = ["1", "2", "3", "4", "5", "6"]
    assert tensor.str_data.tolist() == ["1", "2", "3", "4", "5", "6"]


# copy_to and copy_from


@pytest.mark.parametrize("shape", [[2, 3], [6], [1], [100], [0], []], ids=str)
def test_the_target_of_a_copy_takes_the_shape_of_the_source(
    ov: Any, tensor: Any, shape: list[int]
) -> None:
    target = ov.Tensor(ov.Type.f32, shape)
    tensor.copy_to(target)
    assert target.shape == [2, 3]
    assert np.array_equal(target.data, counting(2, 3))
    target.data[:] = 0
    assert np.array_equal(tensor.data, counting(2, 3))


@whole_byte_types
def test_every_type_can_be_copied(ov: Any, name: str) -> None:
    source, target = (ov.Tensor(element(ov, name), [2, 3]) for _ in range(2))
    source.data[:] = counting(2, 3, dtype=WHOLE_BYTES[name])
    target.copy_from(source)
    assert target.data.tobytes() == source.data.tobytes()


@packed_types
def test_every_packed_type_can_be_copied(ov: Any, name: str) -> None:
    source, target = (ov.Tensor(element(ov, name), [24]) for _ in range(2))
    source.data[:] = range(source.byte_size)
    source.copy_to(target)
    assert target.data.tolist() == list(range(source.byte_size))


@pytest.mark.parametrize(
    "array",
    [
        counting(3, 2),
        counting(6),
        counting(2, 2),
        counting(4, 5),
        counting(2, 3).T,
        counting(0, 3),
        counting(),
    ],
    ids=["same size", "flat", "smaller", "larger", "transposed", "empty", "scalar"],
)
def test_an_array_can_be_copied_into_a_tensor(tensor: Any, array: Array) -> None:
    tensor.copy_from(array)
    assert tensor.shape == array.shape
    assert np.array_equal(tensor.data, array)
    assert not np.shares_memory(tensor.data, array)


@pytest.mark.parametrize(
    ("values", "name"),
    [([1.0, 2.0], "f64"), ([1, 2, 3], "i64"), ([True, False], "boolean"), ([[5]], "i64")],
)
def test_a_list_can_be_copied_into_a_tensor_of_its_kind(
    ov: Any, values: list[Any], name: str
) -> None:
    tensor = ov.Tensor(element(ov, name), [1])
    tensor.copy_from(values)
    assert tensor.data.tolist() == values


@pytest.mark.parametrize("source", [WORDS, np.array(WORDS)], ids=["list", "array"])
def test_strings_can_be_copied_into_a_tensor(ov: Any, source: Any) -> None:
    tensor = ov.Tensor(ov.Type.string, [1])
    tensor.copy_from(source)
    assert tensor.str_data.tolist() == WORDS


def test_strings_can_be_copied_to_a_tensor(ov: Any) -> None:
    source, target = ov.Tensor(WORDS), ov.Tensor(["old"])
    source.copy_to(target)
    source.str_data = ["new"] * len(WORDS)
    assert target.str_data.tolist() == WORDS


@pytest.mark.parametrize("name", ["f64", "f16", "i32", "u32", "bf16"])
def test_a_copy_never_converts(ov: Any, tensor: Any, name: str) -> None:
    other = ov.Tensor(element(ov, name), [2, 3])
    with pytest.raises(RuntimeError):
        tensor.copy_to(other)
    with pytest.raises(RuntimeError):
        tensor.copy_from(other)
    assert np.array_equal(tensor.data, counting(2, 3))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_a_copy_of_an_array_never_converts(tensor: Any, dtype: str) -> None:
    with pytest.raises(RuntimeError):
        tensor.copy_from(np.zeros((2, 3), dtype))
    assert np.array_equal(tensor.data, counting(2, 3))


@pytest.mark.parametrize("values", [[1.0, 2.0], [1, 2], [True], ["a"]])
def test_a_copy_of_a_list_never_converts(tensor: Any, values: list[Any]) -> None:
    with pytest.raises(RuntimeError):
        tensor.copy_from(values)


@pytest.mark.parametrize("other", [3, None, (1.0, 2.0), np.float32(3)])
def test_only_tensors_arrays_and_lists_are_copied(tensor: Any, other: object) -> None:
    with pytest.raises(TypeError):
        tensor.copy_from(other)


@pytest.mark.parametrize("other", [None, counting(2, 3), [0.0]])
def test_a_copy_goes_to_a_tensor(tensor: Any, other: object) -> None:
    with pytest.raises(TypeError):
        tensor.copy_to(other)


def test_a_copy_into_a_shared_tensor_goes_to_its_array(ov: Any, tensor: Any) -> None:
    array = np.zeros(9, np.float32)
    target = ov.Tensor(array, shared_memory=True)
    tensor.copy_to(target)
    assert target.shape == [2, 3]
    assert array.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0]


def test_a_copy_that_a_shared_tensor_cannot_hold_is_refused(ov: Any, tensor: Any) -> None:
    array = np.zeros(5, np.float32)
    target = ov.Tensor(array, shared_memory=True)
    with pytest.raises(RuntimeError):
        tensor.copy_to(target)
    assert target.shape == [5]
    assert not array.any()


def test_a_copy_of_a_tensor_to_itself_changes_nothing(tensor: Any) -> None:
    tensor.copy_to(tensor)
    assert np.array_equal(tensor.data, counting(2, 3))


# As a Python object


def test_copy_is_another_handle_on_the_same_memory(tensor: Any) -> None:
    other = copy.copy(tensor)
    assert other is not tensor
    assert np.shares_memory(other.data, tensor.data)
    other.data[0, 0] = 70
    assert tensor.data[0, 0] == 70


def test_copy_shares_the_shape_too(tensor: Any) -> None:
    other = copy.copy(tensor)
    other.shape = [6]
    assert tensor.shape == [6]


def test_a_handle_outlives_the_tensor_it_was_copied_from(ov: Any) -> None:
    other = copy.copy(ov.Tensor(counting(1000)))
    gc.collect()
    noise = overwrite_free_memory(ov, 1000)
    assert np.array_equal(other.data, counting(1000))
    del noise


@whole_byte_types
def test_deepcopy_is_another_memory(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [2, 3])
    tensor.data[:] = counting(2, 3, dtype=WHOLE_BYTES[name])
    other = copy.deepcopy(tensor)
    tensor.data[:] = 0
    assert other.element_type == element(ov, name)
    assert np.array_equal(other.data, counting(2, 3, dtype=WHOLE_BYTES[name]))


@packed_types
def test_deepcopy_of_packed_elements_is_another_memory(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [16])
    tensor.data[:] = 5
    other = copy.deepcopy(tensor)
    tensor.data[:] = 0
    assert other.shape == [16]
    assert (other.data == 5).all()


def test_deepcopy_of_a_shared_tensor_leaves_the_array(ov: Any) -> None:
    array = counting(3)
    other = copy.deepcopy(ov.Tensor(array, shared_memory=True))
    other.data[:] = 9
    assert array.tolist() == [0, 1, 2]


def test_a_tensor_cannot_be_pickled(tensor: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(tensor)


def test_a_tensor_equals_itself_only(ov: Any, tensor: Any) -> None:
    assert tensor == tensor
    assert tensor != ov.Tensor(counting(2, 3))
    assert tensor != copy.copy(tensor)
    assert tensor in {tensor}
    assert copy.copy(tensor) not in {tensor}


def test_a_tensor_can_be_weakly_referenced(ov: Any) -> None:
    tensor = ov.Tensor(counting(3))
    reference = weakref.ref(tensor)
    assert reference() is tensor
    del tensor
    assert not alive(reference)


def test_a_tensor_from_a_file_is_its_bytes(ov: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"\x00\x01\xff")
    tensor = ov.tensor_from_file(str(path))
    assert tensor.element_type == ov.Type.u8
    assert tensor.data.tolist() == [0, 1, 255]


def test_a_tensor_from_a_missing_file_is_refused(ov: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ov.tensor_from_file(str(tmp_path / "missing"))
