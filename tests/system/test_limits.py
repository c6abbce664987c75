"""A full budget is a typed error that names the setting; nothing leaks, and room comes back."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import models
import programs
import pytest
from daemons import Daemon, descriptors, wait_until
from hostile import RawSession

import inferd.client as ov
from inferd.shm import errors, wire

MIB = 1 << 20
SETTINGS = f"""
[limits]
sessions_max = 4
sessions_per_user_max = 3
segments_per_session_max = 6
segment_bytes_per_session_max = {48 * MIB}
models_per_session_max = 3
requests_per_session_max = 5
model_bytes_max = {MIB}
"""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon with small budgets."""
    with Daemon(tmp_path, settings=SETTINGS) as daemon:
        monkeypatch.setenv("INFERD_RUNTIME_DIR", str(daemon.runtime_dir))
        yield daemon


def test_a_full_memory_budget_is_refused_and_room_comes_back(daemon: Daemon) -> None:
    program = """
        import gc
        from inferd.shm import errors
        core = ov.Core()
        large = core.compile_model(sys.argv[1], "CPU")  # 32 MiB in, 32 MiB out
        small = core.compile_model(sys.argv[2], "CPU")
        row = np.array([[-1, 2, -3, 4]], np.float32)
        request = large.create_infer_request()
        for attempt in range(3):
            try:
                request.infer()
            except errors.OverBudget as why:
                print(why)
            assert small(row)[0].tolist() == [[0, 2, 0, 4]]
        del request
        gc.collect()
        again = small.create_infer_request()  # with a tensor in a block of 40 MiB
        again.set_input_tensor(ov.Tensor(ov.Tensor(ov.Type.f32, [10 << 18, 4]), [0, 0], [1, 4]))
        again.infer()
    """
    folder = daemon.log_path.parent
    large = programs.write_model(folder, models.relu((1, 8 * MIB)), "large.onnx")
    small = programs.write_model(folder, models.relu((1, 4)), "small.onnx")
    refusals = programs.run(program, large, small).splitlines()
    assert len(refusals) == 3
    assert all("segment_bytes_per_session_max" in refusal for refusal in refusals)


def test_too_many_models_are_refused_and_released_ones_make_room(daemon: Daemon) -> None:
    core = ov.Core()
    held = [core.compile_model(models.relu((1, size)), "CPU") for size in range(1, 4)]
    with pytest.raises(errors.OverBudget, match="models_per_session_max"):
        core.compile_model(models.relu((1, 9)), "CPU")
    del held[0]
    gc.collect()
    wait_until(lambda: can_compile(core), "room for a model")


def test_too_many_requests_are_refused(daemon: Daemon) -> None:
    model = ov.Core().compile_model(models.relu((1, 4)), "CPU")
    requests = [model.create_infer_request() for _ in range(5)]
    for request in requests:
        request.infer()
    with pytest.raises(errors.OverBudget, match="requests_per_session_max"):
        model.create_infer_request()
    requests.pop(0).infer()
    gc.collect()
    model.create_infer_request().infer()


def test_too_many_sessions_are_refused_and_ended_ones_make_room(daemon: Daemon) -> None:
    core = ov.Core()
    sessions = [RawSession(daemon.runtime_dir) for _ in range(2)]
    before = descriptors(daemon.process.pid)
    for _ in range(50):
        with RawSession(daemon.runtime_dir) as refused:
            assert isinstance(refused.answer, wire.Refused)
            assert refused.answer.code == "over_budget"
            assert "sessions_per_user_max" in refused.answer.text
    wait_until(lambda: descriptors(daemon.process.pid) <= before + 2, "the end of the refused")
    sessions.pop().close()
    with RawSession(daemon.runtime_dir) as admitted:
        assert admitted.welcome.limits["sessions_max"] == 4
    sessions.pop().close()
    assert core.available_devices == ["CPU"]


def test_too_large_a_model_is_refused(daemon: Daemon) -> None:
    with pytest.raises(errors.OverBudget, match="model_bytes_max"):
        ov.Core().compile_model(models.slow(size=1024, layers=1), "CPU")


def can_compile(core: ov.Core) -> bool:
    try:
        core.compile_model(models.relu((1, 9)), "CPU")
    except errors.OverBudget:
        return False
    return True


def test_a_very_long_complaint_of_the_engine_is_cut(
    shared_daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that no reader takes would leave its caller waiting for ever."""
    monkeypatch.setenv("INFERD_RUNTIME_DIR", str(shared_daemon.runtime_dir))
    core = ov.Core()
    with pytest.raises(errors.PropertyInvalid, match="PERFORMANCE_HINT"):
        core.compile_model(models.relu(), "CPU", {"PERFORMANCE_HINT": "y" * 4000})
    with pytest.raises(errors.PropertyInvalid, match="at most"):
        core.compile_model(models.relu(), "CPU", {"PERFORMANCE_HINT": "y" * 100_000})
    path = tmp_path / os.fsdecode(b"\xff.onnx")
    path.write_bytes(models.relu((1, 4)))
    assert core.compile_model(path, "CPU").input().shape == [1, 4]


def test_a_worker_sleeps_through_a_keep_alive_of_months(tmp_path: Path) -> None:
    settings = "[models]\nkeep_alive_s = 1e7\n"
    with Daemon(tmp_path, settings=settings) as daemon:
        program = """
            ov.Core().compile_model(sys.argv[1], "CPU")
        """
        path = programs.write_model(tmp_path, models.relu())
        environment = {"INFERD_RUNTIME_DIR": str(daemon.runtime_dir)}
        programs.run(program, path, environment=environment)
        wait_until(lambda: daemon.status()["models"][0]["users"] == 0)
        programs.run(program, path, environment=environment)
        assert daemon.status()["devices"][0]["generation"] == 1


def test_an_engine_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with Daemon(tmp_path, settings='[devices.odd]\nengine = "nope"\n') as daemon:
        program = """
            try:
                ov.Core().compile_model(sys.argv[1], "odd")
            except RuntimeError as why:
                print(type(why).__name__, why)
        """
        path = programs.write_model(tmp_path, models.relu())
        environment = {"INFERD_RUNTIME_DIR": str(daemon.runtime_dir)}
        said = programs.run(program, path, environment=environment)
        assert said.startswith("DeviceUnavailable")
        assert "there are: openvino" in said
