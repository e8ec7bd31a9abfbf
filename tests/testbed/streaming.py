"""A server of echoes and of streams, and clients of it: load whose every byte is known.

The server answers each message at once. A client may ask for a stream instead, which a child of the server
sends, so that echoes never wait for it. `python -m tests.testbed.streaming serve PROTOCOL` is the server and
prints its port; `… take PROTOCOL PORT` takes an endless stream, and prints a line once it flows.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from dbambassador.protocols.postgresql import error_response, startup_message
from tests.testbed.processes import environ

STREAM = b"stream:"
"""Begins the wish for a stream; its length in bytes follows, in 16 digits."""
ENDLESS = 10**15

PATTERN = b"".join(number.to_bytes(4, "big") for number in range(1 << 16))
"""What a stream repeats: 256 KiB in which each place is told from each other."""

READY = b"Z\0\0\0\x05I"
_WELCOME = {
    "tcp": b"",
    "postgresql": b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x17in_hot_standby\0off\0" + READY,
}
"""What it answers to anything, as PostgreSQL does that asks for no password; nothing for the same again."""

STARTUP = startup_message({"user": "shop"})
"""A client's first words in `postgresql`."""
STRANGER = {"tcp": b"stranger", "postgresql": startup_message({"user": "stranger"})}
"""First words that it does not like: it ends the session, in `postgresql` with an error."""
_REJECTION = {"tcp": b"", "postgresql": error_response("28000", "no stranger may enter")}

_PING = b"ping"
_PATIENCE = 30.0
"""Seconds to wait for anything."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@contextmanager
def streaming(protocol: str) -> Iterator[int]:
    """The port of a running server of `tcp` or `postgresql`."""
    with _running("serve", protocol) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


@contextmanager
def taker(port: int, protocol: str) -> Iterator[int]:
    """The process of a client that takes an endless stream, which flows already. It may be stopped."""
    with _running("take", protocol, str(port)) as client:
        assert client.stdout is not None
        assert client.stdout.readline(), "the stream does not flow"
        yield client.pid


@contextmanager
def _running(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.testbed.streaming", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ()) as process:
        try:
            yield process
        finally:
            process.kill()  # one that is stopped does not hear of anything else


def opened(port: int, protocol: str) -> socket.socket:
    """A client's session that has begun: the server has answered it."""
    session = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
    try:
        session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ping(session, protocol, _PING if protocol == "tcp" else STARTUP)
    except BaseException:
        session.close()
        raise
    return session


def ping(session: socket.socket, protocol: str, message: bytes = _PING) -> None:
    """One message and its whole answer. Raises ConnectionError where something else comes, or the end."""
    session.sendall(message)
    wanted, answer = _WELCOME[protocol] or message, b""
    while wanted != answer:
        data = session.recv(len(wanted) - len(answer))
        answer += data
        if not data or not wanted.startswith(answer):
            raise ConnectionError(f"not answered: {answer!r}")


def ask_for_stream(session: socket.socket, length: int = ENDLESS) -> None:
    """Has the server send the first `length` bytes of the endless pattern, and then close."""
    session.sendall(STREAM + b"%016d" % length)


def reset(session: socket.socket) -> None:
    """Closes it with a reset."""
    session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    session.close()


def latencies(sessions: list[socket.socket], protocol: str, *, rate: int, seconds: float) -> list[float]:
    """Seconds from each message to its answer, sorted: so many messages a second, in turn over the sessions,
    whether earlier ones are answered or not."""
    taken: list[float] = []
    whole = len(_WELCOME[protocol] or _PING)
    sent = {session.fileno(): deque[float]() for session in sessions}
    unread = dict.fromkeys(sent, whole)
    by_descriptor = {session.fileno(): session for session in sessions}
    with select.epoll() as events:
        for descriptor in sent:
            events.register(descriptor, select.EPOLLIN)
        started, number, total = time.perf_counter(), 0, int(rate * seconds)
        while len(taken) < total:
            all_sent = number == total
            early = _PATIENCE if all_sent else started + number / rate - time.perf_counter()
            if early <= 0:
                session = sessions[number % len(sessions)]
                sent[session.fileno()].append(time.perf_counter())
                session.sendall(_PING)
                number += 1
            answered = events.poll(max(0.0, early))
            if all_sent and not answered:
                raise TimeoutError(f"{total - len(taken)} messages are not answered")
            for descriptor, _ in answered:
                answer = by_descriptor[descriptor].recv(unread[descriptor])
                if not answer:
                    raise ConnectionResetError("a session ended")
                unread[descriptor] -= len(answer)
                if not unread[descriptor]:
                    unread[descriptor] = whole
                    taken.append(time.perf_counter() - sent[descriptor].popleft())
    return sorted(taken)


def p99(latencies: list[float]) -> float:
    """Of sorted ones."""
    return latencies[int(len(latencies) * 0.99)]


def serve(protocol: str) -> None:
    welcome = _WELCOME[protocol]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children that send streams
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    events = select.epoll()
    events.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in events.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                events.register(connection, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            try:
                message = connection.recv(4096)
                if b"stranger" in message:
                    connection.sendall(_REJECTION[protocol])
                elif message and not message.startswith(STREAM):
                    connection.sendall(welcome * max(1, message.count(_PING)) or message)
                    continue
            except OSError:
                message = b""  # the client is gone
            del connections[descriptor]
            if message.startswith(STREAM) and not os.fork():
                os._exit(_send_stream(connection, int(message.removeprefix(STREAM))))
            events.unregister(connection)
            connection.close()


def _send_stream(connection: socket.socket, length: int) -> int:
    pattern = memoryview(PATTERN)
    connection.setblocking(True)
    try:
        for start in range(0, length, len(pattern)):
            connection.sendall(pattern[: length - start])
    except OSError:
        return 1
    return 0


def take(protocol: str, port: int) -> None:
    session = opened(port, protocol)
    ask_for_stream(session)
    buffer = bytearray(1 << 18)
    session.recv_into(buffer)
    print("it flows", flush=True)
    while session.recv_into(buffer):
        pass


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        take(sys.argv[2], int(sys.argv[3]))
