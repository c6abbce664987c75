"""Processes start, stop and die, and the others say so clearly."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import programs
import pytest
from daemons import DEADLINE_S, Daemon, wait_until

import inferd.client as ov
from inferd.shm import errors

ROW = np.array([[-1, 2, -3, 4]], np.float32)


def infer(core: ov.Core, device: str = "CPU") -> list[list[float]]:
    found: list[list[float]] = core.compile_model(models.relu((1, 4)), device)(ROW)[0].tolist()
    return found


def test_two_workers_of_one_engine_serve_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Daemon(tmp_path, devices=("CPU", "second")) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        core = ov.Core()
        assert core.available_devices == ["CPU", "second"]
        assert infer(core, "CPU") == infer(core, "second") == [[0, 2, 0, 4]]
        first, second = daemon.status()["devices"]
        assert first["pid"] != second["pid"]
        assert (first["completed"], second["completed"]) == (1, 1)


def test_a_killed_worker_shows_as_a_typed_error_and_is_replaced(daemon: Daemon) -> None:
    core = ov.Core()
    model = core.compile_model(models.slow(), "CPU")
    request = model.create_infer_request()
    request.start_async()
    victim = daemon.worker_pid()
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(errors.WorkerDied, match=r"killed by SIGKILL|compile the model again"):
        repeat(request.infer)  # the one under way may have ended before the kill
    with pytest.raises(errors.WorkerDied, match="compile the model again"):
        model.create_infer_request().infer()
    assert infer(core) == [[0, 2, 0, 4]]
    (device,) = daemon.status()["devices"]
    assert device["generation"] == 2
    assert device["pid"] != victim


def test_a_worker_that_dies_again_and_again_comes_back_each_time(daemon: Daemon) -> None:
    core = ov.Core()
    for generation in range(1, 4):
        assert infer(core) == [[0, 2, 0, 4]]
        (device,) = daemon.status()["devices"]
        assert device["generation"] == generation
        os.kill(device["pid"], signal.SIGKILL)
        wait_until(functools.partial(has_generation, daemon, generation + 1))


def test_one_device_dying_leaves_the_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Daemon(tmp_path, devices=("CPU", "second")) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        core = ov.Core()
        model = core.compile_model(models.relu((1, 4)), "second")
        model(ROW)
        os.kill(daemon.worker_pid("CPU"), signal.SIGKILL)
        for _ in range(50):
            assert model(ROW)[0].tolist() == [[0, 2, 0, 4]]


def test_a_killed_daemon_shows_as_a_typed_error_and_takes_its_workers_along(
    daemon: Daemon,
) -> None:
    core = ov.Core()
    model = core.compile_model(models.relu((1, 4)), "CPU")
    worker = daemon.worker_pid()
    daemon.process.kill()
    daemon.process.wait()
    with pytest.raises(errors.DaemonDied):
        repeat(lambda: model(ROW))
    wait_until(lambda: not is_alive(worker), "the end of the worker")


def test_a_waiting_caller_hears_of_the_daemons_death(daemon: Daemon) -> None:
    request = ov.Core().compile_model(models.slow(size=1024, layers=200), "CPU")
    waiting = request.create_infer_request()
    waiting.start_async()
    daemon.process.kill()
    with pytest.raises(errors.DaemonDied):
        waiting.wait()
    with pytest.raises(errors.DaemonDied):
        waiting.wait_for(1)


def test_a_new_daemon_takes_over_the_directory_of_a_killed_one(daemon: Daemon) -> None:
    assert infer(ov.Core()) == [[0, 2, 0, 4]]
    daemon.process.kill()
    daemon.process.wait()
    daemon.start()
    assert infer(ov.Core()) == [[0, 2, 0, 4]]


def test_a_second_daemon_is_refused_and_says_by_whom(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "inferd.daemon", "--runtime-dir", str(daemon.runtime_dir)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert refused.returncode == 1
    assert f"pid {daemon.process.pid}" in refused.stderr
    assert infer(ov.Core()) == [[0, 2, 0, 4]]


def test_a_terminated_daemon_finishes_what_runs_and_exits_0(daemon: Daemon) -> None:
    request = ov.Core().compile_model(models.slow(size=1024), "CPU").create_infer_request()
    request.get_input_tensor().data[:] = 0
    request.start_async()
    assert daemon.stop() == 0
    request.wait()
    assert not request.get_output_tensor().data.any()
    assert [path.name for path in daemon.runtime_dir.iterdir()] == ["lock"]


def test_a_second_termination_ends_the_daemon_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, settings="[daemon]\ndrain_s = 100000.0\n") as daemon:
        environment = {"INFERD_RUNTIME_DIR": str(daemon.runtime_dir)}
        program = """
            request = ov.Core().compile_model(sys.argv[1], "CPU").create_infer_request()
            request.start_async()
            print("runs", flush=True)
            request.wait()
        """
        path = programs.write_model(tmp_path, models.slow(size=1024, layers=600))
        client = programs.start(program, path, environment=environment)
        assert programs.line(client) == "runs"
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping; running" in daemon.log)
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
        assert "DaemonDied" in client.communicate(timeout=DEADLINE_S)[1]


def test_a_worker_without_its_engine_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = '[devices.NPU7]\nengine = "openvino"\ndevice = "NPU.7"\n'
    with Daemon(tmp_path, settings=settings) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        core = ov.Core()
        with pytest.raises(errors.DeviceUnavailable, match=r"no device 'NPU\.7' here; it has: CPU"):
            infer(core, "NPU7")
        assert infer(core, "CPU") == [[0, 2, 0, 4]]


# --- The private daemon -------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which no daemon can be found."""
    return {"INFERD_RUNTIME_DIR": str(tmp_path / "none"), "XDG_RUNTIME_DIR": str(tmp_path)}


