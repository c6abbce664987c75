"""What `infer` and `start_async` accept as inputs, turned into tensors of a request.

An array is copied into the tensor that the request holds, or becomes the tensor itself
(``share_inputs``) where its memory can be used as it is. A `Tensor` is always used as it is.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inferd.client.ports import ConstOutput
from inferd.client.results import OVDict
from inferd.client.storage import Storage
from inferd.client.tensor import Tensor
from inferd.shm.element_type import ElementType
from inferd.shm.errors import PortNotFound, WrongType

Key = int | str | ConstOutput
_SCALARS = (np.number, int, float, str, bytes)


class Inputs(Protocol):
    """The input side of a request."""

    def input_count(self) -> int: ...

    def input_position(self, key: Key) -> int: ...

    def input_storage(self, position: int) -> Storage: ...

    def replace_input(self, position: int, tensor: Tensor) -> None: ...


def apply(request: Inputs, inputs: Any, *, share: bool) -> None:
    """Set the inputs that are given; the others keep their values.

    Raises
    ------
    WrongType
        An input has a Python type that can't be used.
    PortNotFound
        There is no such input, or there are several and one array is given.
    TensorMismatch
        A tensor does not fit its port.
    """
    if inputs is None:
        return
    given = [(_position(request, key), value) for key, value in _pairs(request, inputs)]
    for position, value in given:
        if isinstance(value, Tensor):
            request.replace_input(position, value)
        elif isinstance(value, list):
            request.replace_input(position, Tensor(value))
        elif isinstance(value, _SCALARS):
            request.replace_input(position, _scalar(request, position, value))
        elif share:
            _share(request, position, _as_array(value))
        else:
            _copy(request, position, _as_array(value))


def _pairs(request: Inputs, inputs: Any) -> Iterator[tuple[Any, Any]]:
    match inputs:
        case dict():
            yield from inputs.items()
        case OVDict():
            yield from enumerate(inputs.values())
        case list() if request.input_count() == 1 and _is_simple(inputs):
            yield 0, inputs
        case list() | tuple():
            yield from enumerate(inputs)
        case _:
            if request.input_count() != 1:
                raise PortNotFound(
                    f"the model has {request.input_count()} inputs; "
                    "name them: infer({0: first, 1: second})"
                )
            yield 0, inputs


def _position(request: Inputs, key: Any) -> int:
    if not isinstance(key, int | str | ConstOutput):
        raise WrongType(f"an input is named by index, name or port, got {key!r}")
    return request.input_position(key)


def _is_simple(values: list[Any]) -> bool:
    """Whether a list holds plain values, or lists of them: then it is one input."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return all(isinstance(item, str | float | int | bytes) for item in flat)


def _as_array(value: Any) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value)
    raise WrongType(f"Incompatible inputs of type: {type(value)}")


def _scalar(request: Inputs, position: int, value: Any) -> Tensor:
    element_type = request.input_storage(position).element_type
    array = np.array(value)
    if element_type is not ElementType.string and array.dtype != element_type.to_dtype():
        array = array.astype(element_type.to_dtype())
    return Tensor(array)


def _share(request: Inputs, position: int, array: NDArray[Any]) -> None:
    """Make an array the request's tensor where its memory can be read as it is; else copy it."""
    storage = request.input_storage(position)
    element_type = storage.element_type
    if element_type in (ElementType.string, ElementType.bf16) or array.ndim == 0:
        is_same_scalar = array.ndim == 0 and array.shape == storage.shape
        if not (is_same_scalar and _fits(array, element_type)):
            _renew(request, position, array)
            return
    array = np.ascontiguousarray(array) if array.ndim else array
    if not _fits(array, element_type):
        _renew(request, position, array)
    else:
        request.replace_input(position, Tensor(array, shared_memory=True))


def _fits(array: NDArray[Any], element_type: ElementType) -> bool:
    return (
        element_type is not ElementType.string
        and array.dtype == element_type.to_dtype()
        and array.flags.writeable
    )


def _renew(request: Inputs, position: int, array: NDArray[Any]) -> None:
    """Copy an array into a new tensor of the port's element type."""
    storage = request.input_storage(position)
    element_type = storage.element_type
    if element_type is ElementType.string:
        request.replace_input(position, Tensor(array))
        return
    shape = array.shape
    if array.ndim == 0 and array.shape != storage.shape:
        shape = storage.shape if storage.array.size else (1,)
    tensor = Tensor(element_type, shape)
    _fill(tensor.storage, array.reshape(shape) if array.ndim == 0 else array)
    request.replace_input(position, tensor)


def _copy(request: Inputs, position: int, array: NDArray[Any]) -> None:
    """Copy an array into the tensor that the request holds now, whoever owns its memory."""
    if array.ndim == 0:
        _renew(request, position, array)
        return
    storage = request.input_storage(position)
    if storage.shape != array.shape:
        storage.reshape(array.shape)
    if storage.element_type is ElementType.string:
        Tensor.of(storage).bytes_data = array
    else:
        _fill(storage, array)


def _fill(storage: Storage, array: NDArray[Any]) -> None:
    if storage.element_type is ElementType.bf16:
        array = array.view(storage.array.dtype)
    np.copyto(storage.array, array, casting="unsafe")
