"""Shapes and dimensions, under OpenVINO's names."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from inferd.shm.errors import WrongType, WrongValue


class _Numbers(list[int]):
    """A list of whole numbers that also equals a tuple of the same."""

    __hash__ = None  # mutable, as OpenVINO's

    def __init__(self, numbers: "Iterable[int] | str" = ()) -> None:
        if isinstance(numbers, str):
            numbers = [int(number) for number in re.findall(r"-?\d+", numbers)]
        super().__init__(self._number(number) for number in numbers)

    @staticmethod
    def _number(number: Any) -> int:
        return _whole(number)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple | list):
            return list(self) == list(other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def to_string(self) -> str:
        """Return the numbers as text: ``[1,3,224,224]``."""
        return f"[{','.join(map(str, self))}]"

    __str__ = to_string

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.to_string()}>"


class Shape(_Numbers):
    """The sizes of a tensor's dimensions."""

    @staticmethod
    def _number(number: Any) -> int:
        whole = _whole(number)
        if whole < 0:
            raise WrongType(f"a shape has no negative sizes, got {whole}; use PartialShape")
        return whole


class Strides(_Numbers):
    """Bytes from one element to the next, in each dimension."""


class Coordinate(_Numbers):
    """A position in a tensor, one number per dimension."""


class Dimension:
    """A size, or a range of sizes; ``Dimension()`` is any size, -1 means no limit."""

    def __init__(self, lowest: "int | str" = -1, highest: int | None = None) -> None:
        if isinstance(lowest, str):
            lowest, highest = _parse_bounds(lowest)
        lowest = _whole(lowest)
        highest = lowest if highest is None else _whole(highest)
        self._lowest = max(lowest, 0)
        self._highest = highest
        if 0 <= highest < lowest:
            raise WrongValue(f"a dimension from {lowest} to {highest} has no size")

    def get_min_length(self) -> int:
        """Return the smallest size."""
        return self._lowest

    def get_max_length(self) -> int:
        """Return the largest size, or -1 if there is no limit."""
        return self._highest

    def get_length(self) -> int:
        """Return the size.

        Raises
        ------
        WrongValue
            The dimension is dynamic.
        """
        if self.is_dynamic:
            raise WrongValue(f"the dimension {self} is dynamic")
        return self._lowest

    @property
    def is_dynamic(self) -> bool:
        """Whether there is more than one size."""
        return self._lowest != self._highest

    @property
    def is_static(self) -> bool:
        """Whether there is just one size."""
        return not self.is_dynamic

    min_length = property(get_min_length)
    max_length = property(get_max_length)

    def to_string(self) -> str:
        """Return the dimension as text: ``5``, ``?``, ``2..4``, ``2..``, ``..4``."""
        if self.is_static:
            return str(self._lowest)
        if self._highest < 0:
            return f"{self._lowest}.." if self._lowest else "?"
        return f"{self._lowest or ''}..{self._highest}"

    __str__ = to_string

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            other = Dimension(other)
        if not isinstance(other, Dimension):
            return NotImplemented
        return (self._lowest, self._highest) == (other._lowest, other._highest)

    __hash__ = None  # type: ignore[assignment]  # as OpenVINO's

    def __repr__(self) -> str:
        return f"<Dimension: {self}>"


class PartialShape:
    """A shape whose dimensions, or whose rank, may be dynamic."""

    def __init__(self, dimensions: "Iterable[Any] | str") -> None:
        self._dimensions: list[Dimension] | None
        if isinstance(dimensions, PartialShape):
            self._dimensions = dimensions._dimensions
        elif isinstance(dimensions, str):
            self._dimensions = _parse_shape(dimensions)
        elif isinstance(dimensions, Sequence | Iterable):
            self._dimensions = [_to_dimension(each) for each in dimensions]
        else:
            raise WrongType(f"a partial shape is a list or text, got {type(dimensions).__name__}")

    @classmethod
    def dynamic(cls) -> Self:
        """Return the shape of which nothing is known."""
        shape = cls([])
        shape._dimensions = None
        return shape

    @property
    def is_dynamic(self) -> bool:
        """Whether a dimension or the rank is dynamic."""
        return self._dimensions is None or any(each.is_dynamic for each in self._dimensions)

    @property
    def is_static(self) -> bool:
        """Whether rank and dimensions are fixed."""
        return not self.is_dynamic

    @property
    def rank(self) -> Dimension:
        """The number of dimensions."""
        return Dimension() if self._dimensions is None else Dimension(len(self._dimensions))

    def to_shape(self) -> Shape:
        """Return the static shape.

        Raises
        ------
        WrongValue
            The shape is dynamic.
        """
        return Shape(each.get_length() for each in self._known())

    get_shape = to_shape

    def get_min_shape(self) -> Shape:
        """Return the smallest sizes."""
        return Shape(each.get_min_length() for each in self._known())

    def get_max_shape(self) -> Shape:
        """Return the largest sizes; -1 where there is no limit."""
        return Shape(each.get_max_length() for each in self._known())

    def get_dimension(self, index: int) -> Dimension:
        """Return one dimension."""
        return self._known()[index]

    def to_string(self) -> str:
        """Return the shape as text: ``[1,?,2..4]``."""
        if self._dimensions is None:
            return "[...]"
        return f"[{','.join(map(str, self._dimensions))}]"

    __str__ = to_string

    def __len__(self) -> int:
        return len(self._known())

    def __getitem__(self, index: Any) -> Any:
        found = self._known()[index]
        return found if isinstance(found, Dimension) else PartialShape(found)

    def __iter__(self) -> Any:
        return iter(self._known())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple):
            other = PartialShape(other)
        if not isinstance(other, PartialShape):
            return NotImplemented
        return self._dimensions == other._dimensions

    __hash__ = None  # type: ignore[assignment]  # as OpenVINO's

    def __repr__(self) -> str:
        return f"<PartialShape: {self}>"

    def _known(self) -> list[Dimension]:
        if self._dimensions is None:
            raise WrongValue("the rank of this shape is dynamic")
        return self._dimensions


def _whole(number: Any) -> int:
    """Take Python's and numpy's whole numbers, and nothing else."""
    if isinstance(number, bool | float | str) or not hasattr(number, "__index__"):
        raise WrongType(f"a whole number is expected, got {number!r}")
    return int(number)


def _to_dimension(value: Any) -> Dimension:
    if isinstance(value, Dimension):
        return value
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise WrongType(f"a dimension's bounds are two numbers, got {value!r}")
        return Dimension(value[0], value[1])
    if isinstance(value, str):
        return Dimension(value)
    return Dimension(value)


def _parse_bounds(text: str) -> tuple[int, int]:
    text = text.strip()
    if text in ("?", "-1", ""):
        return -1, -1
    if ".." not in text:
        return int(text), int(text)
    low, _, high = text.partition("..")
    return int(low or 0), int(high or -1)


def _parse_shape(text: str) -> list[Dimension] | None:
    inside = text.strip().removeprefix("[").removesuffix("]").strip()
    if inside == "...":
        return None
    if not inside:
        return []
    try:
        return [Dimension(part) for part in inside.split(",")]
    except ValueError:
        raise WrongValue(f"{text!r} is no shape; write it like '[1,?,2..4]'") from None