PRIVATE = """
    core = ov.Core()
    model = core.compile_model(sys.argv[1], "CPU")
    assert model(np.float32([[-1, 2, -3, 4]]))[0].tolist() == [[0, 2, 0, 4]]
    print(core._connection.daemon_pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["its end", "kill -9"])
def test_a_private_daemon_ends_with_its_process(
    tmp_path: Path, nowhere: dict[str, str], ending: str
) -> None:
    path = programs.write_model(tmp_path, models.relu((1, 4)))
    process = programs.start(PRIVATE, path, environment=nowhere)
    daemon_pid = int(programs.line(process))
    (directory,) = tmp_path.glob("inferd-*")
    workers = children(daemon_pid)
    assert len(workers) == 1
    if ending == "kill -9":
        process.kill()
        process.communicate()
    else:
        programs.end(process)
    wait_until(lambda: not is_alive(daemon_pid) and not is_alive(workers[0]), "the end of both")
    wait_until(lambda: not directory.exists(), "the removal of the directory")


def test_a_private_daemon_serves_the_children_that_outlive_its_process(
    tmp_path: Path, nowhere: dict[str, str]
) -> None:
    path = programs.write_model(tmp_path, models.relu((1, 4)))
    parent = """
        import subprocess
        core = ov.Core()
        child = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]])
        print(core._connection.daemon_pid, flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), 9)
    """
    child = """
import inferd.client as ov, numpy as np, pathlib, sys, time
model = ov.Core().compile_model(sys.argv[1], "CPU")
model(np.zeros((1, 4), np.float32))
pathlib.Path(sys.argv[1] + ".ready").touch()
while not pathlib.Path(sys.argv[1] + ".go").exists():
    time.sleep(0.01)
