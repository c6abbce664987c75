"""A line that says what takes long, for a person who watches."""

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

QUIET_S: Final = 1.0
TICK_S: Final = 0.2


class Progress:
    """While it is open, say on stderr what is going on if that takes longer than a second.

    Nothing is printed where stderr is not a terminal.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        started_s = time.monotonic()
        if self._is_over.wait(QUIET_S):
            return
        while not self._is_over.wait(TICK_S):
            print(
                f"\r\x1b[K{self.what} ... {time.monotonic() - started_s:.0f} s",
                end="",
                file=sys.stderr,
                flush=True,
            )
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
