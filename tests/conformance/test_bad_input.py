"""Bad input gets the exception type that OpenVINO raises; the same objects then go on."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

ROW = np.array([[-1, 2, -3, 4]], np.float32)


@pytest.fixture
def goes_on(core: Any, tmp_path: Path) -> Any:
    """A model that has to work after whatever the test did."""
    path = tmp_path / "good.onnx"
    path.write_bytes(models.relu((1, 4)))
    model = core.compile_model(str(path), "CPU")
    yield model
    assert model(ROW)[0].tolist() == [[0, 2, 0, 4]]
    assert core.compile_model(str(path), "CPU")(ROW)[0].tolist() == [[0, 2, 0, 4]]


def missing(folder: Path) -> Path:
    return folder / "none.onnx"


def directory(folder: Path) -> Path:
    return folder


def text(folder: Path) -> Path:
    path = folder / "text.onnx"
    path.write_text("not a model")
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.onnx"
    path.touch()
    return path


def truncated(folder: Path) -> Path:
    path = folder / "truncated.onnx"
    path.write_bytes(models.slow(size=64, layers=2)[:-1000])
    return path


@pytest.mark.parametrize("bad", [missing, directory, text, empty, truncated])
def test_what_is_no_model_is_refused(core: Any, goes_on: Any, tmp_path: Path, bad: Any) -> None:
    with pytest.raises(RuntimeError):
        core.compile_model(str(bad(tmp_path)), "CPU")


@pytest.mark.parametrize("device", ["XPU", "CPU.99", "cpu", "", "GPU.7"])
def test_a_device_that_does_not_exist_is_refused(
    core: Any, goes_on: Any, tmp_path: Path, device: str
) -> None:
    with pytest.raises(RuntimeError):
        core.compile_model(str(tmp_path / "good.onnx"), device)


@pytest.mark.parametrize("config", [{"NO_SUCH_KEY": "1"}, {"PERFORMANCE_HINT": "SIDEWAYS"}])
def test_a_configuration_that_does_not_exist_is_refused(
    core: Any, goes_on: Any, tmp_path: Path, config: dict[str, str]
) -> None:
    with pytest.raises(RuntimeError):
        core.compile_model(str(tmp_path / "good.onnx"), "CPU", config)


@pytest.mark.parametrize(
    "tensor",
    [np.zeros((1, 4), np.float64), np.zeros(4, np.float32), np.zeros((1, 5), np.float32)],
    ids=["element type", "rank", "shape"],
)
def test_a_tensor_that_does_not_fit_is_refused_and_the_request_goes_on(
    ov: Any, goes_on: Any, tensor: Any
) -> None:
    request = goes_on.create_infer_request()
    for attempt in (request.set_input_tensor, request.set_output_tensor):
        with pytest.raises(RuntimeError):
            attempt(ov.Tensor(tensor))
    with pytest.raises(RuntimeError):
        request.infer(ov.Tensor(tensor))
    assert request.infer(ROW)[0].tolist() == [[0, 2, 0, 4]]


def test_errors_of_inferd_say_what_was_given_and_what_was_expected(
    shared_daemon: object, tmp_path: Path
) -> None:
    ov = importlib.import_module("inferd.client")
    core = ov.Core()
    model = core.compile_model(models.relu((1, 4)), "CPU")
    request = model.create_infer_request()
    path = tmp_path / "x.onnx"
    path.write_bytes(b"nonsense")
    cases: list[tuple[Callable[[], object], tuple[str, ...]]] = [
        (lambda: core.compile_model("/none/here.onnx"), ("/none/here.onnx", "No such file")),
        (lambda: core.compile_model(str(tmp_path)), ("directory",)),
        (lambda: core.compile_model(str(path)), ("x.onnx",)),
        (lambda: core.compile_model(str(path), "GPU"), ("'GPU'", "CPU, second")),
        (
            lambda: core.compile_model(models.relu(), "CPU", {"PERF_HINT": "1"}),
            ("PERF_HINT", "did you mean"),
        ),
        (
            lambda: request.set_input_tensor(ov.Tensor(ov.Type.f64, [1, 4])),
            ("'x'", "f32", "f64"),
        ),
        (
            lambda: request.infer(np.zeros((2, 4), np.float32)),
            ("'x'", "[1,4]", "[2, 4]"),
        ),
        (lambda: request.get_tensor("z"), ("'z'", "x, y")),
        (lambda: request.get_output_tensor(3), ("1 output", "3")),
        (lambda: request.wait_for(1.5), ("milliseconds", "1.5")),
        (lambda: ov.Tensor(ov.Type.u8, [1 << 45]), ("room", str(1 << 45))),
    ]
    for action, words in cases:
        with pytest.raises((RuntimeError, TypeError)) as raised:
            action()
        for word in words:
            assert word in str(raised.value), str(raised.value)