model(np.zeros((1, 4), np.float32))
pathlib.Path(sys.argv[1] + ".done").touch()
"""
    process = programs.start(parent, path, child, environment=nowhere)
    daemon_pid = int(programs.line(process))
    wait_until(Path(path + ".ready").exists)
    programs.tell(process)
    process.wait()
    Path(path + ".go").touch()
    wait_until(Path(path + ".done").exists)
    process.communicate()  # the child had its pipes too
    wait_until(lambda: not is_alive(daemon_pid), "the end of the private daemon")


def test_without_autostart_the_places_are_named(nowhere: dict[str, str]) -> None:
    program = """
        try:
            ov.Core(**eval(sys.argv[1]))
        except RuntimeError as why:
            print(type(why).__name__, why)
    """
    for arguments, environment in (
        ("dict(autostart=False)", nowhere),
        ("{}", nowhere | {"INFERD_AUTOSTART": "0"}),
    ):
        said = programs.run(program, arguments, environment=environment)
        assert said.startswith("DaemonNotFound")
        assert nowhere["INFERD_RUNTIME_DIR"] in said
        assert "/run/inferd" in said


def test_a_daemon_that_can_not_start_says_why(nowhere: dict[str, str], tmp_path: Path) -> None:
    program = """
        try:
            ov.Core()
        except RuntimeError as why:
            print(type(why).__name__, why)
    """
    long_path = tmp_path / ("x" * 100)
    long_path.mkdir()
    said = programs.run(program, environment=nowhere | {"XDG_RUNTIME_DIR": str(long_path)})
    assert said.startswith("DaemonNotFound")
    assert "too long" in said


# --- Fork ---------------------------------------------------------------------------------------


def test_a_forked_child_gets_a_clear_error_and_can_open_a_session_of_its_own(
    daemon: Daemon, tmp_path: Path
) -> None:
    program = """
        core = ov.Core()
        model = core.compile_model(sys.argv[1], "CPU")
        request = model.create_infer_request()
        row = np.array([[-1, 2, -3, 4]], np.float32)
        request.infer(row)
        request.start_async()
        if os.fork() == 0:
            refusals = 0
            uses = (request.wait, request.cancel, lambda: request.infer(row), lambda: model(row))
            uses += (lambda: request.wait_for(1000), lambda: core.compile_model(sys.argv[1]))
            for use in uses:
                try:
                    use()
                except RuntimeError as why:
                    refusals += type(why).__name__ == "SessionForked"
            own = ov.Core().compile_model(sys.argv[1], "CPU")
            assert own(row)[0].tolist() == [[0, 2, 0, 4]]
            print(refusals, flush=True)
            sys.exit(0)
        os.wait()
        request.wait()
        assert request.infer(row)[0].tolist() == [[0, 2, 0, 4]]
        print("parent goes on")
    """
    path = programs.write_model(tmp_path, models.relu((1, 4)))
    refusals, parent = programs.run(program, path).splitlines()
    assert int(refusals) >= 5  # cancel of what has ended is no error
    assert parent == "parent goes on"


def test_a_client_that_is_killed_ends_its_session_though_a_forked_child_lives(
    daemon: Daemon, tmp_path: Path
) -> None:
    program = """
        core = ov.Core()
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        print("connected", flush=True)
        sys.stdin.read()
    """
    process = programs.start(program)
    assert programs.line(process) == "connected"
    assert len(daemon.status()["sessions"]) == 1
    forked = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    try:
        wait_until(lambda: not daemon.status()["sessions"], "the end of the session")
        assert all(is_alive(pid) for pid in forked)
    finally:
        for pid in forked:
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_the_client_exits_cleanly_with_an_inference_under_way(
    daemon: Daemon, tmp_path: Path
) -> None:
    program = """
        model = ov.Core().compile_model(sys.argv[1], "CPU")
        requests = [model.create_infer_request() for _ in range(4)]
        for request in requests:
            request.set_callback(lambda userdata: None, None)
            request.start_async()
    """
    assert programs.run(program, programs.write_model(tmp_path, models.slow())) == ""


def has_generation(daemon: Daemon, generation: int) -> bool:
    return bool(daemon.status()["devices"][0]["generation"] == generation)


def repeat(action: Callable[[], object]) -> None:
    """Do something until it fails."""
    for _ in range(10_000):
        action()


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
