"""A server that costs next to nothing, so that what a relay adds can be seen.

`python -m tests.bench.relay_stub PROTOCOL` prints its port and serves until it is ended.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dbambassador.protocols.mysql import (
    CLIENT_PLUGIN_AUTH,
    CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION,
    packet,
)
from tests.testbed.processes import environ

ECHO = "tcp"
"""Answers with what it got."""

WELCOME = (
    b"R\0\0\0\x08\0\0\0\0"
    + b"".join(
        b"S" + (4 + len(text)).to_bytes(4, "big") + text
        for text in (b"server_version\x0018.1\0", b"in_hot_standby\0off\0", b"client_encoding\0UTF8\0")
    )
    + b"K\0\0\0\x0c\0\0\0\x07abcd"
    + b"Z\0\0\0\x05I"
)
_CAPABILITIES = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
GREETING = packet(
    0,
    b"\x0a8.0.0\0"
    + bytes(4)
    + b"12345678\0"
    + (_CAPABILITIES & 0xFFFF).to_bytes(2, "little")
    + bytes(3)
    + (_CAPABILITIES >> 16).to_bytes(2, "little")
    + b"\x15"
    + bytes(10)
    + b"123456789012\0mysql_native_password\0",
)
OK = packet(2, b"\0\0\0\2\0\0\0")

FIRST = {ECHO: b"", "postgresql": b"", "mysql": GREETING}
"""What it says first."""
ANSWER = {ECHO: b"", "postgresql": WELCOME, "mysql": OK}
"""What it answers to anything; nothing for the same again."""


@contextmanager
def stub(protocol: str) -> Iterator[int]:
    """The port of a running stub."""
    command = [sys.executable, "-m", "tests.bench.relay_stub", protocol]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ()) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def main(protocol: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    events = select.epoll()
    events.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    first, answer = FIRST[protocol], ANSWER[protocol]
    while True:
        for descriptor, _ in events.poll():
            if descriptor == listener.fileno():
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                events.register(connection, select.EPOLLIN)
                if first:
                    connection.send(first)
                continue
            connection = connections[descriptor]
            try:
                data = connection.recv(4096)
                if data:
                    connection.send(answer or data)
                    continue
            except OSError:
                pass  # the client is gone
            del connections[descriptor]
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
