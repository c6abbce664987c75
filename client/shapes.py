"""Shapes and dimensions, under OpenVINO's names.

`Shape`, `Strides` and `Coordinate` are lists of whole numbers, none of them negative.
A `Dimension` is a range of sizes, and a `PartialShape` is made of dimensions.
"""

import operator
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

import numpy as np

from inferd.shm.errors import WrongType, WrongValue

_NO_LIMIT: Final = 2**63 - 1  # as OpenVINO's: the largest size also stands for any size


class _Numbers(list[int]):
    """A list of whole numbers, none negative, that also equals a tuple of the same."""

    def __init__(self, numbers: Iterable[int]) -> None:
        if not isinstance(numbers, Iterable):
            raise WrongType(f"{type(self).__name__} takes a list of numbers, got {numbers!r}")
        super().__init__(self._number(number) for number in numbers)

    def _number(self, value: Any) -> int:
        number = _whole(value)
        if number < 0:
            raise WrongType(f"{type(self).__name__} takes no negative numbers, got {number}")
        return number

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found

    def __setitem__(self, index: Any, number: Any) -> None:
        super().__setitem__(_whole(index), self._number(number))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple | list):
            return list(self) == list(other)
        return NotImplemented

    __ne__ = object.__ne__  # the opposite of the above, which a list's own is not
    __hash__ = None  # as OpenVINO's

    def __str__(self) -> str:
        return ", ".join(map(str, self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: ({self})>"


class Shape(_Numbers):
    """The sizes of a tensor's dimensions: ``Shape([1, 3, 224, 224])`` or ``Shape("1,3,224,224")``.

    Raises
    ------
    WrongType
        A size is negative or no whole number.
    WrongValue
        The text is no list of sizes.
    """

    def __init__(self, sizes: "Iterable[int] | str" = ()) -> None:
        super().__init__(_sizes_in(sizes) if isinstance(sizes, str) else sizes)

    def __setitem__(self, index: Any, size: Any) -> None:
        super().__setitem__(index, size.get_length() if isinstance(size, Dimension) else size)

    def to_string(self) -> str:
        """Return the shape as text: ``[1,3,224,224]``."""
        return f"[{','.join(map(str, self))}]"

    __str__ = to_string

    def __repr__(self) -> str:
        return f"<Shape: {self}>"


class Strides(_Numbers):
    """Bytes from one element to the next, in each dimension.

    Raises
    ------
    WrongType
        A number is negative or not whole.
    """


class Coordinate(_Numbers):
    """A position in a tensor, one number per dimension.

    Raises
    ------
    WrongType
        A number is negative or not whole.
    """


class Dimension:
    """A size, or a range of sizes; ``Dimension()`` is any size, -1 means no limit. Never changes.

    Raises
    ------
    WrongType
        A bound is no whole number.
    WrongValue
        No size lies within the bounds, or the text names none.
    """

    __slots__ = ("__weakref__", "_highest", "_lowest")

    def __init__(self, min_dimension: "int | str" = -1, max_dimension: int | None = None) -> None:
        if isinstance(min_dimension, str):
            if max_dimension is not None:
                raise WrongType("a dimension is made of text or of two numbers, not of both")
            min_dimension, max_dimension = _bounds_in(min_dimension)
        lowest = _whole(min_dimension)
        highest = lowest if max_dimension is None else _whole(max_dimension)
        self._lowest = 0 if lowest in (-1, _NO_LIMIT) else lowest
        self._highest = _NO_LIMIT if highest == -1 else highest
        if not 0 <= self._lowest <= self._highest <= _NO_LIMIT:
            raise WrongValue(f"a dimension from {lowest} to {highest} has no size")

    @classmethod
    def dynamic(cls) -> Self:
        """Return the dimension of any size."""
        return cls()

    def get_min_length(self) -> int:
        """Return the smallest size."""
        return self._lowest

    def get_max_length(self) -> int:
        """Return the largest size, or -1 if there is no limit."""
        return -1 if self._highest == _NO_LIMIT else self._highest

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

    __len__ = get_length

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

    def compatible(self, other: "Dimension") -> bool:
        """Whether both allow a common size.

        Raises
        ------
        WrongType
            The other is no dimension.
        """
        other = _to_dimension(other)
        return max(self._lowest, other._lowest) <= min(self._highest, other._highest)

    def refines(self, other: "Dimension") -> bool:
        """Whether the other allows every size that this one does.

        Raises
        ------
        WrongType
            The other is no dimension.
        """
        other = _to_dimension(other)
        return other._lowest <= self._lowest and self._highest <= other._highest

    def relaxes(self, other: "Dimension") -> bool:
        """Whether this one allows every size that the other does.

        Raises
        ------
        WrongType
            The other is no dimension.
        """
        return _to_dimension(other).refines(self)

    def to_string(self) -> str:
        """Return the dimension as text: ``5``, ``?``, ``2..4``, ``2..``, ``..4``."""
        if self.is_static:
            return str(self._lowest)
        if self._highest == _NO_LIMIT:
            return f"{self._lowest}.." if self._lowest else "?"
        return f"{self._lowest or ''}..{self._highest}"

    __str__ = to_string

    def __eq__(self, other: object) -> bool:
        mine = (self._lowest, self._highest)
        if isinstance(other, int | np.integer):
            return mine == ((0, _NO_LIMIT) if other == -1 else (other, other))
        if not isinstance(other, Dimension):
            return NotImplemented
        return mine == (other._lowest, other._highest)

    __hash__ = None  # type: ignore[assignment]  # as OpenVINO's

    def __repr__(self) -> str:
        return f"<Dimension: {self}>"


class PartialShape:
    """A shape whose dimensions, or whose rank, may be dynamic.

    Made of numbers, `Dimension` objects, pairs of bounds and texts (``[1, -1, (2, 4), "?"]``), or
    of one text: ``"[1,?,2..4]"``, ``"..."``.

    Raises
    ------
    WrongType
        It is made of something else.
    WrongValue
        A text or a pair of bounds allows no size.
    """

    __slots__ = ("__weakref__", "_dimensions")

    def __init__(self, dimensions: "PartialShape | Iterable[Any] | str") -> None:
        self._dimensions: tuple[Dimension, ...] | None  # None: not even the rank is known
        if isinstance(dimensions, PartialShape):
            self._dimensions = dimensions._dimensions
        elif isinstance(dimensions, str):
            self._dimensions = _dimensions_in(dimensions)
        elif isinstance(dimensions, Iterable):
            self._dimensions = tuple(_to_dimension(each) for each in dimensions)
        else:
            raise WrongType(f"a partial shape is a list or text, got {type(dimensions).__name__}")

    @classmethod
    def dynamic(cls, rank: "Dimension | int" = -1) -> Self:
        """Return the shape of which nothing is known, or only the rank.

        Raises
        ------
        WrongType
            The rank is no number.
        """
        rank = _to_dimension(rank)
        return cls([Dimension()] * rank.get_length() if rank.is_static else "...")

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
        """Return the smallest sizes; none where the rank is dynamic."""
        return Shape(each._lowest for each in self._dimensions or ())

    def get_max_shape(self) -> Shape:
        """Return the largest sizes, 2**63 - 1 without a limit; none where the rank is dynamic."""
        return Shape(each._highest for each in self._dimensions or ())

    def get_dimension(self, index: int) -> Dimension:
        """Return one dimension.

        Raises
        ------
        WrongType
            The index is no whole number.
        WrongValue
            The shape has no such dimension, or its rank is dynamic.
        """
        return self._known()[self._position(index)]

    def compatible(self, other: "PartialShape") -> bool:
        """Whether both allow a common shape.

        Raises
        ------
        WrongType
            The other is no shape.
        """
        mine, theirs = self._dimensions, PartialShape(other)._dimensions
        if mine is None or theirs is None:
            return True
        return len(mine) == len(theirs) and all(map(Dimension.compatible, mine, theirs))

    def refines(self, other: "PartialShape") -> bool:
        """Whether the other allows every shape that this one does.

        Raises
        ------
        WrongType
            The other is no shape.
        """
        mine, theirs = self._dimensions, PartialShape(other)._dimensions
        if mine is None or theirs is None:
            return theirs is None
        return len(mine) == len(theirs) and all(map(Dimension.refines, mine, theirs))

    def relaxes(self, other: "PartialShape") -> bool:
        """Whether this one allows every shape that the other does.

        Raises
        ------
        WrongType
            The other is no shape.
        """
        return PartialShape(other).refines(self)

    def to_string(self) -> str:
        """Return the shape as text: ``[1,?,2..4]``."""
        if self._dimensions is None:
            return "[...]"
        return f"[{','.join(map(str, self._dimensions))}]"

    __str__ = to_string

    def __len__(self) -> int:
        return len(self._known())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return PartialShape(self._known()[index])
        return self.get_dimension(index)

    def __setitem__(self, index: int, dimension: "Dimension | int") -> None:
        dimensions = list(self._known())
        dimensions[self._position(index)] = _to_dimension(dimension)
        self._dimensions = tuple(dimensions)

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self._known())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PartialShape):
            return self._dimensions == other._dimensions
        if not isinstance(other, list | tuple):
            return NotImplemented
        if self.is_static:
            return self.to_shape() == other
        if isinstance(other, Shape):
            return False
        raise WrongType(f"a list can't be compared with the dynamic shape {self}")

    __hash__ = None  # type: ignore[assignment]  # as OpenVINO's

    def __repr__(self) -> str:
        return f"<PartialShape: {self}>"

    def _known(self) -> tuple[Dimension, ...]:
        if self._dimensions is None:
            raise WrongValue("the rank of this shape is dynamic")
        return self._dimensions

    def _position(self, index: Any) -> int:
        position = _whole(index)
        if not -len(self) <= position < len(self):
            raise WrongValue(f"the shape {self} has no dimension {position}")
        return position


