"""Leaving a server in the middle of a session's opening, where it counts those who do.

The client is gone, or the choice is another one; the conversation goes on to its end with the server alone,
beside everything else, and holds nobody up.
"""

from __future__ import annotations

from typing import TypeVar

import trio
from trio.socket import SocketType

from dbambassador.events import SessionCrashed
from dbambassador.forwarding.opening.conversing import finish
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.wires.conversation import Party, Said

T = TypeVar("T")

TIMEOUT = 3.0
"""Seconds, for which the end of the process waits as well. A server that hangs is reset then, and never sees
the connections that it had not accepted."""


class Departures:
    """Those of one database.

    Each counts as a client until it has ended: it still has a connection at its server and a descriptor here.
    """

    def __init__(self, service: Service, nursery: trio.Nursery) -> None:
        """The nursery has a task for each."""
        self._service = service
        self._nursery = nursery

    def begin(self, opening: Said[T], server: SocketType) -> None:
        """Ends an opening without its client. The server's socket is closed in the end."""
        self._service.limit.clients += 1
        self._nursery.start_soon(
            self._depart, opening, server, name=f"{self._service.database.name}: departure"
        )

    async def _depart(self, opening: Said[T], server: SocketType) -> None:
        with server, trio.move_on_after(TIMEOUT, shield=True):
            try:
                await finish(opening, {Party.SERVER: trio.SocketStream(server)})
            except Exception as bug:  # stays in its session
                self._service.publish(SessionCrashed(self._service.database.name, repr(bug)))
            finally:
                self._service.limit.clients -= 1
