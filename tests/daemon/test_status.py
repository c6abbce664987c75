"""The status report: what `inferd status --json` promises to scripts."""

import json

from inferd.daemon.orders import ModelReport, Report, SessionReport
from inferd.daemon.sessions import SessionRecord
from inferd.daemon.status import DaemonFacts, DeviceFacts, render

DAEMON = DaemonFacts(pid=7, version="0.1.0", uptime_s=61.5, runtime_dir="/run/inferd")
MODEL = ModelReport(3, "digits", "ready", users=2, inferences=40, compile_ms=12.3456)


def device(name: str, report: Report | None = None) -> DeviceFacts:
    return DeviceFacts(name, "openvino", "A processor", 8, 2, "ready", 1 << 20, report)


def report(*sessions: SessionReport) -> Report:
    return Report(1, 2, 1, 30, 4, 5, (MODEL,), sessions)


def session(number: int) -> SessionRecord:
    record = SessionRecord(number, b"secret", 1000, 42, "camera")
    record.segments = {1: 4096, 2: 100}
    return record


def test_an_idle_daemon_reports_itself() -> None:
    assert render(DAEMON, [], []) == {
        "daemon": {
            "pid": 7,
            "version": "0.1.0",
            "uptime_s": 61.5,
            "runtime_dir": "/run/inferd",
        },
        "devices": [],
        "models": [],
        "sessions": [],
    }


def test_a_device_reports_its_worker_and_its_counts() -> None:
    assert render(DAEMON, [device("CPU", report())], [])["devices"] == [
        {
            "name": "CPU",
            "engine": "openvino",
            "full_name": "A processor",
            "pid": 8,
            "generation": 2,
            "state": "ready",
            "rss_bytes": 1 << 20,
            "queued": 2,
            "running": 1,
            "completed": 30,
            "failed": 4,
            "cancelled": 5,
        }
    ]


def test_a_worker_that_does_not_answer_is_reported_without_counts() -> None:
    answer = render(DAEMON, [device("CPU"), device("GPU", report())], [session(1)])
    silent, speaking = answer["devices"]
    assert set(silent) == set(speaking)
    assert (silent["name"], silent["queued"], silent["completed"]) == ("CPU", 0, 0)
    assert [model["device"] for model in answer["models"]] == ["GPU"]


def test_a_model_reports_under_the_name_of_its_device() -> None:
    models = render(DAEMON, [device("CPU", report()), device("GPU", report())], [])["models"]
    assert [model["id"] for model in models] == ["CPU/3", "GPU/3"]
    assert models[0] == {
        "id": "CPU/3",
        "name": "digits",
        "device": "CPU",
        "state": "ready",
        "users": 2,
        "inferences": 40,
        "compile_ms": 12.3,
    }


def test_a_session_reports_what_it_has_on_all_devices() -> None:
    devices = [
        device("CPU", report(SessionReport(1, 2, 1), SessionReport(2, 100, 100))),
        device("GPU", report(SessionReport(1, 3, 2))),
        device("NPU"),
    ]
    assert render(DAEMON, devices, [session(1)])["sessions"] == [
        {
            "id": 1,
            "pid": 42,
            "uid": 1000,
            "name": "camera",
            "requests": 5,
            "in_flight": 3,
            "segments": 2,
            "segment_bytes": 4196,
        }
    ]


def test_only_the_sessions_that_are_given_are_told_of_and_no_token_is() -> None:
    devices = [device("CPU", report(SessionReport(1, 2, 1), SessionReport(2, 3, 1)))]
    answer = render(DAEMON, devices, iter([session(2)]))
    assert [each["id"] for each in answer["sessions"]] == [2]
    assert "secret" not in json.dumps(answer)


def test_devices_may_come_from_an_iterator() -> None:
    answer = render(DAEMON, iter([device("CPU", report(SessionReport(1, 2, 1)))]), [session(1)])
    assert (len(answer["devices"]), len(answer["models"])) == (1, 1)
    assert answer["sessions"][0]["requests"] == 2
