"""Models that take and give strings.

Each model here has one request: OpenVINO crashes when one of several requests of a string model
is dropped. Left out, too: the bytes of empty strings only, and what copies strings as bare memory.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import openvino
import openvino.opset13 as opset13
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Load = Callable[[Any], Any]

# What builds the models; what runs them is the fixture ``ov``.
opset: Final[Any] = opset13

WORDS: Final = ["a", "two words", "zürich, 漢字 and 🙂", "a text that is longer than short strings"]


def text(shape: list[int]) -> Any:
    parameter = opset.parameter(shape, openvino.Type.string, name="text")
    parameter.output(0).set_names({"text"})
    return parameter


def result(node: Any, name: str) -> Any:
    output = opset.result(node)
    output.output(0).set_names({name})
    return output


def same(shape: list[int]) -> Any:
    """``same``: the text (input 0) as it is."""
    parameter = text(shape)
    return openvino.Model([result(parameter, "same")], [parameter], "same")


def picked() -> Any:
    """``picked``: those of ``text`` (n) whose numbers are in ``picks`` (m), int32."""
    words = text([-1])
    picks = opset.parameter([-1], np.int32, name="picks")
    picks.output(0).set_names({"picks"})
    chosen = opset.gather(words, picks, opset.constant(np.int32(0)))
    return openvino.Model([result(chosen, "picked")], [words, picks], "picked")


def flat() -> Any:
    """``flat``: ``text`` (2, 2) as (4)."""
    words = text([2, 2])
    shape = opset.constant(np.array([4], np.int32))
    return openvino.Model([result(opset.reshape(words, shape, False), "flat")], [words], "flat")


@pytest.fixture(scope="module")
def compile_(ov: Any, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Compile a model that OpenVINO built for the CPU, by way of an IR file."""
    core = ov.Core()

    def compile_(model: Any) -> Any:
        path = tmp_path_factory.mktemp("ir") / "model.xml"
        openvino.save_model(model, path)
        return core.compile_model(path, "CPU")

    return compile_


@pytest.fixture
def request_(compile_: Load) -> Any:
    """The only request of a model that gives its four words back."""
    return compile_(same([4])).create_infer_request()


@pytest.fixture
def picker(compile_: Load) -> Any:
    """The only request of a model that picks words."""
    return compile_(picked()).create_infer_request()


def numbers(*values: int) -> Array:
    return np.array(values, np.int32)


def test_ports_of_text_are_strings(ov: Any, request_: Any) -> None:
    assert request_.model_inputs[0].element_type == ov.Type.string
    assert request_.model_outputs[0].element_type == ov.Type.string
    assert request_.get_input_tensor().element_type == ov.Type.string
    assert request_.get_output_tensor().element_type == ov.Type.string


def test_new_strings_of_a_request_are_empty(request_: Any) -> None:
    assert request_.get_input_tensor().str_data.tolist() == [""] * 4


# Inputs

INPUTS: Final[dict[str, Callable[[Any], Any]]] = {
    "list": lambda ov: WORDS,
    "list of bytes": lambda ov: [word.encode() for word in WORDS],
    "array": lambda ov: np.array(WORDS),
    "array of bytes": lambda ov: np.array([word.encode() for word in WORDS]),
    "tensor": lambda ov: ov.Tensor(WORDS),
    "array by index": lambda ov: {0: np.array(WORDS)},
    "list by index": lambda ov: {0: WORDS},
    "tensor by index": lambda ov: {0: ov.Tensor(WORDS)},
    "array in a list": lambda ov: [np.array(WORDS)],
    "tensor in a tuple": lambda ov: (ov.Tensor(WORDS),),
}


@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS.keys())
def test_text_is_taken_from(
    ov: Any, request_: Any, make: Callable[[Any], Any], share: bool
) -> None:
    assert request_.infer(make(ov), share_inputs=share)[0].tolist() == WORDS


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS.keys())
def test_text_is_taken_from_asynchronously(
    ov: Any, request_: Any, make: Callable[[Any], Any]
) -> None:
    request_.start_async(make(ov))
    request_.wait()
    assert request_.results[0].tolist() == WORDS


@pytest.mark.parametrize("share", [False, True], ids=["copied", "shared"])
def test_text_is_always_copied(request_: Any, share: bool) -> None:
    words = np.array(WORDS)
    request_.infer(words, share_inputs=share)
    words[:] = "changed"
    assert request_.infer()[0].tolist() == WORDS


def test_text_can_be_set_as_a_tensor(ov: Any, request_: Any) -> None:
    tensor = ov.Tensor(WORDS)
    request_.set_input_tensor(tensor)
    assert request_.infer()[0].tolist() == WORDS
    tensor.str_data = WORDS[::-1]
    assert request_.infer()[0].tolist() == WORDS[::-1]


def test_text_can_be_written_into_the_tensor_of_a_request(request_: Any) -> None:
    tensor = request_.get_input_tensor()
    tensor.str_data = WORDS
    assert request_.infer()[0].tolist() == WORDS
    tensor.bytes_data = [b"1", b"2", b"3", b"4"]
    assert request_.infer()[0].tolist() == ["1", "2", "3", "4"]


def test_text_may_change_from_call_to_call(request_: Any) -> None:
    for number in range(50):
        words = [f"{word} {'.' * number}" for word in WORDS]
        assert request_.infer(words)[0].tolist() == words


@pytest.mark.parametrize("word", ["", "x", "é", "x" * 10_000, "a\0b", "line\nline"])
def test_any_text_comes_back(request_: Any, word: str) -> None:
    words = [word, "other", word, "last"]
    assert request_.infer(words)[0].tolist() == words


