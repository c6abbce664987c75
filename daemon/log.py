"""Log lines on stderr: for a person at a terminal, or with priorities for the journal."""

import logging
import os
import sys
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")
_PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class _JournalFormatter(logging.Formatter):
    """Begin each line with its syslog priority, as journald reads it from stderr."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelname, 6)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def configure(level: str) -> None:
    """Send log lines of this level and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        text = "%(asctime)s %(levelname)-7s %(message)s"
        handler.setFormatter(logging.Formatter(text, datefmt="%H:%M:%S"))
    logger = logging.getLogger("inferd")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
