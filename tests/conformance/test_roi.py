"""Regions of tensors: views of a part of another tensor's memory.

OpenVINO packs a region that is an input into a memory of another request of the same compiled
model, so every model here has one request only. Left out, because OpenVINO goes wrong there: a
region over an array that is gone, of a tensor whose shape has changed since, or with more
dimensions than before; deepcopy and the strings of a region with gaps.
"""

import copy
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Load = Callable[[bytes], Any]

WHOLE_BYTES: Final = {
    "boolean": "bool",
    "i8": "int8",
    "u16": "uint16",
    "f16": "float16",
    "bf16": "float16",
    "f32": "float32",
    "i64": "int64",
    "f64": "float64",
    "f8e4m3": "uint8",
}


def counting(*shape: int, dtype: Any = np.float32) -> Array:
    """0, 1, 2 ... in the given shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def element(ov: Any, name: str) -> Any:
    return getattr(ov.Type, name)


@pytest.fixture
def request_for(core: Any, tmp_path: Path) -> Load:
    """The only request of a new compiled model."""

    def request_for(model: bytes) -> Any:
        path = tmp_path / f"{hash(model)}.onnx"
        path.write_bytes(model)
        return core.compile_model(path, "CPU").create_infer_request()

    return request_for


@pytest.fixture
def whole(ov: Any) -> Any:
    """0 to 15 in four rows."""
    return ov.Tensor(counting(4, 4))


@pytest.fixture
def part(ov: Any, whole: Any) -> Any:
    """[[5, 6, 7], [9, 10, 11]]."""
    return ov.Tensor(whole, [1, 1], [3, 4])


# What a region is


def test_a_region_has_its_own_shape_and_the_strides_of_the_whole(part: Any, whole: Any) -> None:
    assert part.shape == [2, 3]
    assert part.size == 6
    assert part.byte_size == 24
    assert part.element_type == whole.element_type
    assert part.strides == whole.strides
    assert not part.is_continuous()
    assert part.data.tolist() == [[5, 6, 7], [9, 10, 11]]
    assert part.data.strides == (16, 4)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ([0, 0, 0], [2, 3, 4]),
        ([1, 0, 0], [2, 3, 4]),
        ([0, 1, 0], [2, 2, 4]),
        ([0, 0, 3], [2, 3, 4]),
        ([1, 1, 1], [2, 3, 3]),
        ([0, 2, 1], [1, 3, 2]),
    ],
)
def test_a_region_is_what_numpy_slices(ov: Any, begin: list[int], end: list[int]) -> None:
    array = counting(2, 3, 4)
    expected = array[tuple(slice(*limits) for limits in zip(begin, end, strict=True))]
    region = ov.Tensor(ov.Tensor(array), begin, end)
    assert region.shape == expected.shape
    assert region.byte_size == expected.nbytes
    assert region.strides == array.strides
    assert np.array_equal(region.data, expected)


@pytest.mark.parametrize("name", WHOLE_BYTES)
def test_a_region_can_be_of_any_type_of_whole_bytes(ov: Any, name: str) -> None:
    values = counting(3, 4, dtype=WHOLE_BYTES[name])
    tensor = ov.Tensor(element(ov, name), [3, 4])
    tensor.data[:] = values
    region = ov.Tensor(tensor, [1, 1], [3, 3])
    assert region.element_type == element(ov, name)
    assert np.array_equal(region.data, values[1:3, 1:3])


@pytest.mark.parametrize("kind", [list, tuple, np.array, "Coordinate", "Shape"])
def test_the_corners_of_a_region_may_be(ov: Any, whole: Any, kind: Any) -> None:
    make = getattr(ov, kind) if isinstance(kind, str) else kind
    region = ov.Tensor(whole, make([1, 1]), make([3, 4]))
    assert region.data.tolist() == [[5, 6, 7], [9, 10, 11]]


def test_the_corners_of_a_region_may_be_named(ov: Any, whole: Any) -> None:
    assert ov.Tensor(other=whole, begin=[1, 1], end=[2, 2]).data.tolist() == [[5]]
    assert ov.Tensor(whole, begin=[3, 3], end=[4, 4]).data.tolist() == [[15]]


@pytest.mark.parametrize(
    ("begin", "end", "continuous"),
    [
        ([0, 0], [4, 4], True),
        ([1, 0], [3, 4], True),
        ([2, 1], [3, 3], True),
        ([0, 0], [2, 3], False),
        ([0, 1], [4, 2], False),
    ],
)
def test_a_region_is_continuous_where_its_memory_has_no_gaps(
    ov: Any, whole: Any, begin: list[int], end: list[int], continuous: bool
) -> None:
    assert ov.Tensor(whole, begin, end).is_continuous() is continuous


@pytest.mark.parametrize(
    ("begin", "end"), [([1, 1], [1, 1]), ([0, 0], [0, 4]), ([2, 3], [4, 3]), ([4, 4], [4, 4])]
)
def test_a_region_may_be_empty(ov: Any, whole: Any, begin: list[int], end: list[int]) -> None:
    region = ov.Tensor(whole, begin, end)
    assert region.shape == np.subtract(end, begin).tolist()
    assert (region.size, region.byte_size) == (0, 0)
    assert region.data.size == 0


def test_strings_have_regions(ov: Any) -> None:
    tensor = ov.Tensor([["a", "b"], ["c", "d"], ["e", "f"]])
    region = ov.Tensor(tensor, [1, 0], [3, 2])
    assert region.str_data.tolist() == [["c", "d"], ["e", "f"]]
    region.str_data = ["1", "2", "3", "4"]
    assert tensor.str_data.tolist() == [["a", "b"], ["1", "2"], ["3", "4"]]


# One memory


def test_a_region_sees_writes_through_its_whole(whole: Any, part: Any) -> None:
    whole.data[1, 2] = 60
    assert part.data.tolist() == [[5, 60, 7], [9, 10, 11]]


def test_a_whole_sees_writes_through_its_region(whole: Any, part: Any) -> None:
    part.data[:] = -1
    expected = counting(4, 4)
    expected[1:3, 1:4] = -1
    assert np.array_equal(whole.data, expected)


def test_an_array_sees_writes_through_a_region_of_a_shared_tensor(ov: Any) -> None:
    array = counting(2, 4)
    tensor = ov.Tensor(array, shared_memory=True)
    ov.Tensor(tensor, [0, 1], [2, 3]).data[:] = 9
    assert array.tolist() == [[0, 9, 9, 3], [4, 9, 9, 7]]


def test_regions_may_overlap(ov: Any, whole: Any, part: Any) -> None:
    other = ov.Tensor(whole, [2, 2], [4, 4])
    other.data[0, 0] = 99
    assert part.data.tolist() == [[5, 6, 7], [9, 99, 11]]


def test_a_region_of_a_region_is_counted_from_the_inner_corner(
    ov: Any, whole: Any, part: Any
) -> None:
    inner = ov.Tensor(part, [1, 1], [2, 3])
    assert inner.data.tolist() == [[10, 11]]
    assert inner.strides == whole.strides
    inner.data[:] = 0
    assert whole.data[2].tolist() == [8, 9, 0, 0]
    assert part.data.tolist() == [[5, 6, 7], [9, 0, 0]]


def test_regions_nest_deeply(ov: Any) -> None:
    whole = ov.Tensor(counting(10, 10))
    region = whole
    for size in range(8, 0, -2):
        region = ov.Tensor(region, [1, 1], [1 + size, 1 + size])
    assert region.data.tolist() == [[44, 45], [54, 55]]
    region.data[:] = -1
    assert np.count_nonzero(whole.data == -1) == 4


def test_a_region_outlives_its_whole(ov: Any) -> None:
    region = ov.Tensor(ov.Tensor(counting(100, 10)), [0, 5], [100, 10])
    gc.collect()
    noise = [ov.Tensor(np.full((100, 10), -1, np.float32)) for _ in range(20)]
    assert np.array_equal(region.data, counting(100, 10)[:, 5:])
    del noise


def test_a_copy_of_a_region_is_the_same_memory(whole: Any, part: Any) -> None:
    other = copy.copy(part)
    other.data[0, 0] = 50
    assert whole.data[1, 1] == 50
    assert other.strides == part.strides


# Its shape


@pytest.mark.parametrize("shape", [[1, 1], [2, 2], [1, 3], [0, 3], [2, 3]], ids=str)
def test_a_region_shrinks_from_its_first_corner(part: Any, shape: list[int]) -> None:
    part.shape = shape
    assert part.shape == shape
    rows, columns = shape
    assert np.array_equal(part.data, counting(4, 4)[1 : 1 + rows, 1 : 1 + columns])


def test_a_region_grows_back(part: Any) -> None:
    part.shape = [1, 1]
    part.shape = [2, 3]
    assert part.data.tolist() == [[5, 6, 7], [9, 10, 11]]


@pytest.mark.parametrize("shape", [[2, 4], [3, 3], [6], [1, 6]], ids=str)
def test_a_region_takes_no_other_shape(part: Any, shape: list[int]) -> None:
    with pytest.raises(RuntimeError):
        part.shape = shape
    assert part.shape == [2, 3]


# Copies


def test_a_region_is_copied_into_a_tensor(ov: Any, part: Any) -> None:
    target = ov.Tensor(ov.Type.f32, [1])
    part.copy_to(target)
    assert target.is_continuous()
    assert target.data.tolist() == [[5, 6, 7], [9, 10, 11]]


@pytest.mark.parametrize("wrap", ["array", "tensor"])
def test_values_are_copied_into_a_region(ov: Any, whole: Any, part: Any, wrap: str) -> None:
    values = -counting(2, 3)
    part.copy_from(values if wrap == "array" else ov.Tensor(values))
    expected = counting(4, 4)
    expected[1:3, 1:4] = values
    assert np.array_equal(whole.data, expected)


def test_a_region_is_copied_into_a_region(ov: Any, whole: Any) -> None:
    ov.Tensor(whole, [0, 0], [2, 2]).copy_to(ov.Tensor(whole, [2, 2], [4, 4]))
    assert whole.data[2:].tolist() == [[8, 9, 0, 1], [12, 13, 4, 5]]


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (6,)], ids=str)
def test_what_does_not_fit_into_a_region_is_not_copied(
    ov: Any, whole: Any, part: Any, shape: tuple[int, ...]
) -> None:
    with pytest.raises(RuntimeError):
        part.copy_from(np.zeros(shape, np.float32))
    with pytest.raises(RuntimeError):
        ov.Tensor(np.zeros(shape, np.float32)).copy_to(part)
    assert np.array_equal(whole.data, counting(4, 4))


# Refused


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ([0, 0], [5, 4]),
        ([0, 0], [4, 5]),
        ([5, 0], [5, 4]),
        ([2, 2], [1, 3]),
        ([2, 2], [3, 1]),
        ([0], [4]),
        ([0, 0, 0], [1, 1, 1]),
        ([0, 0], [1]),
        ([], []),
    ],
)
def test_a_region_lies_within_its_whole(
    ov: Any, whole: Any, begin: list[int], end: list[int]
) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(whole, begin, end)


@pytest.mark.parametrize(("begin", "end"), [([0, 0], [3, 3]), ([0, 0], [2, 4]), ([3, 3], [3, 3])])
def test_a_region_of_a_region_lies_within_it(
    ov: Any, part: Any, begin: list[int], end: list[int]
) -> None:
    with pytest.raises(RuntimeError):
        ov.Tensor(part, begin, end)


@pytest.mark.parametrize(
    ("begin", "end"),
    [([-1, 0], [1, 1]), ([0, 0], [-1, 4]), ([0.5, 0], [1, 1]), ([0, 0], None), (0, 4)],
)
def test_the_corners_of_a_region_are_whole_positive_numbers(
    ov: Any, whole: Any, begin: Any, end: Any
) -> None:
    with pytest.raises(TypeError):
        ov.Tensor(whole, begin, end)


def test_a_region_has_two_corners(ov: Any, whole: Any) -> None:
    with pytest.raises(TypeError):
        ov.Tensor(whole, [0, 0])


def test_a_region_is_of_a_tensor(ov: Any) -> None:
    with pytest.raises(TypeError):
        ov.Tensor(counting(4, 4), [0, 0], [1, 1])


@pytest.mark.parametrize("name", ["u1", "u2", "u3", "u4", "u6", "i4", "nf4", "f4e2m1"])
def test_packed_elements_have_no_regions(ov: Any, name: str) -> None:
    tensor = ov.Tensor(element(ov, name), [16])
    with pytest.raises(RuntimeError):
        ov.Tensor(tensor, [0], [8])


# As the input of an inference

SET: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "set_input_tensor": lambda request, region: request.set_input_tensor(region),
    "set_input_tensor by index": lambda request, region: request.set_input_tensor(0, region),
    "set_tensor": lambda request, region: request.set_tensor("x", region),
    "set_tensors": lambda request, region: request.set_tensors({"x": region}),
    "set_input_tensors": lambda request, region: request.set_input_tensors({0: region}),
}

PASS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "infer": lambda request, region: request.infer(region),
    "infer sharing": lambda request, region: request.infer(region, share_inputs=True),
    "infer a list": lambda request, region: request.infer([region]),
    "infer by name": lambda request, region: request.infer({"x": region}),
    "start_async": lambda request, region: (request.start_async(region), request.wait()),
}


@pytest.fixture
def negative(ov: Any) -> Any:
    """-8 to 7 in four rows, so that relu has something to do."""
    return ov.Tensor(counting(4, 4) - 8)


@pytest.mark.parametrize("set_input", SET.values(), ids=SET.keys())
def test_a_region_can_be_set_as_an_input(
    ov: Any, request_for: Load, negative: Any, set_input: Callable[[Any, Any], Any]
) -> None:
    request = request_for(models.relu((2, 3)))
    set_input(request, ov.Tensor(negative, [1, 1], [3, 4]))
    request.infer()
    assert request.get_output_tensor().data.tolist() == [[0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize("run", PASS.values(), ids=PASS.keys())
def test_a_region_can_be_passed_as_an_input(
    ov: Any, request_for: Load, negative: Any, run: Callable[[Any, Any], Any]
) -> None:
    request = request_for(models.relu((2, 3)))
    run(request, ov.Tensor(negative, [1, 1], [3, 4]))
    assert request.get_output_tensor().data.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert np.array_equal(negative.data, counting(4, 4) - 8)


def test_a_region_that_is_an_input_is_read_again_each_time(
    ov: Any, request_for: Load, whole: Any
) -> None:
    request = request_for(models.relu((2, 3)))
    request.set_input_tensor(ov.Tensor(whole, [1, 1], [3, 4]))
    assert request.infer()[0].tolist() == [[5, 6, 7], [9, 10, 11]]
    whole.data[:] = 20
    assert request.infer()[0].tolist() == [[20, 20, 20], [20, 20, 20]]


def test_the_tensor_of_an_input_stays_the_region(ov: Any, request_for: Load, whole: Any) -> None:
    request = request_for(models.relu((2, 3)))
    request.infer(ov.Tensor(whole, [1, 1], [3, 4]))
    tensor = request.get_input_tensor()
    assert not tensor.is_continuous()
    tensor.data[:] = -1
    assert whole.data[1].tolist() == [4, -1, -1, -1]


def test_an_array_is_copied_into_the_region_that_is_the_input(
    ov: Any, request_for: Load, whole: Any
) -> None:
    request = request_for(models.relu((2, 3)))
    request.set_input_tensor(ov.Tensor(whole, [1, 1], [3, 4]))
    request.infer(np.full((2, 3), 30, np.float32))
    expected = counting(4, 4)
    expected[1:3, 1:4] = 30
    assert np.array_equal(whole.data, expected)
    assert (request.get_output_tensor().data == 30).all()


def test_one_tensor_after_the_other_can_be_cut_from_a_whole(
    ov: Any, request_for: Load, whole: Any
) -> None:
    request = request_for(models.relu((2, 2)))
    for row, column in ((0, 0), (0, 2), (1, 1), (2, 2)):
        region = ov.Tensor(whole, [row, column], [row + 2, column + 2])
        result = request.infer(region)[0]
        assert np.array_equal(result, counting(4, 4)[row : row + 2, column : column + 2])
    assert np.array_equal(whole.data, counting(4, 4))


def test_both_inputs_may_be_regions_of_one_tensor(ov: Any, request_for: Load, whole: Any) -> None:
    request = request_for(models.add((2, 2)))
    regions = [ov.Tensor(whole, [0, 0], [2, 2]), ov.Tensor(whole, [2, 2], [4, 4])]
    assert request.infer(regions)[0].tolist() == [[10, 12], [18, 20]]
    assert np.array_equal(whole.data, counting(4, 4))


def test_a_region_of_an_image_is_an_input(ov: Any, request_for: Load) -> None:
    image = counting(1, 6, 8, 3)
    region = ov.Tensor(ov.Tensor(image), [0, 1, 2, 0], [1, 5, 6, 3])
    assert np.array_equal(
        request_for(models.relu((1, 4, 4, 3))).infer(region)[0], image[:, 1:5, 2:6]
    )


def test_regions_of_different_sizes_fit_a_dynamic_model(
    ov: Any, request_for: Load, whole: Any
) -> None:
    request = request_for(models.relu(("rows", 2)))
    for rows in (3, 1, 4):
        result = request.infer(ov.Tensor(whole, [0, 1], [rows, 3]))[0]
        assert np.array_equal(result, counting(4, 4)[:rows, 1:3])


@pytest.mark.parametrize("end", [[3, 3], [2, 4], [4, 4]], ids=str)
def test_a_region_of_a_wrong_shape_is_no_input(
    ov: Any, request_for: Load, whole: Any, end: list[int]
) -> None:
    request = request_for(models.relu((2, 3)))
    with pytest.raises(RuntimeError):
        request.set_input_tensor(ov.Tensor(whole, [0, 0], end))


def test_a_region_of_a_wrong_type_is_no_input(ov: Any, request_for: Load) -> None:
    request = request_for(models.relu((2, 3)))
    region = ov.Tensor(ov.Tensor(ov.Type.i32, [4, 4]), [0, 0], [2, 3])
    with pytest.raises(RuntimeError):
        request.set_input_tensor(region)


# As the output of an inference


@pytest.mark.parametrize("shape", [(2, 3), ("rows", 3)], ids=["static", "dynamic"])
def test_an_output_goes_into_a_region(ov: Any, request_for: Load, whole: Any, shape: Any) -> None:
    request = request_for(models.relu(shape))
    request.set_output_tensor(ov.Tensor(whole, [1, 1], [3, 4]))
    for value in (30, 40):
        request.infer(np.full((2, 3), value, np.float32))
        expected = counting(4, 4)
        expected[1:3, 1:4] = value
        assert np.array_equal(whole.data, expected)
    assert np.shares_memory(request.get_output_tensor().data, whole.data)


def test_outputs_go_into_the_rows_of_one_tensor(ov: Any, request_for: Load, whole: Any) -> None:
    request = request_for(models.relu((1, 4)))
    for row in range(4):
        request.set_output_tensor(ov.Tensor(whole, [row, 0], [row + 1, 4]))
        request.infer(np.full((1, 4), row * 10, np.float32))
    assert whole.data.tolist() == [[0] * 4, [10] * 4, [20] * 4, [30] * 4]


def test_a_region_of_a_wrong_shape_is_no_output(ov: Any, request_for: Load, whole: Any) -> None:
    request = request_for(models.relu((2, 3)))
    with pytest.raises(RuntimeError):
        request.set_output_tensor(ov.Tensor(whole, [0, 0], [3, 2]))
