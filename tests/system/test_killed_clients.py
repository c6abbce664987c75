"""kill -9 of any client, at any instant, leaks nothing and disturbs nobody."""

import os
import random
import signal
import time
from pathlib import Path

import models
import numpy as np
import programs
from daemons import Daemon, descriptors, maps, wait_until

import inferd.client as ov

ROUNDS = 200
AT_ONCE = 4
LIFETIME_S_MAX = 0.8  # from before the connection to well into its work

WORK = """
    core = ov.Core()
    model = core.compile_model(sys.argv[1], "CPU")
    requests = [model.create_infer_request() for _ in range(8)]
    for request in requests:
        request.set_callback(lambda userdata: None, None)
    while True:
        for request in requests:
            request.wait()
            request.start_async(np.ones((1, 4096), np.float32))
        model(ov.Tensor(ov.Type.f32, [1, 4096]))
        core.compile_model(sys.argv[2], "CPU")
"""


def test_two_hundred_killed_clients_leave_nothing_behind(daemon: Daemon, tmp_path: Path) -> None:
    paths = [
        programs.write_model(tmp_path, models.relu((1, 4096)), "relu.onnx"),
        programs.write_model(tmp_path, models.unary("Neg", (1, 4)), "neg.onnx"),
    ]
    neighbour = ov.Core().compile_model(paths[0], "CPU").create_infer_request()
    given = np.arange(-2048, 2048, dtype=np.float32)[None]
    expected = np.maximum(given, 0)
    generator = random.Random(7)
    kill_rounds(generator, paths, AT_ONCE)  # what is made once, is made now
    wait_until(lambda: only_us_is_left(daemon), "the end of the first sessions")
    processes = (daemon.process.pid, daemon.worker_pid())
    before = [(descriptors(pid), maps(pid)) for pid in processes]
    shared_names = set(os.listdir("/dev/shm"))
    for _ in range(ROUNDS // AT_ONCE):
        kill_rounds(generator, paths, AT_ONCE)
        assert np.array_equal(neighbour.infer(given)[0], expected)
    wait_until(lambda: only_us_is_left(daemon), "the end of the last sessions")
    after = [(descriptors(pid), maps(pid)) for pid in processes]
    for (descriptors_before, maps_before), (descriptors_after, maps_after) in zip(
        before, after, strict=True
    ):
        assert abs(descriptors_after - descriptors_before) <= 2
        assert abs(maps_after - maps_before) <= 2
    assert set(os.listdir("/dev/shm")) <= shared_names
    assert daemon.status()["devices"][0]["generation"] == 1


def kill_rounds(generator: random.Random, paths: list[str], count: int) -> None:
    """Start clients, and kill each at a random moment of its life."""
    clients = [programs.start(WORK, *paths) for _ in range(count)]
    moments = sorted(generator.uniform(0, LIFETIME_S_MAX) for _ in clients)
    started_s = time.monotonic()
    for client, moment_s in zip(clients, moments, strict=True):
        time.sleep(max(started_s + moment_s - time.monotonic(), 0))
        client.send_signal(signal.SIGKILL)
    for client in clients:
        client.communicate()
        assert client.returncode == -signal.SIGKILL


def only_us_is_left(daemon: Daemon) -> bool:
    sessions = daemon.status()["sessions"]
    return [session["pid"] for session in sessions] == [os.getpid()]
