"""Tensors from files."""

import os

from inferd.client.tensor import Tensor
from inferd.shm.element_type import ElementType


def tensor_from_file(path: str | os.PathLike[str]) -> Tensor:
    """Return the bytes of a file as a tensor of u8, read straight into shared memory.

    Raises
    ------
    OSError
        The file can't be read; `FileNotFoundError` if there is none.
    OutOfMemory
        There is no shared memory left.
    """
    with open(path, "rb") as file:
        tensor = Tensor(ElementType.u8, [os.fstat(file.fileno()).st_size])
        tensor.set_shape([file.readinto(tensor.data.data)])  # it may have been cut meanwhile
    return tensor
