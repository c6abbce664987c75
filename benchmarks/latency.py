"""How long one inference takes, asked of inferd and of OpenVINO in this process.

One client makes one call at a time, back to back. The rivals take short turns; while one works, the
others sleep. Both have the same models with the same settings, and before anything is timed their
outputs are compared: they are the same to the last bit.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
from numpy.typing import NDArray

import inferd.client
from benchmarks import machine, models, samples
from benchmarks.echo import MESSAGE, echo
from benchmarks.private_daemon import private_daemon
from benchmarks.samples import Call, Ratio, Series, ratio, take_turns
from inferd.daemon.cli.tables import render

IN_PROCESS: Final = "in-process"
INFERD: Final = "inferd"
PYZMQ: Final = "pyzmq"
ECHO: Final = f"echo {len(MESSAGE)} bytes"
SETTINGS: Final = ("PERFORMANCE_HINT", "NUM_STREAMS", "INFERENCE_NUM_THREADS")
SEED: Final = 1  # of the inputs
EXIT_INTERRUPTED: Final = 130

Arrays = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Work:
    """A model and a way to call it; ``bind`` makes what is timed, from a request and inputs."""

    name: str
    timed: str
    model: str
    bind: Callable[[Any, Arrays], Call]


@dataclass(frozen=True)
class Row:
    """A work on one rival."""

    work: str
    rival: str
    timed: str
    series: Series


@dataclass(frozen=True)
class Report:
    """All that one run found."""

    machine: machine.Machine
    engine_settings: Mapping[str, str]
    rows: Sequence[Row]
    ratios: Sequence[Ratio]


# --- What is timed ----------------------------------------------------------------------------


def infer(request: Any, arrays: Arrays) -> Call:
    """The inputs lie in the request's tensors already; outputs are copied out of them."""
    _fill(request, arrays)
    call: Call = request.infer
    return call


def infer_shared(request: Any, arrays: Arrays) -> Call:
    """The inputs lie in the request's tensors already; outputs are views of others."""
    _fill(request, arrays)
    return functools.partial(request.infer, share_outputs=True)


def infer_array(request: Any, arrays: Arrays) -> Call:
    """The only input is copied into the request's tensor each time, the output out of it."""
    return functools.partial(request.infer, arrays[0])


def _fill(request: Any, arrays: Arrays) -> None:
    for index, array in enumerate(arrays):
        request.get_input_tensor(index).data[:] = array


MODELS: Final[Mapping[str, Callable[[], bytes]]] = {
    "relu": models.relu,
    "add": models.add,
    "resnet50": models.resnet50,
}
RELU: Final = Work("relu 1x16", "infer(): input bound before, 64 B copied out", "relu", infer)
RELU_ARRAY: Final = Work(
    "relu 1x16, array", "infer(array): 64 B copied in and out", "relu", infer_array
)
ADD: Final = Work(
    "add 8 MiB + 8 MiB", "infer(share_outputs=True): nothing copied", "add", infer_shared
)
RESNET50: Final = Work(
    "ResNet-50", "infer(): input bound before, 4 kB copied out", "resnet50", infer
)
WORKS: Final = (RELU, RELU_ARRAY, ADD, RESNET50)
ECHO_TIMED: Final = "DEALER: send and recv, ROUTER in another process, ipc"


# --- Running ----------------------------------------------------------------------------------


def run(duration_s: float) -> Report:
    """Start the rivals, compare their outputs and time them."""
    facts = machine.look()
    print(facts, end="\n\n", flush=True)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inferd-bench-")))
        for name, build in MODELS.items():
            (directory / f"{name}.onnx").write_bytes(build())
        echo_series = Series(stack.enter_context(echo(directory)))
        stack.enter_context(private_daemon(directory))
        rivals = {
            IN_PROCESS: compile_models(openvino.Core(), directory),
            INFERD: compile_models(inferd.client.Core(autostart=False), directory),
        }
        settings = common_settings(rivals)
        rows = [row for work in WORKS for row in make_rows(work, rivals)]
        rows.append(Row(ECHO, PYZMQ, ECHO_TIMED, echo_series))
        take_turns([row.series for row in rows], duration_s)
    return Report(facts, settings, rows, compare(rows))


def compile_models(core: Any, directory: Path) -> dict[str, Any]:
    """Return all models compiled, with the engine's default settings."""
    return {name: core.compile_model(directory / f"{name}.onnx", "CPU") for name in MODELS}


