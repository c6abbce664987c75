"""The command line as its users run it: what it prints where, and its exit statuses."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import models
import numpy as np
import programs
import pytest
from daemons import DEADLINE_S, Daemon, wait_until

import inferd
from inferd.daemon import config
from inferd.daemon.cli.main import COMMANDS, main

INFERD: Final = (sys.executable, "-m", "inferd.daemon.cli.main")
EXAMPLES: Final = Path(str(resources.files("inferd.examples")))
DIGITS: Final = str(EXAMPLES / "digits.onnx")
NOBODY: Final = 65534

Environment = dict[str, str]

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def inferd_command(
    *arguments: str, environment: Environment | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*INFERD, *arguments],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


def succeeds(*arguments: str, environment: Environment | None = None) -> str:
    """Return what a command prints; it has to succeed, and to say nothing else."""
    done = inferd_command(*arguments, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def complaint(done: "subprocess.CompletedProcess[str]", status: int = 1) -> str:
    """Return the one line that a command said on stderr when it failed."""
    assert (done.returncode, done.stdout) == (status, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("inferd: "), line
    return line.removeprefix("inferd: ")


def fails(*arguments: str, status: int = 1, environment: Environment | None = None) -> str:
    return complaint(inferd_command(*arguments, environment=environment), status)


@pytest.fixture
def nowhere(tmp_path: Path) -> Environment:
    """An environment in which no daemon can be found."""
    return {"INFERD_RUNTIME_DIR": str(tmp_path / "none"), "XDG_RUNTIME_DIR": str(tmp_path)}


# --- Usage --------------------------------------------------------------------------------------


def test_the_version_is_told() -> None:
    assert succeeds("--version") == f"inferd {inferd.__version__}\n"


def test_the_help_lists_every_command() -> None:
    said = succeeds("--help")
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name} +{summary.split()[0]}", said, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    said = succeeds(command, "--help")
    assert said.startswith(f"usage: inferd {command}")
    assert "--private" not in said  # between our own processes


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("frob",),
        ("--frob",),
        ("status", "--frob"),
        ("status", "extra"),
        ("serve", "--log-level", "loud"),
        ("run",),
        ("run", DIGITS, "--count", "0"),
        ("run", DIGITS, "--count", "-1"),
        ("run", DIGITS, "--count", "many"),
        ("demo", "extra"),
    ],
    ids=" ".join,
)
def test_a_wrong_usage_is_told(arguments: Sequence[str]) -> None:
    done = inferd_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: inferd")
    assert re.search(r"^inferd( \w+)?: error: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert "_count" not in done.stderr


# --- status -------------------------------------------------------------------------------------

FIELDS: Final[dict[str, dict[str, type]]] = {
    "daemon": {"pid": int, "version": str, "uptime_s": float, "runtime_dir": str},
    "devices": {
        "name": str,
        "engine": str,
        "full_name": str,
        "pid": int,
        "generation": int,
        "state": str,
        "queued": int,
        "running": int,
        "completed": int,
        "failed": int,
        "cancelled": int,
        "rss_bytes": int,
    },
    "models": {
        "id": str,
        "name": str,
        "device": str,
        "state": str,
        "users": int,
        "inferences": int,
        "compile_ms": float,
    },
    "sessions": {
        "id": int,
        "pid": int,
        "uid": int,
        "name": str,
        "requests": int,
        "in_flight": int,
        "segments": int,
        "segment_bytes": int,
    },
}
USER: Final = """
    model = ov.Core().compile_model(sys.argv[1], "CPU")
    requests = [model.create_infer_request() for _ in range(2)]
    for request in requests:
        request.infer(np.zeros((1, 1, 8, 8), np.float32))
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def user(daemon: Daemon) -> Iterator["subprocess.Popen[str]"]:
    """A program with one model, two requests and two inferences behind it."""
    process = programs.start(USER, DIGITS)
    assert programs.line(process) == "ready"
    yield process
    programs.end(process)


