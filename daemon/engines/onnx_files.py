"""Which other files an ONNX model refers to. Pure.

An engine that reads a model opens these files with the worker's rights, wherever they are: so a
model may refer only to files that its client has offered, by their plain names. This walks the
protobuf encoding itself, along the parts of the schema that can lead to a tensor.
"""

from collections.abc import Iterator, Mapping
from typing import Final

_TENSOR: Final = "tensor"
_ENTRY: Final = "entry"
# message: {field number: message in that field}, from onnx.proto3
_SCHEMA: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {13: _ENTRY},
}
_DEPTH_MAX: Final = 64


class NotProtobuf(Exception):
    """The bytes are no protobuf message."""


def external_files(model: bytes) -> set[str]:
    """Return the names of the files that hold tensors of a model.

    Raises
    ------
    NotProtobuf
        The bytes can't be walked.
    """
    return set(_locations(memoryview(model), "model", 0))


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEPTH_MAX:
        raise NotProtobuf("nested too deep")
    for number, content in _fields(message):
        inner = _SCHEMA[kind].get(number)
        if inner == _ENTRY:
            pair = {key: bytes(value) for key, value in _fields(content)}
            if pair.get(1) == b"location":
                yield pair.get(2, b"").decode("utf-8", "replace")
        elif inner is not None:
            yield from _locations(content, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the length-delimited fields of a message, skipping the others."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == 2:
            size, position = _varint(message, position)
            if size > len(message) - position:
                raise NotProtobuf("a field reaches beyond its message")
            yield key >> 3, message[position : position + size]
            position += size
        elif wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        elif wire_type in (3, 4):  # the ends of a group, which ONNX has none of: a reader skips it
            pass
        else:
            raise NotProtobuf(f"wire type {wire_type}")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise NotProtobuf("a number is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise NotProtobuf("a number is too long")