def common_settings(rivals: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what the engine chose for ResNet-50; end the run if it differs between rivals."""
    ours, theirs = (settings_of(compiled[RESNET50.model]) for compiled in rivals.values())
    if ours != theirs:
        raise SystemExit(f"the rivals' settings differ: {ours} and {theirs}")
    return ours


def settings_of(model: Any) -> dict[str, str]:
    """Return the settings of a compiled model, as text."""
    values = {name: model.get_property(name) for name in SETTINGS}
    return {name: str(getattr(value, "name", value)) for name, value in values.items()}


def make_rows(work: Work, rivals: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return a row for each rival, on equal inputs, once their outputs were found equal."""
    rows = []
    for rival, compiled in rivals.items():
        request = compiled[work.model].create_infer_request()
        call = work.bind(request, random_inputs(request))
        rows.append(Row(work.name, rival, work.timed, Series(call)))
    verify(work, [row.series.call for row in rows])
    return rows


def random_inputs(request: Any) -> Arrays:
    """Return the same random numbers each time, an array for each input."""
    generator = np.random.default_rng(SEED)
    return [
        generator.standard_normal(tuple(port.get_shape()), np.float32)
        for port in request.model_inputs
    ]


def verify(work: Work, calls: Sequence[Callable[[], Any]]) -> None:
    """End the run unless all calls give the same outputs."""
    expected, *others = (list(call().values()) for call in calls)
    for got in others:
        if not all(map(np.array_equal, expected, got)) or len(expected) != len(got):
            raise SystemExit(f"{work.name}: the rivals' outputs differ")


# --- Reporting --------------------------------------------------------------------------------


def compare(rows: Sequence[Row]) -> list[Ratio]:
    """Return inferd's medians relative to OpenVINO's and, for small works, to the echo's."""
    found = {(row.work, row.rival): row.series for row in rows}
    pairs = {work.name: (found[work.name, INFERD], found[work.name, IN_PROCESS]) for work in WORKS}
    ratios = [
        ratio(f"{name}: inferd / in-process", lambda ours, base: ours / base, *pair)
        for name, pair in pairs.items()
    ]
    ratios += [
        ratio(
            f"{work.name}: (inferd - in-process) / echo",
            lambda ours, base, message: (ours - base) / message,
            *pairs[work.name],
            found[ECHO, PYZMQ],
        )
        for work in (RELU, RELU_ARRAY)
    ]
    return ratios


def as_text(report: Report) -> str:
    """Return what a person reads."""
    settings = ", ".join(f"{name} {value}" for name, value in report.engine_settings.items())
    rounds = len(report.rows[0].series.rounds)
    rows = []
    for row in report.rows:
        all_ = row.series.overall()
        times_us = (round(all_.p50_us, 1), round(all_.p99_us, 1))
        rows.append((row.work, row.rival, *times_us, all_.samples, row.timed))
    ratios = [
        (each.name, f"{each.value:.2f}", f"{each.low:.2f} to {each.high:.2f}")
        for each in report.ratios
    ]
    paragraphs = (
        "Time of one call: one client, synchronous, back to back. The rivals' outputs are equal.\n"
        f"{rounds} rounds, in each {samples.TURN_S} s of every row. {settings}.",
        render(("work", "rival", "p50 us", "p99 us", "samples", "what is timed"), rows),
        render(("ratio of p50", "all", "middle half of the rounds"), ratios),
    )
    return "\n\n".join(paragraphs)


def as_json(report: Report) -> str:
    """Return everything but the single samples."""
    rows = [
        {
            "work": row.work,
            "rival": row.rival,
            "timed": row.timed,
            **dataclasses.asdict(row.series.overall()),
            "rounds": [dataclasses.asdict(each) for each in row.series.by_round()],
        }
        for row in report.rows
    ]
    content = {
        "machine": dataclasses.asdict(report.machine),
        "engine_settings": report.engine_settings,
        "turn_s": samples.TURN_S,
        "settle_s": samples.SETTLE_S,
        "rows": rows,
        "ratios": [dataclasses.asdict(each) for each in report.ratios],
    }
    return json.dumps(content, indent=1)


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description="Compare inferd with in-process OpenVINO."
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="how long to measure, about"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the numbers, round by round"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up then, too
    try:
        report = run(arguments.seconds)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if arguments.json is not None:
        arguments.json.write_text(as_json(report) + "\n")
    print(as_text(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
