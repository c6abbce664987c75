"""Ports: which tensors they take, and how they say what they want."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.shm.element_type import ElementType
from inferd.shm.errors import TensorMismatch
from inferd.shm.ports import Bounds, Port

ANY = Bounds(0, None)


def port(*bounds: Bounds, names: tuple[str, ...] = ("x",), node: str = "node") -> Port:
    return Port(names, node, "f32", bounds)


def fixed(*shape: int) -> Port:
    return port(*(Bounds(size, size) for size in shape))


UNRANKED = Port(("x",), "node", "f32", None)


@settings(deadline=None)
@given(st.integers(0, 20), st.none() | st.integers(0, 20), st.integers(-1, 25))
def test_bounds_allow_what_lies_between_them(lowest: int, highest: int | None, size: int) -> None:
    top = 25 if highest is None else highest
    assert Bounds(lowest, highest).allows(size) == (size in range(lowest, top + 1))


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(3, 3), "3"),
        (Bounds(0, 0), "0"),
        (Bounds(1, 8), "1..8"),
        (Bounds(0, 8), "0..8"),
        (Bounds(2, None), "2.."),
        (ANY, "?"),
    ],
)
def test_bounds_are_written_for_people(bounds: Bounds, text: str) -> None:
    assert str(bounds) == text


def test_a_shape_is_written_as_its_bounds() -> None:
    assert port(Bounds(1, 1), Bounds(1, 8), ANY).shape_text == "[1,1..8,?]"
    assert port().shape_text == "[]"
    assert UNRANKED.shape_text == "[...]"


def test_only_fixed_bounds_make_a_static_shape() -> None:
    assert fixed(1, 3, 224).static_shape == (1, 3, 224)
    assert port().static_shape == ()
    assert port(Bounds(1, 1), Bounds(1, 8)).static_shape is None
    assert UNRANKED.static_shape is None


def test_a_tensor_that_nobody_has_shaped_yet_is_empty_where_the_size_may_vary() -> None:
    assert fixed(1, 3).first_shape == (1, 3)
    assert port().first_shape == ()
    assert port(Bounds(2, 2), Bounds(1, 8), ANY).first_shape == (2, 0, 0)
    assert UNRANKED.first_shape == (0,)


def test_a_port_is_called_by_its_first_name_in_the_alphabet() -> None:
    assert port(names=("late", "early")).label == "'early'"
    assert port(names=(), node="Relu_3").label == "without a name (node 'Relu_3')"


@pytest.mark.parametrize(
    ("taker", "shape"),
    [
        (fixed(1, 3), (1, 3)),
        (port(), ()),
        (port(ANY, Bounds(1, 4)), (0, 4)),
        (UNRANKED, ()),
        (UNRANKED, (7, 0, 7)),
    ],
)
def test_a_tensor_that_fits_is_taken(taker: Port, shape: tuple[int, ...]) -> None:
    taker.check(ElementType.f32, shape)


@pytest.mark.parametrize(
    ("taker", "shape", "complaint"),
    [
        (fixed(1, 3), (1, 4), r"port 'x' takes shape \[1,3\], got \[1, 4\]"),
        (fixed(1, 3), (3,), r"got \[3\]"),
        (fixed(1, 3), (1, 3, 1), r"got \[1, 3, 1\]"),
        (fixed(1), (), r"got \[\]"),
        (port(), (1,), r"takes shape \[\], got \[1\]"),
        (port(Bounds(1, 4)), (0,), r"takes shape \[1..4\], got \[0\]"),
        (port(Bounds(1, 4)), (5,), r"got \[5\]"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_in_words(
    taker: Port, shape: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(TensorMismatch, match=complaint):
        taker.check(ElementType.f32, shape)


@pytest.mark.parametrize("taker", [fixed(1), UNRANKED])
def test_an_element_type_that_does_not_fit_is_refused_in_words(taker: Port) -> None:
    with pytest.raises(TensorMismatch, match="port 'x' takes element type f32, got f16"):
        taker.check(ElementType.f16, (1,))
