"""The service manager's notification socket: sd_notify(3), sd_watchdog_enabled(3) of systemd."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass

MOST_UNSENT = 64
"""Messages that a service manager has not read; beyond it the oldest are dropped."""
_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What the service manager that started this process asks of it."""

    socket: str
    """The path; one that begins with a NUL is abstract (unix(7))."""
    watchdog: float | None = None
    """Seconds within which it wants a sign of life."""


def service_manager(environ: MutableMapping[str, str], pid: int) -> ServiceManager | None:
    """What the variables say; None without a socket that this process can use.

    The variables are taken out of `environ`: they are for this process, and not for its children.
    """
    path = environ.pop("NOTIFY_SOCKET", "")
    microseconds = environ.pop("WATCHDOG_USEC", "")
    watched = environ.pop("WATCHDOG_PID", str(pid))
    if path[:1] not in ("/", "@") or len(path) < 2:
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)) or watched != str(pid):
        return ServiceManager(_address(path))
    return ServiceManager(_address(path), int(microseconds) / 1e6)


def _address(path: str) -> str:
    return f"\0{path[1:]}" if path.startswith("@") else path


class NotifySocket:
    """Sends messages, in order, and never blocks: what a full socket does not take is kept for `flush`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._unsent: deque[bytes] = deque(maxlen=MOST_UNSENT)

    def send(self, *assignments: str) -> bool:
        """One message of assignments such as `READY=1`, without line breaks. Returns: as `flush`."""
        self._unsent.append("\n".join(assignments).encode("utf-8", "backslashreplace"))
        return self.flush()

    def flush(self) -> bool:
        """Sends what is left. Returns: whether nothing is. What nobody can receive is dropped."""
        while self._unsent:
            try:
                self._socket.sendto(self._unsent[0], self._path)
            except OSError as error:
                if error.errno in _FULL:
                    return False
            self._unsent.popleft()
        return True

    def close(self) -> None:
        self._socket.close()
