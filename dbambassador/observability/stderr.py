"""Where log lines go. A log that nobody reads must never stop the traffic."""

from __future__ import annotations

import os
import select
import sys
from datetime import UTC, datetime

DESCRIPTOR = 2


_torn = False
"""The last line lost its end, newline included."""


def write(line: str) -> None:
    """Writes a line to standard error, or drops it.

    Dropped where the reader is gone or does not read: a full pipe would block the only thread of the
    process. A pipe that polls writable takes PIPE_BUF (4096) bytes at once (pipe(7)); so a longer line goes
    in pieces, and may lose its end. Past Python's buffer, which would try once more at exit and change the
    exit code.
    """
    global _torn
    if sys.__stderr__ is None:
        return  # started without one: by now the number may belong to a database connection
    data = (("\n" if _torn else "") + line).encode("utf-8", "backslashreplace")
    sent = 0
    try:
        while sent < len(data) and _is_read():
            sent += os.write(DESCRIPTOR, data[sent : sent + select.PIPE_BUF])
    except OSError:
        pass
    if sent:
        _torn = sent < len(data)


def _is_read() -> bool:
    poll = select.poll()
    poll.register(DESCRIPTOR, select.POLLOUT)
    ready = poll.poll(0)
    return bool(ready) and ready[0][1] & (select.POLLOUT | select.POLLERR | select.POLLHUP) == select.POLLOUT


def local_time() -> datetime:
    """Now, aware, in the zone of this host."""
    return datetime.now(UTC).astimezone()
