"""The inputs and outputs of a model, and which tensors they take. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from inferd.shm.element_type import ElementType
from inferd.shm.errors import TensorMismatch


class Bounds(NamedTuple):
    """The sizes that a dimension may take; ``highest`` is None where there is no limit."""

    lowest: int
    highest: int | None

    @property
    def is_fixed(self) -> bool:
        return self.lowest == self.highest

    def allows(self, size: int) -> bool:
        return self.lowest <= size and (self.highest is None or size <= self.highest)

    def __str__(self) -> str:
        if self.is_fixed:
            return str(self.lowest)
        if self.highest is None:
            return f"{self.lowest}.." if self.lowest else "?"
        return f"{self.lowest}..{self.highest}"


class Port(NamedTuple):
    """An input or output of a model; ``node`` is the name of its node in the graph.

    ``bounds`` is None where not even the rank is known.
    """

    names: tuple[str, ...]
    node: str
    element_type: str
    bounds: tuple[Bounds, ...] | None

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape, or None where a dimension may vary."""
        if self.bounds is None or not all(bound.is_fixed for bound in self.bounds):
            return None
        return tuple(bound.lowest for bound in self.bounds)

    @property
    def first_shape(self) -> tuple[int, ...]:
        """The shape of a tensor that nobody has given a shape yet."""
        shape = self.static_shape
        if shape is not None:
            return shape
        if self.bounds is None:
            return (0,)
        return tuple(bound.lowest if bound.is_fixed else 0 for bound in self.bounds)

    @property
    def shape_text(self) -> str:
        return "[...]" if self.bounds is None else f"[{','.join(map(str, self.bounds))}]"

    @property
    def label(self) -> str:
        """What a person calls it."""
        return repr(min(self.names)) if self.names else f"without a name (node {self.node!r})"

    def check(self, element_type: ElementType, shape: Sequence[int]) -> None:
        """Raise `TensorMismatch` if a tensor of this type and shape does not fit."""
        if element_type.name != self.element_type:
            raise TensorMismatch(
                f"port {self.label} takes element type {self.element_type}, got {element_type.name}"
            )
        if self.bounds is None:
            return
        fits = len(shape) == len(self.bounds) and all(
            bound.allows(size) for bound, size in zip(self.bounds, shape, strict=True)
        )
        if not fits:
            raise TensorMismatch(
                f"port {self.label} takes shape {self.shape_text}, got {list(shape)}"
            )
