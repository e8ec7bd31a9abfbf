"""Cancel requests on their way to the server that runs the query."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from dbambassador.forwarding.wire import Cancel
from dbambassador.transport.dial import dial
from dbambassador.values import Address

CANCEL_TIMEOUT = 10.0
"""Seconds for a server to take a cancel request; it closes as soon as it has sent the signal."""


async def forward(cancel: Cancel, addresses: Iterable[Address]) -> None:
    """Gives the request to each of the servers, and returns when all have taken it or cannot.

    To a server that did not give the key it means nothing.
    """
    with trio.move_on_after(CANCEL_TIMEOUT):
        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(_forward_to, cancel, address)


async def _forward_to(cancel: Cancel, address: Address) -> None:
    dialled = await dial(address)
    if dialled.socket is None:
        return
    async with trio.SocketStream(dialled.socket) as server:
        try:
            await server.send_all(cancel.packet)
            await server.receive_some(1)
        except trio.BrokenResourceError:
            pass