def test_without_a_daemon_status_names_the_places_where_it_looked(nowhere: Environment) -> None:
    for arguments in (("status",), ("status", "--json")):
        said = fails(*arguments, status=3, environment=nowhere)
        assert nowhere["INFERD_RUNTIME_DIR"] in said
        assert f"{nowhere['XDG_RUNTIME_DIR']}/inferd" in said
        assert "/run/inferd" in said
        assert "inferd serve" in said


def test_status_for_scripts_has_exactly_the_documented_fields(
    daemon: Daemon, user: "subprocess.Popen[str]"
) -> None:
    report = json.loads(succeeds("status", "--json"))
    assert set(report) == set(FIELDS)
    for group, fields in FIELDS.items():
        for row in [report[group]] if group == "daemon" else report[group]:
            assert {name: type(value) for name, value in row.items()} == fields
    (device,), (model,), (session,) = report["devices"], report["models"], report["sessions"]
    assert report["daemon"]["pid"] == daemon.process.pid
    assert report["daemon"]["version"] == inferd.__version__
    assert report["daemon"]["runtime_dir"] == str(daemon.runtime_dir)
    assert (device["name"], device["engine"], device["state"]) == ("CPU", "openvino", "ready")
    assert (device["queued"], device["running"], device["completed"]) == (0, 0, 2)
    assert device["rss_bytes"] > 1 << 20
    assert (model["device"], model["state"]) == ("CPU", "ready")
    assert (model["users"], model["inferences"]) == (1, 2)
    assert (session["pid"], session["uid"]) == (user.pid, os.getuid())
    assert (session["requests"], session["in_flight"], session["name"]) == (2, 0, "python")
    assert session["segments"] >= 1
    assert session["segment_bytes"] >= 2 * (64 + 10) * 4


@pytest.mark.usefixtures("user")
def test_status_for_people_shows_the_same(daemon: Daemon) -> None:
    report = daemon.status()
    head, devices, found_models, sessions = succeeds("status").rstrip("\n").split("\n\n")
    for name in ("version", "pid", "runtime_dir"):
        assert str(report["daemon"][name]) in head
    expected: list[tuple[str, list[dict[str, Any]], list[str]]] = [
        (
            devices,
            report["devices"],
            [
                "name",
                "state",
                "pid",
                "queued",
                "running",
                "completed",
                "failed",
                "cancelled",
                "full_name",
            ],
        ),
        (found_models, report["models"], ["name", "device", "state", "users", "inferences"]),
        (
            sessions,
            report["sessions"],
            ["id", "pid", "uid", "name", "requests", "in_flight", "segments"],
        ),
    ]
    for table, rows, shown in expected:
        columns, *lines = table.splitlines()
        assert columns == columns.upper()
        assert len(lines) == len(rows) == 1
        for line, row in zip(lines, rows, strict=True):
            cells = re.split(r" {2,}", line.strip())
            assert len(cells) == len(re.split(r" {2,}", columns.strip()))
            assert [cell for cell in cells if cell in {str(row[name]) for name in shown}] == [
                str(row[name]) for name in shown
            ]


def test_status_does_not_list_itself(daemon: Daemon) -> None:
    assert json.loads(succeeds("status", "--json"))["sessions"] == []
    said = succeeds("status")
    assert said.endswith("\n\nNo models are loaded.\n\nNo other sessions are open.\n")


def test_status_shows_a_device_that_can_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = '[devices.NPU7]\nengine = "openvino"\ndevice = "NPU.7"\n'
    with Daemon(tmp_path, settings=settings) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        wait_until(lambda: device(daemon, "NPU7")["generation"] > 1, "a second attempt")
        assert device(daemon, "NPU7")["state"] in ("starting", "lost")
        assert re.search(r"^NPU7 +(starting|lost) +(-|\d+) ", succeeds("status"), re.MULTILINE)


