"""A session as the epoll engine has it: two sides, each the source of one way and the sink of the other."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from time import monotonic

from dbambassador.forwarding.relay.endings import Endings
from dbambassador.forwarding.relay.engine import How, Link, Over, Tap
from dbambassador.transport.dial import UNIX, family_of, reset_on_close

WAKES = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET
"""What wakes a side; EPOLLERR and EPOLLHUP always do."""
WAKES_BLOCKED = WAKES | select.EPOLLOUT


class Side:
    """One socket, registered once."""

    __slots__ = (
        "descriptor",
        "listening",
        "of_client",
        "open",
        "other",
        "receive",
        "refusing",
        "rest",
        "send",
        "session",
        "socket",
        "tap",
        "traffic",
        "unix",
    )

    def __init__(self, session: Session, taken: socket.socket, *, of_client: bool) -> None:
        self.session = session
        self.socket = taken
        self.receive = taken.recv_into
        self.send: Callable[[bytes | memoryview], int] = taken.send
        self.descriptor = taken.fileno()
        self.of_client = of_client
        self.traffic = session.traffic
        self.unix = family_of(taken) == UNIX
        self.open = True
        """It may still say something that goes to the other side."""
        self.rest: memoryview | None = None
        """What it did not take yet; until it does, the other side is not read."""
        self.listening = True
        """Its events are acted on: the other side took everything, and no turn of it is noted already."""
        self.tap: Tap | None = None
        self.refusing = False
        """Its tap has refused: `rest` of the other side is the last that passes."""
        self.other: Side

    def count(self, sent: int) -> None:
        """Takes note of bytes from this side that the other one took."""
        self.traffic.asked = self.of_client
        if self.of_client:
            self.traffic.to_server += sent
        else:
            self.traffic.to_client += sent
        if self.traffic.still:
            self.traffic.move()

    @property
    def wakes(self) -> int:
        """The events to register it for.

        TCP tells of free space only after it was missing. A unix socket does at every read of its peer, so it
        is asked for that only while it is full.
        """
        return WAKES if self.unix and self.rest is None else WAKES_BLOCKED


class Session:
    """Two sides, and how they ended. Owns the sockets of its link."""

    __slots__ = (
        "client",
        "cut",
        "endings",
        "failure",
        "on_over",
        "on_server_end",
        "over",
        "server",
        "traffic",
    )

    def __init__(self, link: Link, on_over: Over) -> None:
        self.traffic = link.traffic
        self.client = Side(self, link.client, of_client=True)
        self.server = Side(self, link.server, of_client=False)
        self.client.other, self.server.other = self.server, self.client
        self.client.rest = memoryview(link.to_client) if link.to_client else None
        self.server.rest = memoryview(link.to_server) if link.to_server else None
        self.client.listening = self.server.rest is None
        self.server.listening = self.client.rest is None
        self.server.tap = link.tap
        self.traffic.server = self.server.socket
        self.on_server_end = link.on_server_end
        self.on_over = on_over
        self.endings = Endings()
        self.over = False
        self.cut = False
        """It did not end by itself."""
        self.failure: Exception | None = None
        """The bug that ended it."""

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.client, self.server

    @property
    def outcome(self) -> How | Exception:
        """How it ended. There must have been an end."""
        return self.failure or (How.CUT if self.cut else self.endings.how)

    def send_first(self) -> None:
        """Sends what the kernel takes at once of the bytes read before. Not once the engine has the session.

        A client waits for them, and the engine's thread takes a while to come.
        """
        for side in self.sides:
            if side.rest is None:
                continue
            try:
                sent = side.socket.send(side.rest)
            except OSError:
                continue  # full or gone: the engine sees it for itself
            side.other.count(sent)
            side.rest = side.rest[sent:] if sent < len(side.rest) else None
            side.other.listening = side.rest is None

    def close(self) -> None:
        """Closes both sockets; unless the session ended in order, with a reset to whoever is still there."""
        self.traffic.server = None
        self.traffic.ended_at = monotonic()
        for side in self.sides:
            if not self.endings.orderly:
                reset_on_close(side.socket, True)
            side.socket.close()
        # Not left to the garbage collector, which would come late and stop everybody.
        del self.client.other, self.client.session, self.server.other, self.server.session
