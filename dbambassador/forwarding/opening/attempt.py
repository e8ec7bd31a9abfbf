"""One try at a server on behalf of a client: what it holds, and what is left of it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from trio.socket import SocketType

from dbambassador.forwarding.relayed import Relayed
from dbambassador.forwarding.sessions.ledger import Lease
from dbambassador.forwarding.wires.conversation import Said
from dbambassador.forwarding.wires.wire import Tried
from dbambassador.transport.dial import Dialled
from dbambassador.values import Choice, Target


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt ended before the client saw anything: another decision is wanted."""

    failed: bool = False
    """At its server; otherwise the decision it followed was overtaken."""
    unfit: bool = False
    """Its server is of the wrong role."""
    why: str = ""


Depart = Callable[[Said[Tried], SocketType], None]
"""Goes on with an opening that has lost its client; see `departures`. The socket is its own."""


@dataclass(slots=True)
class Attempt:
    """One try at one of the chosen addresses, as far as it came."""

    choice: Choice
    target: Target
    relayed: Relayed
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    lease: Lease | None = None
    begun: socket.socket | Dialled | None = None
    """Its dial."""
    opening: Said[Tried] | None = None
    """What was said since, before this attempt was ours."""

    def take_begun(self) -> socket.socket | Dialled | None:
        """Its dial, which is the caller's from now on."""
        begun, self.begun = self.begun, None
        return begun

    def abandon(self, depart: Depart | None) -> None:
        """Leaves what nobody has taken."""
        begun = self.take_begun()
        connection = begun.socket if isinstance(begun, Dialled) else begun
        if connection is None:
            return
        if depart is not None and self.opening is not None and isinstance(connection, SocketType):
            depart(self.opening, connection)
        else:
            connection.close()
