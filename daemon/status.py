"""What `inferd status --json` prints, from what the supervisor and its workers know. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from inferd.daemon.orders import Report
from inferd.daemon.sessions import SessionRecord

_NO_REPORT = Report(0, 0, 0, 0, 0, 0, (), ())


class DaemonFacts(NamedTuple):
    pid: int
    version: str
    uptime_s: float
    runtime_dir: str


class DeviceFacts(NamedTuple):
    """A device; ``report`` is None where its worker does not answer."""

    name: str
    engine: str
    full_name: str
    pid: int | None
    generation: int
    state: str
    rss_bytes: int
    report: Report | None


def render(
    daemon: DaemonFacts, devices: Iterable[DeviceFacts], sessions: Iterable[SessionRecord]
) -> dict[str, Any]:
    """Return the report. Only the sessions that are given are told of."""
    devices = list(devices)
    return {
        "daemon": daemon._asdict(),
        "devices": [_device(device) for device in devices],
        "models": [model for device in devices for model in _models(device)],
        "sessions": [_session(record, devices) for record in sessions],
    }


def _device(device: DeviceFacts) -> Mapping[str, Any]:
    report = device.report or _NO_REPORT
    counts = ("queued", "running", "completed", "failed", "cancelled")
    facts = {name: value for name, value in device._asdict().items() if name != "report"}
    return facts | {name: getattr(report, name) for name in counts}


def _models(device: DeviceFacts) -> list[Mapping[str, Any]]:
    return [
        {
            "id": f"{device.name}/{model.id}",
            "name": model.name,
            "device": device.name,
            "state": model.state,
            "users": model.users,
            "inferences": model.inferences,
            "compile_ms": round(model.compile_ms, 1),
        }
        for model in (device.report or _NO_REPORT).models
    ]


def _session(record: SessionRecord, devices: list[DeviceFacts]) -> Mapping[str, Any]:
    reports = [
        session
        for device in devices
        for session in (device.report or _NO_REPORT).sessions
        if session.session == record.id
    ]
    return {
        "id": record.id,
        "pid": record.pid,
        "uid": record.uid,
        "name": record.name,
        "requests": sum(report.requests for report in reports),
        "in_flight": sum(report.in_flight for report in reports),
        "segments": len(record.segments),
        "segment_bytes": record.segment_bytes,
    }
