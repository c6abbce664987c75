"""The results of an inference: a mapping by port, index or name."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from numpy.typing import NDArray

from inferd.client.ports import ConstOutput
from inferd.shm.errors import WrongType


class OVDict(Mapping[ConstOutput, NDArray[Any]]):
    """Arrays by output. ``results[port]``, ``results[0]``, ``results[-1]`` and ``results["name"]``
    all work; iteration gives the ports in their order.

    Raises
    ------
    KeyError
        There is no such output.
    WrongType
        The key is no port, whole number or text.
    """

    __slots__ = ("__weakref__", "_arrays")

    def __init__(self, arrays: dict[ConstOutput, NDArray[Any]]) -> None:
        self._arrays = arrays

    def __getitem__(self, key: ConstOutput | int | str) -> NDArray[Any]:
        match key:
            case ConstOutput():
                return self._arrays[key]
            case int():
                return self._at(key)
            case str():
                return self._named(key)
        raise WrongType(f"an output is named by port, index or name, got {key!r}")

    def __iter__(self) -> Iterator[ConstOutput]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return repr(self._arrays)

    def keys(self) -> KeysView[ConstOutput]:
        """Return the ports."""
        return self._arrays.keys()

    def values(self) -> ValuesView[NDArray[Any]]:
        """Return the arrays."""
        return self._arrays.values()

    def items(self) -> ItemsView[ConstOutput, NDArray[Any]]:
        """Return ports and arrays."""
        return self._arrays.items()

    def names(self) -> tuple[set[str], ...]:
        """Return the names of each output."""
        return tuple(port.get_names() for port in self._arrays)

    def to_dict(self) -> dict[ConstOutput, NDArray[Any]]:
        """Return the dictionary inside, by port only."""
        return self._arrays

    def to_tuple(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays."""
        return tuple(self._arrays.values())

    def _at(self, index: int) -> NDArray[Any]:
        try:
            return list(self._arrays.values())[index]
        except IndexError:
            raise KeyError(index) from None

    def _named(self, name: str) -> NDArray[Any]:
        for port, array in self._arrays.items():
            if name in port.facts.names:
                return array
        raise KeyError(name)