@pytest.mark.parametrize("words", [["a"], WORDS[:3], [*WORDS, "more"], [WORDS]], ids=len)
def test_as_many_texts_are_taken_as_the_model_wants(request_: Any, words: list[Any]) -> None:
    with pytest.raises(RuntimeError):
        request_.infer(words)
    assert request_.infer(WORDS)[0].tolist() == WORDS


@pytest.mark.parametrize("values", [[1, 2, 3, 4], np.arange(4), np.zeros(4, np.float32)])
def test_numbers_are_no_text(request_: Any, values: Any) -> None:
    with pytest.raises(RuntimeError):
        request_.infer(values)


@pytest.mark.parametrize("word", ["text", b"text"])
def test_one_text_is_not_four(request_: Any, word: Any) -> None:
    with pytest.raises(RuntimeError):
        request_.infer(word)


def test_text_is_no_number(ov: Any, picker: Any) -> None:
    words = ov.Tensor(["1", "0"])
    with pytest.raises(RuntimeError):
        picker.set_tensor("picks", words)


# Outputs


def test_results_are_decoded(request_: Any) -> None:
    for results in (
        request_.infer(WORDS),
        request_.infer(WORDS, decode_strings=True),
        request_.results,
    ):
        assert results[0].dtype.kind == "U"
        assert results[0].tolist() == WORDS


def test_results_are_bytes_when_they_are_not_to_be_decoded(request_: Any) -> None:
    results = request_.infer(WORDS, decode_strings=False)
    assert results[0].dtype.kind == "S"
    assert results[0].tolist() == [word.encode() for word in WORDS]


def test_bytes_that_are_no_text_come_back_as_bytes(request_: Any) -> None:
    words = [b"\xff\xfe", b"ok", b"\x80", b"-"]
    assert request_.infer(words, decode_strings=False)[0].tolist() == words


def test_the_output_tensor_holds_text_and_bytes(request_: Any) -> None:
    request_.infer(WORDS)
    tensor = request_.get_output_tensor()
    assert tensor.str_data.tolist() == WORDS
    assert tensor.bytes_data.tolist() == [word.encode() for word in WORDS]


def test_results_are_copied_with_a_warning_when_they_are_to_be_shared(request_: Any) -> None:
    with pytest.warns(RuntimeWarning):
        results = request_.infer(WORDS, share_outputs=True)
    request_.infer(WORDS[::-1])
    assert results[0].tolist() == WORDS


def test_results_stay_when_the_request_runs_again(request_: Any) -> None:
    first = request_.infer(WORDS)[0]
    request_.infer(WORDS[::-1])
    assert first.tolist() == WORDS


def test_text_goes_into_a_tensor_that_was_set(ov: Any, picker: Any) -> None:
    tensor = ov.Tensor(ov.Type.string, [2])
    picker.set_output_tensor(tensor)
    picker.infer([np.array(WORDS), numbers(3, 0)])
    assert tensor.str_data.tolist() == [WORDS[3], WORDS[0]]
    picker.infer([np.array(WORDS), numbers(1, 1)])
    assert tensor.str_data.tolist() == [WORDS[1], WORDS[1]]


# Models of more than one operation


@pytest.mark.parametrize("picks", [(0,), (3, 2, 1, 0), (1, 1, 1), (0, 1, 2, 3, 0, 1)], ids=str)
def test_text_and_numbers_go_together(picker: Any, picks: tuple[int, ...]) -> None:
    expected = [WORDS[pick] for pick in picks]
    assert picker.infer([np.array(WORDS), numbers(*picks)])["picked"].tolist() == expected
    assert picker.infer({"text": WORDS, "picks": numbers(*picks)})[0].tolist() == expected


def test_the_length_of_text_may_change_from_call_to_call(picker: Any) -> None:
    for count in (1, 4, 2, 3):
        words = WORDS[:count]
        picks = numbers(*range(count)[::-1])
        assert picker.infer([np.array(words), picks])[0].tolist() == words[::-1]


def test_text_can_be_reshaped(compile_: Load) -> None:
    request = compile_(flat()).create_infer_request()
    assert request.infer(np.array(WORDS).reshape(2, 2))[0].tolist() == WORDS
    assert request.infer(np.array(WORDS[::-1]).reshape(2, 2))[0].tolist() == WORDS[::-1]


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 4), (4, 1, 1)], ids=str)
def test_text_keeps_its_shape(compile_: Load, shape: tuple[int, ...]) -> None:
    request = compile_(same(list(shape))).create_infer_request()
    words = np.array(WORDS).reshape(shape)
    answer = request.infer(words)[0]
    assert answer.shape == shape
    assert answer.tolist() == words.tolist()


def test_text_of_dynamic_shape(compile_: Load) -> None:
    request = compile_(same([-1, -1])).create_infer_request()
    for words in ([["a", "b"]], [["a"], ["b"]], [["a", "b", "c"], ["d", "e", "f"]]):
        assert request.infer(np.array(words))[0].tolist() == words


@pytest.mark.parametrize("word", ["hello", b"hello", np.array("hello"), np.array(b"hello")])
def test_one_text_is_an_input_without_dimensions(compile_: Load, word: Any) -> None:
    answer = compile_(same([])).create_infer_request().infer(word)[0]
    assert answer.shape == ()
    assert answer.tolist() == "hello"


# CompiledModel


def test_a_model_of_text_can_be_called(compile_: Load) -> None:
    model = compile_(same([4]))
    assert model(WORDS)[0].tolist() == WORDS
    assert model(WORDS[::-1])[0].tolist() == WORDS[::-1]
    assert model(WORDS, decode_strings=False)[0].dtype.kind == "S"


def test_a_model_of_text_can_be_run_by_a_new_request(compile_: Load) -> None:
    assert compile_(same([4])).infer_new_request(WORDS)[0].tolist() == WORDS
