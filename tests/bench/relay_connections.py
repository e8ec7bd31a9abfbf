"""What a new connection costs: from the client's connect to the first answer."""

from __future__ import annotations

import socket
import statistics
import struct
import time
from collections.abc import Callable

from dbambassador.protocols.mysql import handshake_response
from dbambassador.protocols.postgresql import startup_message

_STARTUP = startup_message({"user": "shop"})
_RESPONSE = handshake_response("shop", "mysql_native_password")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _echo(connection: socket.socket) -> None:
    connection.sendall(b"ping")
    assert connection.recv(4096) == b"ping"


def _postgresql(connection: socket.socket) -> None:
    connection.sendall(_STARTUP)
    data = b""
    while not data.endswith(b"Z\0\0\0\x05I"):
        data += connection.recv(4096)


def _mysql(connection: socket.socket) -> None:
    assert connection.recv(4096)
    connection.sendall(_RESPONSE)
    assert connection.recv(4096)[4:5] == b"\0"


CONVERSATIONS: dict[str, Callable[[socket.socket], None]] = {
    "tcp": _echo,
    "postgresql": _postgresql,
    "mysql": _mysql,
}


def first_answers(port: int, protocol: str, count: int, pause: float = 0.0) -> list[float]:
    """Seconds from connect to the first answer, of so many connections one after the other."""
    converse = CONVERSATIONS[protocol]
    seconds = []
    for _ in range(count):
        time.sleep(pause)
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            converse(connection)
            seconds.append(time.perf_counter() - started)
            # Without a TIME_WAIT for each of some thousands; the reset is not part of the time.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return seconds


def median_microseconds(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e6
