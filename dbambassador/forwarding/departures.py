"""Leaving a server in the middle of a session's opening, where it counts those who do.

The client is gone, or the choice is another one; the conversation goes on to its end with the server alone,
beside everything else, and holds nobody up.
"""

from __future__ import annotations

from typing import TypeVar

import trio
from trio.socket import SocketType

from dbambassador.events import SessionCrashed
from dbambassador.forwarding.conversation import Done, Party, Pending
from dbambassador.forwarding.conversing import finish
from dbambassador.forwarding.service import Service

T = TypeVar("T")

TIMEOUT = 3.0
"""Seconds, for which the end of the process waits as well. A server that hangs is reset then, and never sees
the connections that it had not accepted."""


async def depart(opening: Pending[T] | Done[T], server: SocketType, service: Service) -> None:
    """Ends an opening without its client.

    Resource handling: closes the server's socket.
    """
    with server, trio.move_on_after(TIMEOUT, shield=True):
        try:
            await finish(opening, {Party.SERVER: trio.SocketStream(server)})
        except Exception as bug:  # stays in its session
            service.publish(SessionCrashed(service.database.name, repr(bug)))
