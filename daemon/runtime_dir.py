"""The directory of a daemon's sockets, and the lock that keeps a second daemon out of it."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from inferd.shm.errors import AccessDenied, AlreadyServing, ConfigurationInvalid

LOCK_FILE: Final = "lock"
PATH_BYTES_MAX: Final = 107  # of a Unix socket's address, in the kernel
_LONGEST_NAME: Final = 24


class RuntimeDirectory:
    """A directory that this process serves, until it is closed."""

    def __init__(self, path: Path) -> None:
        """Make the directory if need be, and take its lock.

        Raises
        ------
        AlreadyServing
            Another daemon has the lock.
        AccessDenied
            This user may not make or write the directory.
        ConfigurationInvalid
            The path is too long for a socket's address.
        """
        self.path = path.absolute()
        if len(os.fsencode(self.path)) + 1 + _LONGEST_NAME > PATH_BYTES_MAX:
            raise ConfigurationInvalid(
                f"the runtime directory {self.path} is too long for a socket's address: "
                f"at most {PATH_BYTES_MAX - _LONGEST_NAME - 1} bytes"
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(
                self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as why:
            raise AccessDenied(
                f"can't use the runtime directory {self.path}: {why.strerror}; "
                "choose another with --runtime-dir or $INFERD_RUNTIME_DIR"
            ) from why
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise AlreadyServing(
                f"another daemon (pid {owner or 'unknown'}) serves {self.path}; "
                "use it, stop it, or choose another directory with --runtime-dir"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def socket_path(self, name: str) -> str:
        """Return where a socket belongs; a stale file of that name is removed."""
        path = self.path / name
        path.unlink(missing_ok=True)
        return str(path)

    def close(self, *, remove: bool) -> None:
        """Remove the sockets and give the lock back; ``remove``: the directory as well."""
        with contextlib.suppress(OSError):
            for each in self.path.iterdir():
                if each.is_socket() or remove:
                    each.unlink(missing_ok=True)
            if remove:
                self.path.rmdir()
        os.close(self._lock)


def default_path() -> Path:
    """Return where a daemon serves if nothing else was said."""
    explicit = os.environ.get("INFERD_RUNTIME_DIR")
    if explicit:
        return Path(explicit)
    users = os.environ.get("XDG_RUNTIME_DIR")
    return Path(users) / "inferd" if users else Path("/run/inferd")
