"""Where log lines go. A log that nobody reads must never stop the traffic."""

from __future__ import annotations

import os
import select
import sys
from datetime import UTC, datetime

DESCRIPTOR = 2


def write(line: str) -> None:
    """Writes a line to standard error, or drops it.

    Dropped where the reader is gone or does not read: a full pipe would block the only thread of the
    process. A pipe that polls writable takes PIPE_BUF (4096) bytes at once (pipe(7)); our lines are shorter
    as a rule, and a longer one may wait for its reader. Past Python's buffer, which would try once more at
    exit and change the exit code.
    """
    if sys.__stderr__ is None:
        return  # started without one: by now the number may belong to a database connection
    try:
        poll = select.poll()
        poll.register(DESCRIPTOR, select.POLLOUT)
        ready = poll.poll(0)
        if ready and ready[0][1] & select.POLLOUT and not ready[0][1] & (select.POLLERR | select.POLLHUP):
            os.write(DESCRIPTOR, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def local_time() -> datetime:
    """Now, aware, in the zone of this host."""
    return datetime.now(UTC).astimezone()
