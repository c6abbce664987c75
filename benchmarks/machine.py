"""Says where numbers were measured: without that, they mean nothing."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import inferd

ROOT: Final = Path(__file__).resolve().parent.parent
LOAD_PER_CORE_MAX: Final = 0.25  # more, and others disturb what is measured
CPU_FACTS: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """The machine and the software, as the benchmark starts."""

    cpu: str
    cores: int  # that this process may use
    kernel: str
    python: str
    openvino: str
    pyzmq: str
    numpy: str
    inferd: str
    commit: str
    date: str
    load_average: tuple[float, float, float]  # of 1, 5 and 15 minutes

    def __str__(self) -> str:
        load = " ".join(f"{each:.2f}" for each in self.load_average)
        return (
            f"{self.cpu}, {self.cores} cores, {self.kernel}, Python {self.python}\n"
            f"inferd {self.inferd} ({self.commit}), openvino {self.openvino}, "
            f"pyzmq {self.pyzmq}, numpy {self.numpy}\n"
            f"{self.date}, load average at start {load}{self._warning()}"
        )

    def _warning(self) -> str:
        is_busy = self.load_average[0] > self.cores * LOAD_PER_CORE_MAX
        return ": the machine is BUSY, do not trust these numbers" if is_busy else ""


def look() -> Machine:
    """Return the facts of this moment."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        openvino=importlib.metadata.version("openvino"),
        pyzmq=importlib.metadata.version("pyzmq"),
        numpy=importlib.metadata.version("numpy"),
        inferd=inferd.__version__,
        commit=_commit(),
        date=datetime.date.today().isoformat(),
        load_average=os.getloadavg(),
    )


def _cpu() -> str:
    for line in CPU_FACTS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"
