"""Tensors stay where they are, and models exist once."""

import re
from pathlib import Path

import models
import numpy as np
import programs
import pytest
from daemons import Daemon

import inferd.client as ov

MIB = 1 << 20


def test_neither_side_copies_eight_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine itself reads and writes inside the segment that the client wrote to."""
    with Daemon(tmp_path, log_level="debug") as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        model = ov.Core().compile_model(models.relu((1, 2 * MIB)), "CPU")
        request = model.create_infer_request()
        given = request.get_input_tensor().data
        found = request.get_output_tensor().data
        given[:] = np.linspace(-1, 1, 2 * MIB, dtype=np.float32)
        request.infer(share_outputs=True)
        assert np.array_equal(found, np.maximum(given, 0))
        for array in (given, found):
            assert array.nbytes == 8 * MIB
            assert is_inside_segment(array.ctypes.data, array.nbytes, "self")
        (bound,) = re.findall(r"inputs at (0x\w+), outputs at (0x\w+)", daemon.log)
        for address in bound:
            assert is_inside_segment(int(address, 16), 8 * MIB, str(daemon.worker_pid()))


def test_eight_processes_share_one_compiled_model(tmp_path: Path, daemon: Daemon) -> None:
    path = programs.write_model(tmp_path, models.slow(size=1024, layers=8))
    program = """
        model = ov.Core().compile_model(sys.argv[1], "CPU")
        model(np.ones((1024, 1024), np.float32))
        print("ready", flush=True)
        sys.stdin.read()
    """
    users = []
    try:
        for count in range(1, 9):
            users.append(programs.start(program, path))
            assert programs.line(users[-1]) == "ready"
            if count == 1:
                first = private_bytes(daemon.worker_pid())
        (model,) = daemon.status()["models"]
        assert model["users"] == 8
        assert model["inferences"] == 8
        assert private_bytes(daemon.worker_pid()) < first * 1.05
    finally:
        for user in users:
            programs.end(user)


def test_arrays_of_the_program_are_written_back_after_the_inference(daemon: Daemon) -> None:
    model = ov.Core().compile_model(models.relu((1, 4)), "CPU")
    request = model.create_infer_request()
    given, found = np.array([[-1, 2, -3, 4]], np.float32), np.zeros((1, 4), np.float32)
    request.set_input_tensor(ov.Tensor(given, shared_memory=True))
    request.set_output_tensor(ov.Tensor(found, shared_memory=True))
    request.infer()
    assert found.tolist() == [[0, 2, 0, 4]]
    given[:] = 7
    request.start_async()
    request.wait()
    assert found.tolist() == [[7, 7, 7, 7]]


def test_views_outlive_everything_else(daemon: Daemon) -> None:
    model = ov.Core().compile_model(models.relu((1, 4)), "CPU")
    request = model.create_infer_request()
    request.infer(np.array([[-1, 2, -3, 4]], np.float32))
    found = request.get_output_tensor().data
    del request, model
    assert daemon.stop() == 0
    assert found.tolist() == [[0, 2, 0, 4]]


def is_inside_segment(address: int, byte_size: int, pid: str) -> bool:
    """Return whether memory of a process lies in one shared segment of inferd."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if "memfd:inferd" in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address and address + byte_size <= end:
                return True
    return False


def private_bytes(pid: int) -> int:
    """Return the memory that a process does not share, in bytes."""
    sizes = re.findall(
        r"^(?:Private_\w+|Anonymous): +(\d+) kB",
        Path(f"/proc/{pid}/smaps_rollup").read_text(),
        re.M,
    )
    return sum(map(int, sizes)) * 1024
