"""``inferd run MODEL``: execute a model on an input, and time it."""

import argparse
import json
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferd.client import CompiledModel, ConstOutput, Core
from inferd.daemon.cli import tables
from inferd.daemon.cli.progress import Progress
from inferd.shm.element_type import ElementType
from inferd.shm.errors import WrongValue

RANDOM = "random"
SEED = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="path of a model: .onnx, .xml, ...")
    parser.add_argument(
        "--input",
        default=RANDOM,
        metavar="FILE",
        help="a .npy for a model with one input, a .npz with an array per input name, or 'random' "
        "(default)",
    )
    parser.add_argument("--device", metavar="NAME", help="device to run on (default: the first)")
    parser.add_argument(
        "--count", type=_count, default=1, metavar="N", help="inferences to time (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def run(arguments: argparse.Namespace) -> int:
    """Compile, execute and report."""
    path = Path(arguments.model)
    with Progress("starting the daemon"):
        core = Core()
    with Progress(f"compiling {path.name}"):
        started_s = time.monotonic()
        model = core.compile_model(path, arguments.device)
        compile_s = time.monotonic() - started_s
    arrays = read_inputs(arguments.input, model)
    request = model.create_infer_request()
    latencies_ms = []
    with Progress(f"running {path.name}"):
        results = request.infer(arrays)
        for _ in range(arguments.count - 1):
            latencies_ms.append(request.latency)
            request.infer()
        latencies_ms.append(request.latency)
    report = {
        "model": str(path),
        "device": arguments.device or core.available_devices[0],
        "ready_ms": round(compile_s * 1e3, 1),
        "count": arguments.count,
        "latency_ms": {
            name: round(float(np.percentile(latencies_ms, percent)), 3)
            for name, percent in (("p50", 50), ("p99", 99))
        },
        "outputs": [_describe(port, results[port]) for port in results],
    }
    print(json.dumps(report, indent=2) if arguments.json else _text(report), flush=True)
    return 0


def read_inputs(source: str, model: CompiledModel) -> dict[str | int, NDArray[Any]]:
    """Return an array per input, from a file or at random.

    Raises
    ------
    WrongValue
        The file can't be read, or has not the inputs of the model.
    """
    if source == RANDOM:
        generator = np.random.default_rng(SEED)
        return {i: _random(port, generator) for i, port in enumerate(model.inputs)}
    arrays = _load(source)
    if not isinstance(arrays, np.ndarray):
        return {i: _named(port, arrays, source) for i, port in enumerate(model.inputs)}
    if len(model.inputs) != 1:
        raise WrongValue(
            f"{source} has one array, but the model has {len(model.inputs)} inputs; "
            "save a .npz with an array per input name"
        )
    return {0: _checked(arrays, model.inputs[0], source)}


def _load(source: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Read a .npy, or all arrays of a .npz; never anything that is pickled."""
    try:
        with open(source, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as why:
        raise WrongValue(f"can't read {source}: {why.strerror or why}") from why
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as why:
        raise WrongValue(f"{source} is no .npy or .npz file of plain arrays") from why


def _named(port: ConstOutput, arrays: Mapping[str, NDArray[Any]], source: str) -> NDArray[Any]:
    names = port.get_names() & set(arrays)
    if not names:
        raise WrongValue(
            f"{source} has no array for the input {port.facts.label}; "
            f"it has: {', '.join(arrays) or 'none'}"
        )
    return _checked(arrays[names.pop()], port, source)


def _checked(array: NDArray[Any], port: ConstOutput, source: str) -> NDArray[Any]:
    is_text = port.get_element_type() is ElementType.string
    if (array.dtype.kind in "SU") != is_text or array.dtype.kind not in "biufSU":
        raise WrongValue(
            f"{source} has {array.dtype} for the input {port.facts.label}, "
            f"which takes {port.facts.element_type}"
        )
    return array


def _random(port: ConstOutput, generator: np.random.Generator) -> NDArray[Any]:
    """Return uniform numbers from 0 to 1, or small whole ones; dynamic dimensions become 1."""
    shape = [max(bound.lowest, 1) for bound in port.facts.bounds or ()]
    dtype = port.get_element_type().to_dtype()
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)


def _describe(port: ConstOutput, array: NDArray[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": min(port.get_names(), default=""),
        "element_type": port.facts.element_type,
        "shape": list(array.shape),
    }
    if array.size and array.dtype.kind in "fiub":
        facts["min"], facts["mean"], facts["max"] = (
            float(array.min()),
            float(array.mean()),
            float(array.max()),
        )
        facts["argmax"] = int(array.argmax())
    return facts


def _text(report: dict[str, Any]) -> str:
    outputs: Sequence[dict[str, Any]] = report["outputs"]
    columns = ("OUTPUT", "TYPE", "SHAPE", "MIN", "MEAN", "MAX", "ARGMAX")
    rows = [
        (
            each["name"] or "-",
            each["element_type"],
            "x".join(map(str, each["shape"])) or "scalar",
            *(f"{each[name]:.6g}" if name in each else "-" for name in ("min", "mean", "max")),
            each.get("argmax", "-"),
        )
        for each in outputs
    ]
    latency = report["latency_ms"]
    timing = (
        f"{report['model']} on {report['device']}: ready in {report['ready_ms']:.0f} ms, "
        f"{report['count']} inference{'s' * (report['count'] > 1)}, "
        f"p50 {latency['p50']:.3f} ms, p99 {latency['p99']:.3f} ms"
    )
    return f"{timing}\n\n{tables.render(columns, rows)}"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)
