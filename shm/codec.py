"""Messages to bytes and back: a typed tuple travels as a msgpack array ``[name, field, ...]``.

A message is a `NamedTuple`, declared once; its annotations are its checks. A reader knows the
messages of one direction and refuses every other frame before any logic sees it. Pure.
"""

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgpack

from inferd.shm.errors import ProtocolViolation

INTEGER_MAX: Final = (1 << 63) - 1
TEXT_CHARACTERS_MAX: Final = 16 * 1024  # an error text with an engine's whole story fits

Check = Callable[[Any], Any]


class Mismatch(Exception):
    """A value that is not of its field's type; the text says what it is instead."""


def encode(message: tuple[Any, ...]) -> bytes:
    """Return the frame of a message. Texts that are too long for a reader are cut."""
    frame: bytes = msgpack.packb((type(message).__name__, *message), unicode_errors="replace")
    if len(frame) <= TEXT_CHARACTERS_MAX:
        return frame
    cut = [_cut(value) if isinstance(value, str) else value for value in message]
    shorter: bytes = msgpack.packb((type(message).__name__, *cut), unicode_errors="replace")
    return shorter


def _cut(text: str) -> str:
    if len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return f"{text[: TEXT_CHARACTERS_MAX // 2]} ... (cut)"


class _Plan(NamedTuple):
    """How a message is checked. ``plain`` are the types of its name and its fields where all
    fields are whole numbers: then built-in calls check them, which matters for what is read
    thousands of times a second."""

    message: type[tuple[Any, ...]]
    fields: tuple[str, ...]
    checks: tuple[Check, ...]
    plain: list[type] | None


def reader(*messages: type[tuple[Any, ...]]) -> Callable[[bytes], Any]:
    """Return a function that reads a frame of one of these messages.

    It raises `ProtocolViolation` for bytes that are not msgpack, for an unknown message, and for
    missing, surplus or wrong fields.
    """
    plans = {message.__name__: _plan(message) for message in messages}

    def read(frame: bytes) -> Any:
        try:
            content = msgpack.unpackb(frame)
            message, fields, checks, plain = plans[content[0]]
        except (KeyError, TypeError, IndexError):
            raise ProtocolViolation(
                f"a frame must be an array that begins with one of: {', '.join(plans)}"
            ) from None
        except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as why:
            raise ProtocolViolation(f"a frame must be msgpack: {why}") from None
        if plain == [type(value) for value in content]:
            values = content[1:]
            if min(values) >= 0 and max(values) <= INTEGER_MAX:
                return tuple.__new__(message, values)
        return _read_slowly(message, fields, checks, content)

    return read


def _read_slowly(
    message: type[tuple[Any, ...]], fields: tuple[str, ...], checks: tuple[Check, ...], content: Any
) -> Any:
    """Check field by field."""
    if type(content) is not list:
        raise ProtocolViolation(f"a frame must be an array, got {type(content).__name__}")
    name, *values = content
    if len(values) != len(fields):
        raise ProtocolViolation(
            f"{name} has {len(fields)} fields ({', '.join(fields)}), got {len(values)}"
        )
    try:
        return message(*[check(value) for check, value in zip(checks, values, strict=True)])
    except Mismatch:
        raise _explain(name, fields, checks, values) from None


def _explain(
    name: str, fields: tuple[str, ...], checks: tuple[Check, ...], values: list[Any]
) -> ProtocolViolation:
    """Find the field that is wrong: done only when one is, so that reading stays fast."""
    for field, check, value in zip(fields, checks, values, strict=True):
        try:
            check(value)
        except Mismatch as why:
            return ProtocolViolation(f"{name}.{field} must be {why}, got {type(value).__name__}")
    raise AssertionError("every field passed its check")


def _plan(message: type[tuple[Any, ...]]) -> _Plan:
    hints = typing.get_type_hints(message)
    checks = tuple(_check_for(hint) for hint in hints.values())
    is_plain = bool(hints) and set(hints.values()) == {int}
    return _Plan(message, tuple(hints), checks, [str, *([int] * len(hints))] if is_plain else None)


def _check_for(hint: Any) -> Check:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN_CHECKS:
        return _PLAIN_CHECKS[hint]
    if origin in (types.UnionType, typing.Union):
        (inner,) = [_check_for(argument) for argument in arguments if argument is not type(None)]
        return lambda value: None if value is None else inner(value)
    if origin is tuple and arguments[-1] is ...:
        return _sequence_check(_check_for(arguments[0]))
    if origin in (dict, Mapping):
        return _mapping_check(_check_for(arguments[0]), _check_for(arguments[1]))
    return _nested_check(hint)


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise Mismatch("an integer from 0 to 2^63 - 1")
    return value


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise Mismatch("a number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > TEXT_CHARACTERS_MAX:
        raise Mismatch(f"text of at most {TEXT_CHARACTERS_MAX} characters")
    return value


def _binary(value: Any) -> bytes:
    if type(value) is not bytes:
        raise Mismatch("bytes")
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Mismatch("a boolean")
    return value


_PLAIN_CHECKS: Final[Mapping[Any, Check]] = {
    int: _integer,
    float: _number,
    str: _text,
    bytes: _binary,
    bool: _boolean,
}


def _sequence_check(inner: Check) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Mismatch("an array")
        return tuple([inner(item) for item in value])

    return check


def _mapping_check(key_check: Check, value_check: Check) -> Check:
    def check(value: Any) -> dict[Any, Any]:
        if type(value) is not dict:
            raise Mismatch("a map")
        return {key_check(key): value_check(item) for key, item in value.items()}

    return check


def _nested_check(message: type[tuple[Any, ...]]) -> Check:
    _, fields, checks, _ = _plan(message)

    def check(value: Any) -> Any:
        if type(value) is not list or len(value) != len(fields):
            raise Mismatch(f"an array of {len(fields)} ({', '.join(fields)})")
        return message(*[inner(item) for inner, item in zip(checks, value, strict=True)])

    return check