def device(daemon: Daemon, name: str) -> dict[str, Any]:
    (found,) = [each for each in daemon.status()["devices"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("shared_daemon")
@pytest.mark.parametrize("arguments", [("status",), ("status", "--json")], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_reason_for_a_traceback(
    arguments: Sequence[str], unbuffered: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open(writer, "wb") as stdout:
        done = subprocess.run(
            [*INFERD, *arguments], env=environment, stdout=stdout, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (1, b"")


# --- run ----------------------------------------------------------------------------------------


def run_json(*arguments: str) -> dict[str, Any]:
    report = json.loads(succeeds("run", *arguments, "--json"))
    assert isinstance(report, dict)
    return report


@pytest.fixture
def images() -> "np.ndarray[Any, Any]":
    """Held-out images, shape (N, 1, 8, 8), dtype float32."""
    with np.load(EXAMPLES / "digits_test.npz") as held_out:
        return np.asarray(held_out["images"])


@pytest.mark.usefixtures("shared_daemon")
def test_run_reports_the_same_on_a_random_input_each_time() -> None:
    first, second = (run_json(DIGITS, "--input", "random") for _ in range(2))
    assert set(first) == {"model", "device", "ready_ms", "count", "latency_ms", "outputs"}
    assert (first["model"], first["device"], first["count"]) == (DIGITS, "CPU", 1)
    assert first["ready_ms"] > 0
    assert 0 < first["latency_ms"]["p50"] <= first["latency_ms"]["p99"]
    (output,) = first["outputs"]
    assert (output["name"], output["element_type"], output["shape"]) == ("scores", "f32", [1, 10])
    assert output["min"] <= output["mean"] <= output["max"]
    assert first["outputs"] == second["outputs"]


@pytest.mark.usefixtures("shared_daemon")
def test_run_reads_a_npy_and_a_npz_and_gets_the_digit(
    tmp_path: Path, images: "np.ndarray[Any, Any]"
) -> None:
    with np.load(EXAMPLES / "digits_test.npz") as held_out:
        label = int(held_out["labels"][0])
    np.save(tmp_path / "image.npy", images[:1])
    np.savez(tmp_path / "image.npz", image=images[:1], unused=np.zeros(3))
    for name in ("image.npy", "image.npz"):
        (output,) = run_json(DIGITS, "--input", str(tmp_path / name))["outputs"]
        assert output["argmax"] == label


@pytest.mark.usefixtures("shared_daemon")
def test_run_reads_an_array_per_input(tmp_path: Path) -> None:
    path = programs.write_model(tmp_path, models.subtract((1, 4)))
    np.savez(tmp_path / "pair.npz", a=np.full((1, 4), 7.0), b=np.full((1, 4), 5))
    (output,) = run_json(path, "--input", str(tmp_path / "pair.npz"))["outputs"]
    assert (output["min"], output["max"]) == (2, 2)
    np.save(tmp_path / "single.npy", np.zeros((1, 4), np.float32))
    assert "the model has 2 inputs" in fails("run", path, "--input", str(tmp_path / "single.npy"))


@pytest.mark.usefixtures("shared_daemon")
def test_run_for_people_says_what_and_how_fast() -> None:
    timing, table = succeeds("run", DIGITS, "--count", "20").rstrip("\n").split("\n\n")
    assert re.fullmatch(
        rf"{re.escape(DIGITS)} on CPU: ready in \d+ ms, 20 inferences, "
        r"p50 \d+\.\d{3} ms, p99 \d+\.\d{3} ms",
        timing,
    )
    columns, row = table.splitlines()
    assert columns.split() == ["OUTPUT", "TYPE", "SHAPE", "MIN", "MEAN", "MAX", "ARGMAX"]
    assert row.split()[:3] == ["scores", "f32", "1x10"]


def test_run_executes_as_often_as_it_is_told_on_the_device_it_is_told(
    shared_daemon: Daemon,
) -> None:
    before = device(shared_daemon, "second")["completed"]
    report = run_json(DIGITS, "--count", "25", "--device", "second")
    assert (report["count"], report["device"]) == (25, "second")
    assert device(shared_daemon, "second")["completed"] == before + 25


def test_run_starts_a_private_daemon_where_none_is(nowhere: Environment) -> None:
    assert " on CPU: " in succeeds("run", DIGITS, environment=nowhere)
    said = fails("run", DIGITS, status=3, environment=nowhere | {"INFERD_AUTOSTART": "0"})
    assert nowhere["INFERD_RUNTIME_DIR"] in said


@pytest.mark.usefixtures("shared_daemon")
def test_run_says_what_is_wrong_with_a_model(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.onnx")
    assert "No such file" in fails("run", missing)
    assert missing in fails("run", missing)
    assert "is a directory" in fails("run", str(tmp_path))
    garbage = programs.write_model(tmp_path, b"garbage", "garbage.onnx")
    assert "can't read 'garbage.onnx'" in fails("run", garbage)


@pytest.mark.usefixtures("shared_daemon")
def test_run_on_an_unknown_device_names_those_that_there_are() -> None:
    said = fails("run", DIGITS, "--device", "GPU7")
    assert "'GPU7'" in said
    assert "CPU, second" in said


@pytest.mark.usefixtures("shared_daemon")
def test_run_says_in_one_line_why_the_engine_failed(tmp_path: Path) -> None:
    path = programs.write_model(tmp_path, models.sum_of_reshaped())
    np.savez(tmp_path / "bad.npz", x=np.zeros((1, 4)), target=np.array([3, 3]))
    assert "(3.3)" in fails("run", path, "--input", str(tmp_path / "bad.npz"))


def write_inputs(folder: Path, images: "np.ndarray[Any, Any]") -> None:
    """Write files that the digits model can't take, each for a reason of its own."""
    objects = np.array([{"a": 1}], dtype=object)
    np.save(folder / "shape.npy", images[0, 0])
    np.save(folder / "text.npy", np.array([["seven"]]))
    np.save(folder / "complex.npy", images[:1].astype(complex))
    np.save(folder / "pickled.npy", objects, allow_pickle=True)
    np.savez(folder / "pickled.npz", image=objects)
    np.savez(folder / "names.npz", picture=images[:1], label=np.array([7]))
    np.savez(folder / "none.npz")
    np.savez_compressed(folder / "whole.npz", image=images)
    (folder / "empty.npy").touch()
    (folder / "garbage.npy").write_bytes(b"garbage")
    whole = (folder / "whole.npz").read_bytes()
    (folder / "truncated.npz").write_bytes(whole[:-30])
    middle = len(whole) // 2
    (folder / "damaged.npz").write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])


@pytest.mark.usefixtures("shared_daemon")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.npy", "No such file"),
        ("", "Is a directory"),
        ("shape.npy", r"takes shape \[1,1,8,8\], got \[8, 8\]"),
        ("text.npy", "has <U5 for the input 'image', which takes f32"),
        ("complex.npy", "has complex128 for the input 'image', which takes f32"),
        ("names.npz", "has no array for the input 'image'; it has: picture, label"),
        ("none.npz", "it has: none"),
        ("pickled.npy", "no .npy or .npz file of plain arrays"),
        ("pickled.npz", "no .npy or .npz file of plain arrays"),
        ("empty.npy", "no .npy or .npz file of plain arrays"),
        ("garbage.npy", "no .npy or .npz file of plain arrays"),
        ("truncated.npz", "no .npy or .npz file of plain arrays"),
        ("damaged.npz", "no .npy or .npz file of plain arrays"),
    ],
)
def test_run_says_what_is_wrong_with_an_input(
    tmp_path: Path,
    images: "np.ndarray[Any, Any]",
    capsys: pytest.CaptureFixture[str],
    name: str,
    reason: str,
) -> None:
    write_inputs(tmp_path, images)
    path = str(tmp_path / name)
    status = main(["run", DIGITS, "--input", path])  # in this process: a new one takes a second
    said = complaint(subprocess.CompletedProcess(path, status, *capsys.readouterr()))
    assert re.search(reason, said), said
    assert path in said or name == "shape.npy"


def test_an_interrupted_run_ends_without_a_word(daemon: Daemon) -> None:
    process = start("run", DIGITS, "--count", "1000000000")
    wait_until(lambda: device(daemon, "CPU")["completed"] > 5, "the first inferences")
    assert interrupt(process) == (130, "", "")
    wait_until(lambda: not daemon.status()["sessions"], "the end of the session")
    assert succeeds("run", DIGITS)


# --- demo ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shared_daemon")
def test_the_demo_classifies_every_image_both_ways() -> None:
    report = json.loads(succeeds("demo", "--json"))
    assert set(report) == {"shared", "private"}
    for measured in report.values():
        assert set(measured) == {"classified", "correct", "per_second", "ready_s", "pss_bytes"}
        assert measured["classified"] == 4 * 10 * 540
        assert measured["correct"] >= 0.95 * measured["classified"]
        assert min(measured["per_second"], measured["ready_s"], measured["pss_bytes"]) > 0
    assert report["shared"]["correct"] == report["private"]["correct"]


def test_an_interrupted_demo_ends_its_processes_without_a_word(daemon: Daemon) -> None:
    process = start("demo")
    wait_until(lambda: len(daemon.status()["sessions"]) == 1 + 4, "the four clients")
    clients = {each["pid"] for each in daemon.status()["sessions"]} - {process.pid}
    assert interrupt(process) == (130, "", "")
    assert not any(Path(f"/proc/{pid}").exists() for pid in clients)


def test_the_demo_starts_no_daemon_where_that_is_forbidden(nowhere: Environment) -> None:
    fails("demo", status=3, environment=nowhere | {"INFERD_AUTOSTART": "0"})


# --- serve --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[limits]\nsession_max = 7\n", "no setting limits.session_max; did you mean"),
        ("[deamon]\n", r"no table \[deamon\]; did you mean 'daemon'"),
        ("[limits]\nsessions_max = -7\n", "limits.sessions_max must be a whole number from 0"),
        ('[daemon]\ndrain_s = "long"\n', "daemon.drain_s must be a number"),
        ("[daemon\n", "is not TOML"),
        (None, "can't read the configuration"),
    ],
)
def test_serve_with_a_wrong_configuration_says_what_and_where(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "inferd.toml"
    if content is not None:
        path.write_text(content)
    said = fails("serve", "--config", str(path), "--runtime-dir", str(tmp_path / "run"))
    assert re.search(reason, said), said
    assert str(path) in said
    assert not (tmp_path / "run").exists()


def test_serve_in_a_directory_that_can_not_be_used_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in fails("serve", "--runtime-dir", str(tmp_path / "file"))
    too_long = str(tmp_path / ("x" * 100))
    assert "too long" in fails("serve", "--runtime-dir", too_long)


def test_the_printed_configuration_is_toml(tmp_path: Path) -> None:
    said = succeeds("serve", "--print-config")
    assert said == config.describe()
    tomllib.loads(said)
    path = tmp_path / "inferd.toml"
    path.write_text(said)
    assert config.read(path) == config.Configuration()


@pytest.mark.parametrize("command", [[*INFERD, "serve"], [sys.executable, "-m", "inferd.daemon"]])
def test_ctrl_c_ends_serve_and_leaves_nothing(command: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="inferd-test-") as folder:
        directory = Path(folder) / "run"
        environment = {"INFERD_RUNTIME_DIR": str(directory)}
        process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until((directory / "session").exists, "the daemon")
        assert " on CPU: " in succeeds("run", DIGITS, environment=environment)
        (worker,) = json.loads(succeeds("status", "--json", environment=environment))["devices"]
        status, said, log = interrupt(process)
        assert (status, said) == (0, "")
        assert log.splitlines()[-1].endswith("stopped")
        assert "Traceback" not in log
        assert not Path(f"/proc/{worker['pid']}").exists()
        assert [path.name for path in directory.iterdir()] == ["lock"]
        fails("status", status=3, environment=environment | {"XDG_RUNTIME_DIR": folder})


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [*INFERD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Press Ctrl-C, and return the exit status and what was said on stdout and stderr."""
    os.killpg(process.pid, signal.SIGINT)
    said, complaints = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said, complaints


# --- Other users --------------------------------------------------------------------------------

# A process of nobody's: whatever it needs is imported before, from places that only root may read.
BECOME_NOBODY: Final = f"""
import encodings.ascii, grp, importlib, os, sys
import numpy as np
import inferd.client as ov
from inferd.daemon.cli.main import COMMANDS, main

for name in COMMANDS:
    importlib.import_module("inferd.daemon.cli." + name)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""


def as_nobody(*arguments: str, environment: Environment) -> "subprocess.CompletedProcess[str]":
    """Run a command as an ordinary user."""
    return subprocess.run(
        [sys.executable, "-c", BECOME_NOBODY + "sys.exit(main(sys.argv[1:]))", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


@contextlib.contextmanager
def session_of_nobody(environment: Environment) -> Iterator[int]:
    """A process of another user with a session; its pid."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            BECOME_NOBODY + "core = ov.Core(); print('ready', flush=True); sys.stdin.read()",
        ],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert programs.line(process) == "ready"
        yield process.pid
    finally:
        programs.end(process)


@pytest.fixture
def public(daemon: Daemon) -> Environment:
    """An environment in which everybody may use the daemon."""
    daemon.runtime_dir.parent.chmod(0o755)
    daemon.runtime_dir.chmod(0o755)
    return {"INFERD_RUNTIME_DIR": str(daemon.runtime_dir), "XDG_RUNTIME_DIR": "/nonexistent"}


@only_root
def test_an_ordinary_user_sees_the_sessions_of_that_user_only(
    daemon: Daemon, user: "subprocess.Popen[str]", public: Environment
) -> None:
    with session_of_nobody(public) as pid:
        assert {each["pid"]: each["uid"] for each in daemon.status()["sessions"]} == {
            user.pid: 0,
            pid: NOBODY,
        }
        done = as_nobody("status", "--json", environment=public)
        assert (done.returncode, done.stderr) == (0, "")
        report = json.loads(done.stdout)
        assert [(each["pid"], each["uid"]) for each in report["sessions"]] == [(pid, NOBODY)]
        assert [each["completed"] for each in report["devices"]] == [2]
        assert str(user.pid) not in as_nobody("status", environment=public).stdout.split()


@only_root
def test_an_ordinary_user_may_run_a_model(
    daemon: Daemon, public: Environment, tmp_path: Path
) -> None:
    model = daemon.runtime_dir.parent / "model.onnx"
    model.write_bytes(models.relu((1, 4)))
    model.chmod(0o644)
    done = as_nobody("run", str(model), "--json", environment=public)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["outputs"][0]["shape"] == [1, 4]
    model.chmod(0o600)
    assert "Permission denied" in complaint(as_nobody("run", str(model), environment=public))


@only_root
def test_a_user_who_may_not_enter_the_directory_is_told_which(daemon: Daemon) -> None:
    environment = {"INFERD_RUNTIME_DIR": str(daemon.runtime_dir)}
    for outer, inner in ((0o755, 0o700), (0o700, 0o755)):
        daemon.runtime_dir.parent.chmod(outer)
        daemon.runtime_dir.chmod(inner)
        for arguments in (("status",), ("run", DIGITS), ("demo",)):
            said = complaint(as_nobody(*arguments, environment=environment))
            assert str(daemon.runtime_dir) in said


@only_root
def test_a_user_who_may_not_write_the_directory_can_not_serve_there(
    daemon: Daemon, public: Environment
) -> None:
    for directory in (daemon.runtime_dir, daemon.runtime_dir / "deeper"):
        done = as_nobody("serve", "--runtime-dir", str(directory), environment=public)
        said = complaint(done)
        assert str(directory) in said
        assert "Permission denied" in said


@only_root
def test_the_demo_does_without_the_memory_of_another_users_daemon(daemon: Daemon) -> None:
    program = BECOME_NOBODY + (
        "import psutil\n"
        "from inferd.daemon.cli import demo\n"
        "others, own = psutil.Process(int(sys.argv[1])), psutil.Process()\n"
        "print(demo._pss_bytes([others]))\n"
        "found = demo.Measured(20, 19, 1.0, 1.0, None)\n"
        "print(demo._text(found, found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(daemon.process.pid)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *table = done.stdout.splitlines()
    assert first == "None"
    assert "95.00%" in "".join(table)
    assert "memory" not in "".join(table)
