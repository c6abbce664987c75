"""How long each node of a model took."""

import datetime
import enum
from typing import NamedTuple

from inferd.shm.wire import ProfileRow


class Status(enum.Enum):
    """What became of a node."""

    NOT_RUN = 0
    OPTIMIZED_OUT = 1
    EXECUTED = 2


class ProfilingInfo(NamedTuple):
    """One node: its names, what it was executed as, and its times, averaged over the runs."""

    status: Status
    real_time: datetime.timedelta
    cpu_time: datetime.timedelta
    node_name: str
    exec_type: str
    node_type: str


def of_row(row: ProfileRow) -> ProfilingInfo:
    """Return what a worker told of a node."""
    return ProfilingInfo(
        Status(row.status),
        datetime.timedelta(microseconds=row.real_us),
        datetime.timedelta(microseconds=row.cpu_us),
        row.node_name,
        row.exec_type,
        row.node_type,
    )
