"""What a socket that does not block takes and gives at this moment."""

from __future__ import annotations

import socket


def send(sink: socket.socket, data: bytes) -> bytes:
    """Sends what the kernel takes. Returns: the rest, all of it if the other end is gone."""
    if not data:
        return b""
    try:
        return data[sink.send(data) :]
    except OSError:
        return data


def receive(source: socket.socket, limit: int) -> bytes | None:
    """What was said by now; None: it has broken, which the kernel tells once."""
    try:
        return source.recv(limit)
    except BlockingIOError:
        return b""
    except OSError:
        return None
