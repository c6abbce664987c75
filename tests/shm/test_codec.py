"""Frames: what is sent is what is read, and whatever else arrives is refused in one way.

Every message of the two declaring modules is tried, with values that hypothesis makes from its
annotations.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferd.daemon import orders
from inferd.shm import wire
from inferd.shm.codec import INTEGER_MAX, TEXT_CHARACTERS_MAX, encode, reader
from inferd.shm.errors import ProtocolViolation
from inferd.shm.ports import Bounds, Port

Read = Callable[[bytes], Any]
Message = type[tuple[Any, ...]]

# Which messages each reader takes.
READERS: dict[str, tuple[Read, tuple[Message, ...]]] = {
    "read_hello": (wire.read_hello, (wire.Hello,)),
    "read_to_sessions": (
        wire.read_to_sessions,
        tuple(each for each in typing.get_args(wire.ToSessions) if each is not wire.Hello),
    ),
    "read_from_sessions": (wire.read_from_sessions, typing.get_args(wire.FromSessions)),
    "read_to_control": (wire.read_to_control, typing.get_args(wire.ToControl)),
    "read_from_control": (wire.read_from_control, typing.get_args(wire.FromControl)),
    "read_to_worker": (wire.read_to_worker, typing.get_args(wire.ToWorker)),
    "read_from_worker": (wire.read_from_worker, typing.get_args(wire.FromWorker)),
    "orders.read_to_worker": (orders.read_to_worker, typing.get_args(orders.ToWorker)),
    "orders.read_from_worker": (orders.read_from_worker, typing.get_args(orders.FromWorker)),
}
PAIRS = [
    pytest.param(read, message, id=f"{name}-{message.__name__}")
    for name, (read, messages) in READERS.items()
    for message in messages
]
every_reader = pytest.mark.parametrize(("read", "messages"), READERS.values(), ids=list(READERS))
every_message = pytest.mark.parametrize(("read", "message"), PAIRS)
quickly = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, INTEGER_MAX),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=12),
    bytes: st.binary(max_size=12),
    bool: st.booleans(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Every value that a field with this annotation may have."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if origin is types.UnionType:
        return st.one_of(
            *[st.none() if each is type(None) else values_of(each) for each in arguments]
        )
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    return st.builds(hint, *map(values_of, typing.get_type_hints(hint).values()))


def declared(module: types.ModuleType) -> set[Message]:
    """The messages that a module declares, and their parts."""
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass)]
    own = [each for each in classes if each.__module__ == module.__name__]
    return {each for each in own if issubclass(each, tuple)}


def parts_of(hint: Any) -> set[Any]:
    """A message or annotation, and everything that is nested in it."""
    is_message = hasattr(hint, "_fields")
    inner = typing.get_type_hints(hint).values() if is_message else typing.get_args(hint)
    return {hint}.union(*map(parts_of, inner))


# --- What is sent is what is read -----------------------------------------------------------------


def test_every_declared_message_has_a_reader() -> None:
    read = [parts_of(message) for _, messages in READERS.values() for message in messages]
    assert declared(wire) | declared(orders) <= set().union(*read)


@every_message
def test_a_message_comes_back_as_it_was_sent(read: Read, message: Message) -> None:
    @quickly
    @given(values_of(message))
    def check(sent: tuple[Any, ...]) -> None:
        received = read(encode(sent))
        assert type(received) is message
        assert received == sent

    check()


def test_nested_values_come_back_with_their_types() -> None:
    port = Port(("x",), "node", "f32", (Bounds(1, 1), Bounds(0, None)))
    read = orders.read_from_worker(encode(orders.ModelCompiled(1, "digits", (port,), (), {})))
    assert isinstance(read, orders.ModelCompiled)
    assert read.inputs[0].shape_text == "[1,?]"


@every_reader
def test_a_reader_takes_no_message_of_another_direction(
    read: Read, messages: tuple[Message, ...]
) -> None:
    known = {message.__name__ for message in messages}
    for foreign in {message.__name__ for message in declared(wire) | declared(orders)} - known:
        with pytest.raises(ProtocolViolation, match="begins with one of"):
            read(msgpack.packb((foreign,)))


# The bytes of three messages. If one of these tests fails, raise wire.PROTOCOL.
GOLDEN: Mapping[bytes, tuple[Read, tuple[Any, ...]]] = {
    b"\x94\xa5Hello\x01\xa50.1.0\xa6camera": (wire.read_hello, wire.Hello(1, "0.1.0", "camera")),
    b"\x93\xa6Submit\x07\xcd\x01\x2c": (wire.read_to_worker, wire.Submit(7, 300)),
    (
        b"\x95\xa9Completed\x07\xcd\x01\x2c\xce\x00\x01\x00\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x02"
    ): (
        wire.read_from_worker,
        wire.Completed(7, 300, 1 << 16, (1 << 32) + 2),
    ),
}


@pytest.mark.parametrize(("frame", "expected"), GOLDEN.items())
def test_the_wire_has_not_changed(frame: bytes, expected: tuple[Read, tuple[Any, ...]]) -> None:
    read, message = expected
    assert encode(message) == frame
    assert read(frame) == message


@pytest.mark.parametrize("frame", [b"\x94\xa5Hello\x63\xc3\xc0", b"\x92\xa5Hello\x63"])
def test_the_protocol_of_a_hello_from_the_future_is_read(frame: bytes) -> None:
    assert wire.protocol_of(frame) == 99


@pytest.mark.parametrize(
    "frame", [["Goodbye", 1], ["Hello", "1"], ["Hello", True], ["Hello"], [], "Hello", 1, None]
)
def test_what_is_no_hello_has_no_protocol(frame: object) -> None:
    assert wire.protocol_of(msgpack.packb(frame)) is None


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=20))
def test_any_bytes_have_a_protocol_or_none(tail: bytes) -> None:
    assert wire.protocol_of(tail) is None
    protocol = wire.protocol_of(b"\x94\xa5Hello" + tail)
    assert protocol is None or type(protocol) is int


# --- Whatever else arrives ------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=6)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.binary(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def is_read_or_refused(read: Read, messages: tuple[Message, ...], frame: bytes) -> None:
    """A frame is either refused, or read as a message that is sound: it can be sent on."""
    try:
        message = read(frame)
    except ProtocolViolation:
        return
    assert type(message) in messages
    again = read(encode(message))
    assert encode(again) == encode(message)  # not ==, for a float that is not a number


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(list(READERS.values())), st.binary(max_size=64) | anything.map(msgpack.packb)
)
def test_any_bytes_are_read_or_refused(
    reading: tuple[Read, tuple[Message, ...]], frame: bytes
) -> None:
    is_read_or_refused(*reading, frame)


def damaged(data: st.DataObject, message: tuple[Any, ...]) -> bytes:
    """The frame with some bytes changed, lost or added."""
    frame = bytearray(encode(message))
    place = data.draw(st.integers(0, len(frame)))
    frame[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    return bytes(frame)


def misfilled(data: st.DataObject, message: tuple[Any, ...]) -> bytes:
    """The message with a field that is replaced, lost or added: good msgpack, wrong values."""
    fields = [type(message).__name__, *message]
    place = data.draw(st.integers(0, len(fields)))
    fields[place : place + data.draw(st.integers(0, 1))] = data.draw(st.lists(anything, max_size=2))
    return bytes(msgpack.packb(fields))


@pytest.mark.parametrize("spoil", [damaged, misfilled])
def test_a_spoilt_frame_is_read_or_refused(
    spoil: Callable[[st.DataObject, tuple[Any, ...]], bytes],
) -> None:
    @settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(list(READERS.values())), st.data())
    def check(reading: tuple[Read, tuple[Message, ...]], data: st.DataObject) -> None:
        message = data.draw(values_of(data.draw(st.sampled_from(reading[1]))))
        is_read_or_refused(*reading, spoil(data, message))

    check()


def test_a_part_of_a_frame_is_refused() -> None:
    frame = encode(wire.Submit(7, 1 << 40))
    for length in range(len(frame)):
        with pytest.raises(ProtocolViolation):
            wire.read_to_worker(frame[:length])


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xa2\xff\xff",
        encode(wire.Submit(7, 1)) + b"\xc0",
        msgpack.packb(msgpack.Timestamp(1)),
    ],
    ids=["empty", "reserved", "deep", "array", "map", "bytes", "not UTF-8", "surplus", "time"],
)
def test_frames_that_are_made_to_hurt_are_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wire.read_to_worker(frame)


# A map iterates over its keys, and text over its characters: neither is taken for an array.
@pytest.mark.parametrize(
    "frame", [{"Join": None, b"token": None}, {"ReleaseModel": 1}, "Join", b"Join", ["Join"], []]
)
def test_a_frame_that_is_not_an_array_is_refused(frame: object) -> None:
    with pytest.raises(ProtocolViolation):
        wire.read_to_worker(msgpack.packb(frame))


# --- A refusal says what is wrong -----------------------------------------------------------------


class Point(typing.NamedTuple):
    x: int
    y: int | None


class Sample(typing.NamedTuple):
    """A field of every kind."""

    number: int
    ratio: float
    text: str
    raw: bytes
    is_on: bool
    points: tuple[Point, ...]
    notes: dict[str, str]


read_sample = reader(Sample)
SAMPLE: dict[str, Any] = {
    "number": 7,
    "ratio": 0.5,
    "text": "text",
    "raw": b"raw",
    "is_on": True,
    "points": [[1, 2], [3, None]],
    "notes": {"key": "value"},
}


def sample(**changed: object) -> Any:
    """Read a sample in which some fields are not as they should be."""
    return read_sample(msgpack.packb(("Sample", *(SAMPLE | changed).values())))


def test_a_sample_is_read() -> None:
    points = (Point(1, 2), Point(3, None))
    assert sample() == Sample(7, 0.5, "text", b"raw", True, points, {"key": "value"})
    assert [type(point) for point in sample().points] == [Point, Point]


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("number", "7", r"an integer from 0 to 2\^63 - 1, got str"),
        ("number", None, "an integer .*, got NoneType"),
        ("number", True, "an integer .*, got bool"),
        ("number", 1.0, "an integer .*, got float"),
        ("number", -1, "an integer from 0"),
        ("number", 1 << 63, "an integer from 0"),
        ("ratio", "0.5", "a number, got str"),
        ("ratio", True, "a number, got bool"),
        ("text", b"text", "text of at most .*, got bytes"),
        ("raw", "raw", "bytes, got str"),
        ("is_on", 1, "a boolean, got int"),
        ("points", {}, "an array, got dict"),
        ("points", [7], r"an array of 2 \(x, y\), got list"),
        ("points", [[1]], r"an array of 2 \(x, y\)"),
        ("points", [[1, 2, 3]], r"an array of 2 \(x, y\)"),
        ("points", [[1, -2]], "an integer from 0"),
        ("points", [[None, 1]], "an integer from 0"),
        ("notes", [], "a map, got list"),
        ("notes", None, "a map, got NoneType"),
        ("notes", {"a": 1}, "text"),
        ("notes", {b"a": "b"}, "text"),
    ],
)
def test_a_refusal_names_the_field(field: str, value: object, complaint: str) -> None:
    with pytest.raises(ProtocolViolation, match=rf"Sample\.{field} must be {complaint}"):
        sample(**{field: value})


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (["Submit", 7], r"Submit has 2 fields \(request, sequence\), got 1"),
        (["Submit", 7, 1, 1], "got 3"),
        (["Submit", True, 1], r"Submit\.request must be an integer .*, got bool"),
        (["Submit", 7, -1], r"Submit\.sequence must be an integer from 0"),
        (["Submit", 7, 1 << 63], r"Submit\.sequence must be an integer from 0"),
        (["Subscribe", 1], "begins with one of: Submit, Join"),
        ([7, 1], "begins with one of"),
        ([["Submit"], 1, 1], "begins with one of"),
    ],
)
def test_a_refusal_says_what_was_expected(frame: list[Any], complaint: str) -> None:
    with pytest.raises(ProtocolViolation, match=complaint):
        wire.read_to_worker(msgpack.packb(frame))


def test_text_has_a_limit() -> None:
    longest = "x" * TEXT_CHARACTERS_MAX
    assert sample(text=longest).text == longest
    with pytest.raises(ProtocolViolation, match=r"Sample\.text must be text of at most"):
        sample(text=longest + "x")


def test_a_whole_number_is_read_as_a_float_where_one_is_meant() -> None:
    assert type(sample(ratio=2).ratio) is float
    assert math.isnan(sample(ratio=math.nan).ratio)
