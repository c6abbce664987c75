"""Runs Python programs in processes of their own, as users of the library would."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from daemons import DEADLINE_S

_HEAD = """
import os, sys, time, threading
import numpy as np
import inferd.client as ov
"""


def start(
    program: str, *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start a program with numpy as ``np`` and the client as ``ov``; talk to it over its pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", _HEAD + textwrap.dedent(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )


def run(program: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; it has to succeed."""
    process = start(program, *arguments, environment=environment)
    said, complaints = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, complaints
    return said.strip()


def line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a program prints."""
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if not said:
        process.kill()
        raise AssertionError(process.communicate()[1])
    return said


def tell(process: "subprocess.Popen[str]", text: str = "") -> None:
    """Send a line to a program's standard input."""
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def end(process: "subprocess.Popen[str]") -> None:
    """End a program by closing its standard input; it has to succeed."""
    _, complaints = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, complaints


def write_model(folder: Path, model: bytes, name: str = "model.onnx") -> str:
    """Write a model to a file and return its path."""
    path = folder / name
    path.write_bytes(model)
    return str(path)
