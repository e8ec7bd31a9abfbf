"""Free ports of the loopback interface."""

from __future__ import annotations

import errno
import random
import socket

LOWEST, HIGHEST = 15_000, 31_999
"""Below the range from which Linux takes the local ports of outgoing connections (32768 to 60999, ip(7),
`ip_local_port_range`): between our look and the server's bind no connection can take the port away."""

ATTEMPTS = 200

_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a TCP server could listen on this port of 127.0.0.1 and of ::1 (where the host has IPv6)."""
    return _bindable(socket.AF_INET, "127.0.0.1", port) and _bindable(socket.AF_INET6, "::1", port)


def free_port() -> int:
    """A port that is free on 127.0.0.1 and ::1, for TCP and for UDP.

    None is given twice by a process, until half of them have been: whoever asked before may not listen yet.

    Raises OSError where none is found.
    """
    if len(_given) > (HIGHEST - LOWEST) // 2:
        _given.clear()
    for _ in range(ATTEMPTS):
        port = random.randint(LOWEST, HIGHEST)
        if port in _given:
            continue
        if is_free(port) and _bindable(socket.AF_INET, "127.0.0.1", port, socket.SOCK_DGRAM):
            _given.add(port)
            return port
    raise OSError(errno.EADDRINUSE, f"no free port found between {LOWEST} and {HIGHEST}")


def _bindable(family: int, host: str, port: int, kind: int = socket.SOCK_STREAM) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers do: connections in TIME_WAIT do not count as a holder.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # no IPv6 here: nothing to clash with
    return True
