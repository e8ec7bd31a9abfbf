"""Many short sessions in all the ways in which one comes and goes."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

from tests.testbed.streaming import STARTUP, STRANGER, opened, reset

AT_ONCE = 20
"""Sessions that are open at any time: each of them ends while others come and go."""

Ending = Callable[[socket.socket], None]


def short_sessions(count: int, port: int, protocol: str, *, dead: int) -> None:
    """So many sessions through an ambassador, one kind after the other: served and closed, served and reset,
    gone without a word, gone in the middle of one, turned away by the server, and, on the port `dead`, whose
    server does not listen, by the ambassador."""
    kinds: list[Callable[[], tuple[socket.socket, Ending]]] = [
        lambda: (opened(port, protocol), socket.socket.close),
        lambda: (opened(port, protocol), reset),
        lambda: (_connected(port), socket.socket.close),
        lambda: (_connected(port, STARTUP[:6]), reset),
        lambda: (_connected(port, STARTUP[:6]), socket.socket.close),
        lambda: (_connected(port, STRANGER[protocol]), partial(_see_end, protocol)),
        lambda: (_connected(dead, STARTUP), partial(_see_end, protocol)),
    ]
    live: deque[tuple[socket.socket, Ending]] = deque()
    try:
        for begin in islice(cycle(kinds), count):
            live.append(begin())
            if len(live) > AT_ONCE:
                session, end = live.popleft()
                with session:
                    end(session)
        for session, end in live:
            end(session)
    finally:
        for session, _ in live:
            session.close()


def _connected(port: int, words: bytes = b"") -> socket.socket:
    session = socket.create_connection(("127.0.0.1", port), timeout=30.0)
    session.sendall(words)
    return session


def read_out(session: socket.socket) -> bytes:
    """All that is said until the end, of whichever kind."""
    said = b""
    try:
        while data := session.recv(4096):
            said += data
    except ConnectionResetError:
        pass
    return said


def _see_end(protocol: str, session: socket.socket) -> None:
    """It was turned away: in `postgresql` with an error, otherwise without a word."""
    said = read_out(session)
    assert said[:1] == (b"E" if protocol == "postgresql" else b""), said
