"""`python -m tests.testbed.http_crowd PORT COUNT SECONDS [KIND]`: bad HTTP clients in a process of their own.

They come at once, and whoever is closed comes again, until the time is over. So the crowd stays as large as
it is, and the test's own process is free to measure what that does to others.
"""

from __future__ import annotations

import itertools
import resource
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

HEADERS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


@dataclass(frozen=True, slots=True)
class Kind:
    first: bytes
    again: bytes = b""
    """Every tenth of a second."""
    reads: bool = True
    half_closes: bool = False


KINDS: Mapping[str, Kind] = {
    "asking": Kind(HEADERS + b"\r\n"),
    "silent": Kind(b""),
    "slow headers": Kind(HEADERS, b"X: y\r\n"),
    "slow body": Kind(b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "slow readers": Kind((HEADERS + b"\r\n") * 50, reads=False),
    "half-closed": Kind(HEADERS, half_closes=True),
    "pipelined": Kind((HEADERS + b"\r\n") * 20, HEADERS + b"\r\n"),
    "huge headers": Kind(HEADERS + b"X: " + b"x" * 15_000, b"x" * 10),
    "chunked nonsense": Kind(
        b"POST /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"x" * 100,
    ),
    "HTTP/1.0": Kind(b"GET /metrics HTTP/1.0\r\n", b"X: y\r\n"),
    "no Host": Kind(b"GET /metrics HTTP/1.1\r\n\r\n"),
    "absolute form": Kind(b"GET http://other.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "HTTP/2": Kind(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    "TLS": Kind(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
}

ONE_SEGMENT = 2048
"""Bytes of receive buffer of those who do not read; the kernel doubles it."""


class Crowd:
    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._spoken: dict[socket.socket, Kind] = {}

    def come(self, kind: Kind) -> None:
        client = socket.socket()
        if not kind.reads:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ONE_SEGMENT)
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self._port))
        self._selector.register(client, selectors.EVENT_WRITE, kind)

    def turn(self) -> None:
        """Everybody does what they can do now."""
        for key, events in self._selector.select(0.05):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            try:
                if events & selectors.EVENT_WRITE:
                    self._speak(client, key.data)
                elif not client.recv(65536):
                    raise ConnectionResetError
            except OSError:
                self._selector.unregister(client)
                self._spoken.pop(client, None)
                client.close()
                self.come(key.data)

    def _speak(self, client: socket.socket, kind: Kind) -> None:
        client.send(kind.first)
        if kind.half_closes:
            client.shutdown(socket.SHUT_WR)
        self._spoken[client] = kind
        if kind.reads:
            self._selector.modify(client, selectors.EVENT_READ, kind)
        else:
            self._selector.unregister(client)

    def speak_again(self) -> None:
        for client, kind in self._spoken.items():
            try:
                client.send(kind.again)
            except OSError:
                pass  # told by its event


def main(port: int, count: int, seconds: float, kinds: list[Kind]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(port)
    for kind in itertools.islice(itertools.cycle(kinds), count):
        crowd.come(kind)
    deadline = time.monotonic() + seconds
    spoken_at = 0.0
    while (now := time.monotonic()) < deadline:
        crowd.turn()
        if now - spoken_at > 0.1:
            spoken_at = now
            crowd.speak_again()


if __name__ == "__main__":
    named = [KINDS[name] for name in sys.argv[4:]]
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), named or list(KINDS.values()))
