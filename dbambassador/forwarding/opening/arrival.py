"""A client whose session has not begun, as far as it came in the relay engine's own thread."""

from __future__ import annotations

import socket
from time import monotonic

from dbambassador.forwarding.relayed import Relayed
from dbambassador.forwarding.wires.conversation import Ask, Heard, Party, Said
from dbambassador.forwarding.wires.wire import Greeted, Hello, Tried
from dbambassador.transport import dial
from dbambassador.transport.dial import Dialled
from dbambassador.values import Choice, Target

PATIENCE = 0.1
"""Seconds from a client's arrival until it is given up, to become a task of trio's, which has deadlines, a
vigil and somebody to tell."""


class Arrival:
    """A client whose session has not begun."""

    __slots__ = (
        "choice",
        "client",
        "dial_seconds",
        "greeting",
        "hello",
        "opening",
        "patience_ends",
        "relayed",
        "server",
        "since",
        "target",
        "unheard",
    )

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.since = monotonic()
        self.patience_ends = self.since + PATIENCE
        self.greeting: Said[Greeted] | None = None
        self.hello = Hello()
        self.choice: Choice | None = None
        """Set from here on once it is dialled."""
        self.target: Target
        self.relayed: Relayed
        self.server: socket.socket | Dialled | None = None
        self.dial_seconds: float | None = None
        """Set once it is connected."""
        self.opening: Said[Tried] | None = None
        self.unheard: set[Party] = set()
        """Who may have said something that nobody asked for yet."""

    @property
    def age(self) -> float:
        """Seconds since it was dialled, or else since it came."""
        return monotonic() - self.since

    @property
    def sides(self) -> list[socket.socket]:
        """Its sockets."""
        return [side for side in (self.client, self.server) if isinstance(side, socket.socket)]

    def hear(self, side: socket.socket, ask: Ask) -> Heard | None:
        """What this side of it answers; None: nothing yet."""
        self.unheard.discard(ask.party)
        try:
            heard = Heard(side.recv(ask.limit))
        except BlockingIOError:
            return None
        except OSError as error:
            return Heard(b"", dial.describe(error))
        if len(heard.data) == ask.limit:
            self.unheard.add(ask.party)  # there may be more, of which no event will tell
        return heard
