"""Tensors in shared memory, with the members of OpenVINO's."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inferd.client.ports import ConstOutput
from inferd.client.shapes import Shape, Strides
from inferd.client.storage import Storage, data_bytes
from inferd.shm.element_type import ElementType, of_array
from inferd.shm.errors import NotWriteable, TensorMismatch, WrongType, WrongValue
from inferd.shm.layouts import element_count


class Tensor:
    """Elements of one type and shape, in shared memory unless they are shared with an array.

    ``Tensor(array, shared_memory=False)``
        Copy an array into shared memory, or show the array's own memory.
    ``Tensor(array, shape, type=None)``
        Show an array's memory as another shape and element type.
    ``Tensor(list)``
        Copy numbers, booleans or strings.
    ``Tensor(type, shape)``
        Take uninitialised shared memory.
    ``Tensor(port, array=None)``
        Take the port's element type and shape.
    ``Tensor(tensor, begin, end)``
        Show a region of another tensor.

    Raises
    ------
    WrongType
        An argument has a Python or numpy type that no tensor can have.
    WrongValue, TensorMismatch
        A shape, region or memory does not fit.
    OutOfMemory
        There is no shared memory left.
    """

    __slots__ = ("__weakref__", "storage")

    storage: Storage

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.storage = _construct(_Call(arguments, keywords))

    @classmethod
    def of(cls, storage: Storage) -> Self:
        """Return another tensor over a storage."""
        tensor = cls.__new__(cls)
        tensor.storage = storage
        return tensor

    # --- Elements -----------------------------------------------------------------------------

    @property
    def data(self) -> NDArray[Any]:
        """The elements, writable: a view that keeps the memory alive.

        Packed types come as a flat array of bytes, bf16 as float16 and f8 as uint8 (the raw bits),
        strings as a copy.
        """
        if self.storage.element_type is ElementType.string:
            warnings.warn(
                "the data of a string tensor is a copy; use str_data or bytes_data",
                RuntimeWarning,
                stacklevel=2,
            )
            return self.bytes_data
        return self.storage.array

    @property
    def bytes_data(self) -> NDArray[np.bytes_]:
        """The strings as bytes: a copy.

        Set it to a list or an array of as many strings, of bytes or text, as there are elements.

        Raises
        ------
        WrongValue
            This is no string tensor, or what it is set to is no list or array of strings.
        TensorMismatch
            There are more or fewer strings than elements.
        """
        values = self._strings()
        return np.array(values, dtype="S").reshape(self.storage.shape)

    @bytes_data.setter
    def bytes_data(self, values: Any) -> None:
        self._strings()
        self.storage.take_strings(_encoded(values))

    @property
    def str_data(self) -> NDArray[np.str_]:
        """The strings as text: a copy, with U+FFFD for what is no UTF-8. Set it as `bytes_data`.

        Raises
        ------
        WrongValue
            This is no string tensor, or what it is set to is no list or array of strings.
        TensorMismatch
            There are more or fewer strings than elements.
        """
        values = [value.decode(errors="replace") for value in self._strings()]
        return np.array(values, dtype="U").reshape(self.storage.shape)

    @str_data.setter
    def str_data(self, values: Any) -> None:
        self._strings()
        self.storage.take_strings(_encoded(values))

    def copy_to(self, target: "Tensor") -> None:
        """Copy all elements into another tensor, which takes this one's shape.

        Raises
        ------
        TensorMismatch
            The element types differ, or the target can't take the shape.
        """
        if not isinstance(target, Tensor):
            raise WrongType(f"copy_to takes a Tensor, got {type(target).__name__}")
        source, into = self.storage, target.storage
        if source.element_type is not into.element_type:
            raise TensorMismatch(
                f"can't copy elements of {source.element_type.name} to {into.element_type.name}"
            )
        if into.is_region and into.shape != source.shape:
            raise TensorMismatch(
                f"a region of shape {list(into.shape)} can't take shape {list(source.shape)}"
            )
        into.reshape(source.shape)
        np.copyto(into.array, source.array)

    def copy_from(self, source: Any) -> None:
        """Copy all elements of a tensor, an array or a list into this one, which takes its shape.

        Raises
        ------
        TensorMismatch
            The element types differ, or this tensor can't take the shape.
        """
        if not isinstance(source, Tensor | np.ndarray | list):
            raise WrongType(
                f"copy_from takes a Tensor, an array or a list, got {type(source).__name__}"
            )
        tensor = source if isinstance(source, Tensor) else Tensor(source)
        tensor.copy_to(self)

    # --- Facts --------------------------------------------------------------------------------

    def get_element_type(self) -> ElementType:
        """Return the type of the elements."""
        return self.storage.element_type

    def get_shape(self) -> Shape:
        """Return the shape."""
        return Shape(self.storage.shape)

    def set_shape(self, shape: Sequence[int]) -> None:
        """Change the shape. Memory of the tensor's own grows; shared memory must suffice.

        Raises
        ------
        WrongType
            It is no sequence of whole numbers, none negative.
        TensorMismatch
            The memory is shared and too small.
        """
        self.storage.reshape(_shape(shape))

    def get_size(self) -> int:
        """Return the number of elements."""
        return int(np.prod(self.storage.shape, dtype=np.int64))

    def get_byte_size(self) -> int:
        """Return the number of bytes of the elements."""
        return self.storage.byte_size

    def get_strides(self) -> Strides:
        """Return the bytes from one element to the next, in each dimension.

        Raises
        ------
        WrongValue
            The element type is packed.
        """
        if self.storage.element_type.is_packed:
            raise WrongValue(f"{self.storage.element_type.name} is packed and has no strides")
        return Strides(self.storage.strides)

    def is_continuous(self) -> bool:
        """Whether elements lie back to back."""
        return not self.storage.is_region or self.storage.array.flags.c_contiguous

    element_type = property(get_element_type)
    shape = property(get_shape, set_shape)
    size = property(get_size)
    byte_size = property(get_byte_size)
    strides = property(get_strides)

    # --- Python -------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        return type(self).of(self.storage)

    def __deepcopy__(self, memo: Any) -> Self:
        copied = type(self)(self.storage.element_type, self.storage.shape)
        self.copy_to(copied)
        return copied

    def __reduce__(self) -> Any:
        raise TypeError("a tensor can't be pickled; share it through a model's request instead")

    def __repr__(self) -> str:
        storage = self.storage
        return f"<Tensor: shape{Shape(storage.shape)} type: {storage.element_type.name}>"

    def _strings(self) -> list[bytes]:
        if self.storage.element_type is not ElementType.string:
            raise WrongValue(
                f"only string tensors hold strings; this one holds {self.storage.element_type.name}"
            )
        return self.storage.strings


class _Call:
    """The arguments of a constructor with several forms, taken one after the other."""

    def __init__(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._arguments = list(arguments)
        self._keywords = keywords

    def __len__(self) -> int:
        return len(self._arguments) + len(self._keywords)

    def take(self, *names: str, default: Any = None) -> Any:
        """Take the next argument, by position or under one of its names."""
        if self._arguments:
            return self._arguments.pop(0)
        for name in names:
            if name in self._keywords:
                return self._keywords.pop(name)
        return default

    def end(self) -> None:
        if len(self):
            raise WrongType(
                f"Tensor got unexpected arguments: {self._arguments} {list(self._keywords)}"
            )


def _construct(call: _Call) -> Storage:
    first = call.take("array", "type", "port", "other", "tensor")
    match first:
        case np.ndarray():
            storage = _from_array(first, call)
        case Tensor():
            storage = _region(first, call)
        case ConstOutput():
            storage = _from_port(first, call)
        case list():
            storage = _copied(np.array(first))
        case None:
            raise WrongType("Tensor takes an array, a list, a type and a shape, or a tensor")
        case _:
            storage = Storage(ElementType(first), _shape(call.take("shape", default=())))
    call.end()
    return storage


def _shape(value: Any) -> Shape:
    """Return a shape of numbers; text, which `Shape` itself reads, is no shape of a tensor."""
    if isinstance(value, str | bytes):
        raise WrongType(f"the shape of a tensor is a list of numbers, got {value!r}")
    return Shape(value)


def _from_array(array: NDArray[Any], call: _Call) -> Storage:
    second = call.take("shared_memory", "shape", default=False)
    if isinstance(second, bool):
        return _shared(array) if second else _copied(array)
    element_type = call.take("type", default=None)
    shape = _shape(second)
    chosen = of_array(array) if element_type is None else ElementType(element_type)
    return _reinterpreted(array, chosen, shape)


def _copied(array: NDArray[Any]) -> Storage:
    element_type = of_array(array)
    storage = Storage(element_type, array.shape)
    if element_type is ElementType.string:
        storage.take_strings(_encoded(array))
    else:
        np.copyto(storage.array, array)
    return storage


def _shared(array: NDArray[Any]) -> Storage:
    return _reinterpreted(array, of_array(array), array.shape)


def _reinterpreted(array: NDArray[Any], element_type: ElementType, shape: Sequence[int]) -> Storage:
    """Lay a shape over an array's memory; what is left of it is never used."""
    if ElementType.string in (element_type, of_array(array)):
        raise WrongValue("strings can't be shared; make the tensor with shared_memory=False")
    if not array.flags.c_contiguous:
        raise WrongValue("only an array in C order can be shared; use numpy.ascontiguousarray")
    if not array.flags.writeable:
        raise NotWriteable("array is not writeable")
    raw = array.reshape(-1).view(np.uint8)
    needed_bytes = data_bytes(element_type, shape)
    if needed_bytes > raw.nbytes:
        raise TensorMismatch(
            f"shape {list(shape)} of {element_type.name} takes {needed_bytes} bytes, "
            f"but the array has {raw.nbytes}"
        )
    return Storage(element_type, shape, raw[:needed_bytes], keep=array)