def _whole(number: Any) -> int:
    """Take Python's and numpy's whole numbers, and nothing else."""
    try:
        return operator.index(number)
    except TypeError:
        raise WrongType(f"a whole number is expected, got {number!r}") from None


def _to_dimension(value: Any) -> Dimension:
    if isinstance(value, Dimension):
        return value
    if not isinstance(value, tuple | list):
        return Dimension(value)
    if len(value) != 2:
        raise WrongType(f"a dimension's bounds are two numbers, got {value!r}")
    return Dimension(_whole(value[0]), _whole(value[1]))


def _sizes_in(text: str) -> list[int]:
    sizes = _items_in(text)
    if not all(re.fullmatch(r"[0-9]+", size) for size in sizes):
        raise WrongValue(f"{text!r} is no shape; write it like '[1,3,224,224]'")
    return [int(size) for size in sizes]


def _dimensions_in(text: str) -> tuple[Dimension, ...] | None:
    items = _items_in(text)
    return None if items == ["..."] else tuple(Dimension(item) for item in items)


def _items_in(text: str) -> list[str]:
    """Split a list at its commas; brackets around it may be missing."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    return [item.strip() for item in text.split(",")] if text else []


def _bounds_in(text: str) -> tuple[int, int]:
    """Return the smallest and the largest size, -1 for no limit."""
    match = re.fullmatch(r"\?|(-1|[0-9]+)|(-1|[0-9]+)?\.\.(-1|[0-9]+)?", text.strip())
    if match is None:
        raise WrongValue(f"{text!r} is no dimension; write it like '5', '?' or '2..4'")
    only, lowest, highest = match.groups()
    return int(only or lowest or -1), int(only or highest or -1)
