"""The inputs and outputs of a compiled model, as programs see them."""

from typing import Any

from inferd.client.shapes import Dimension, PartialShape, Shape
from inferd.shm.element_type import ElementType
from inferd.shm.errors import WrongValue
from inferd.shm.ports import Bounds, Port


class Node:
    """The graph's node behind a port; its name is all that travels."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get_friendly_name(self) -> str:
        """Return the node's name."""
        return self._name

    friendly_name = property(get_friendly_name)


class ConstOutput:
    """An input or output port. Ports of one compiled model are equal if they are the same port."""

    __slots__ = ("__weakref__", "_hash", "_model", "facts", "is_input", "position")

    def __init__(self, facts: Port, model: int, position: int, *, is_input: bool) -> None:
        """Made by `CompiledModel`; ``position`` counts over the inputs or over the outputs."""
        self.facts = facts
        self.position = position
        self.is_input = is_input
        self._model = model
        self._hash = hash(self._key())  # results are keyed by ports: kept, since often asked for

    def get_names(self) -> set[str]:
        """Return all names of the port's tensor."""
        return set(self.facts.names)

    def get_any_name(self) -> str:
        """Return the first name in alphabetical order.

        Raises
        ------
        WrongValue
            The port has no name.
        """
        if not self.facts.names:
            raise WrongValue("the port has no name")
        return min(self.facts.names)

    def get_element_type(self) -> ElementType:
        """Return the element type of the port's tensor."""
        return ElementType[self.facts.element_type]

    def get_partial_shape(self) -> PartialShape:
        """Return the shape, dynamic dimensions included."""
        if self.facts.bounds is None:
            return PartialShape.dynamic()
        return PartialShape([_dimension(bound) for bound in self.facts.bounds])

    def get_shape(self) -> Shape:
        """Return the shape.

        Raises
        ------
        WrongValue
            A dimension is dynamic.
        """
        shape = self.facts.static_shape
        if shape is None:
            raise WrongValue(
                f"port {self.facts.label} has the dynamic shape {self.facts.shape_text}; "
                "use partial_shape"
            )
        return Shape(shape)

    def get_index(self) -> int:
        """Return the index on the port's own node, which is 0 in a compiled model."""
        return 0

    def get_node(self) -> Node:
        """Return the node behind the port."""
        return Node(self.facts.node)

    names = property(get_names)
    any_name = property(get_any_name)
    element_type = property(get_element_type)
    partial_shape = property(get_partial_shape)
    shape = property(get_shape)
    index = property(get_index)
    node = property(get_node)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConstOutput):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return self._hash

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("a port can't be copied deeply")

    def __reduce__(self) -> Any:
        raise TypeError("a port can't be pickled")

    def __copy__(self) -> "ConstOutput":
        return ConstOutput(self.facts, self._model, self.position, is_input=self.is_input)

    def __repr__(self) -> str:
        names = ", ".join(sorted(self.facts.names))
        return (
            f"<ConstOutput: names[{names}] shape{self.facts.shape_text} "
            f"type: {self.facts.element_type}>"
        )

    def _key(self) -> tuple[int, bool, int]:
        return (self._model, self.is_input, self.position)


def _dimension(bounds: Bounds) -> Dimension:
    return Dimension(bounds.lowest, -1 if bounds.highest is None else bounds.highest)