def _from_port(port: ConstOutput, call: _Call) -> Storage:
    shape, element_type = port.facts.first_shape, port.get_element_type()
    array = call.take("array")
    if array is None:
        return Storage(element_type, shape)
    if not isinstance(array, np.ndarray):
        raise WrongType(f"the memory for a port is an array, got {type(array).__name__}")
    storage = _reinterpreted(array, element_type, shape)
    if of_array(array) is not element_type or array.size > element_count(shape):
        warnings.warn(
            f"the array of {array.dtype}{list(array.shape)} is read as "
            f"{port.facts.element_type}{list(shape)}",
            RuntimeWarning,
            stacklevel=4,
        )
    return storage


def _region(tensor: Tensor, call: _Call) -> Storage:
    begin, end = _corner(call.take("begin")), _corner(call.take("end"))
    storage = tensor.storage
    if storage.element_type.is_packed:
        raise WrongValue(f"a tensor of {storage.element_type.name} has no regions")
    if not len(begin) == len(end) == len(storage.shape):
        raise WrongValue(
            f"a region of a tensor of rank {len(storage.shape)} has as many coordinates, "
            f"got {begin} and {end}"
        )
    bounds = zip(begin, end, storage.shape, strict=True)
    if not all(low <= high <= size for low, high, size in bounds):
        raise WrongValue(
            f"the region from {begin} to {end} is not inside shape {list(storage.shape)}"
        )
    return Storage.region_of(storage, begin, end)


def _corner(value: Any) -> list[int]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise WrongType(f"a corner of a region is a list of numbers, got {value!r}")
    return [int(number) for number in Shape(value)]


def _encoded(values: Any) -> list[bytes]:
    """Return a list or array of strings as bytes, in C order."""
    if not isinstance(values, list | np.ndarray):
        raise WrongValue(f"a list or array of strings is expected, got {type(values).__name__}")
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return [bytes(value) for value in array.reshape(-1).tolist()]
    if array.dtype.kind == "U":
        return [str(value).encode() for value in array.reshape(-1).tolist()]
    raise WrongValue(f"strings are expected, got elements of {array.dtype}")
