"""``inferd status``: what the running daemon does."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from inferd.client.connection import Connection
from inferd.daemon.cli import tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def run(arguments: argparse.Namespace) -> int:
    """Print the status of the nearest daemon; none is started."""
    report = json.loads(Connection.shared(autostart=False).status())
    print(json.dumps(report, indent=2) if arguments.json else _text(report), flush=True)
    return 0


def _text(report: dict[str, Any]) -> str:
    daemon = report["daemon"]
    head = (
        f"inferd {daemon['version']}, pid {daemon['pid']}, up {tables.duration(daemon['uptime_s'])}"
        f", serving {daemon['runtime_dir']}"
    )
    parts = [head, _devices(report["devices"])]
    parts.append(_models(report["models"]) or "No models are loaded.")
    parts.append(_sessions(report["sessions"]) or "No other sessions are open.")
    return "\n\n".join(parts)


def _devices(devices: Sequence[dict[str, Any]]) -> str:
    columns = ("DEVICE", "STATE", "PID", "QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED")
    rows = [
        (
            device["name"],
            device["state"],
            device["pid"] or "-",
            device["queued"],
            device["running"],
            device["completed"],
            device["failed"],
            device["cancelled"],
            tables.memory(device["rss_bytes"]),
            device["full_name"],
        )
        for device in devices
    ]
    return tables.render((*columns, "MEMORY", "NAME"), rows)


def _models(models: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            model["name"] or "-",
            model["device"],
            model["state"],
            model["users"],
            model["inferences"],
            f"{model['compile_ms']:.0f} ms",
        )
        for model in models
    ]
    return tables.render(("MODEL", "DEVICE", "STATE", "USERS", "INFERENCES", "COMPILED IN"), rows)


def _sessions(sessions: Sequence[dict[str, Any]]) -> str:
    columns = ("SESSION", "PID", "UID", "PROGRAM", "REQUESTS", "IN FLIGHT", "SEGMENTS", "SHARED")
    rows = [
        (
            session["id"],
            session["pid"],
            session["uid"],
            session["name"],
            session["requests"],
            session["in_flight"],
            session["segments"],
            tables.memory(session["segment_bytes"]),
        )
        for session in sessions
    ]
    return tables.render(columns, rows)
