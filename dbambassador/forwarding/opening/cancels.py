"""Cancel requests on their way to the server that runs the query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import trio

from dbambassador.forwarding.wires.wire import Cancel
from dbambassador.protocols.malformed import Malformed
from dbambassador.transport.dial import dial
from dbambassador.transport.tls_failures import TlsFailed
from dbambassador.transport.tls_files import Encryption
from dbambassador.transport.tls_stream import begin_postgresql_tls
from dbambassador.values import Address

CANCEL_TIMEOUT = 10.0
"""Seconds for a server to take a cancel request; it closes as soon as it has sent the signal."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A server that may know the session."""

    address: Address
    name: str
    """Of its host."""
    encryption: Encryption | None
    """Its side is encrypted here: who reads the key can cancel as well."""


async def forward(cancel: Cancel, servers: Iterable[Recipient]) -> None:
    """Gives the request to each of the servers, and returns when all have taken it or cannot.

    To a server that did not give the key it means nothing. One whose TLS fails does not get to see it.
    """
    with trio.move_on_after(CANCEL_TIMEOUT):
        async with trio.open_nursery() as nursery:
            for recipient in servers:
                nursery.start_soon(_forward_to, cancel, recipient)


async def _forward_to(cancel: Cancel, recipient: Recipient) -> None:
    dialled = await dial(recipient.address)
    if dialled.socket is None:
        return
    async with trio.SocketStream(dialled.socket) as server:
        try:
            encryption = recipient.encryption
            if encryption is None:
                await server.send_all(cancel.packet)
                await server.receive_some(1)
            else:
                async with await begin_postgresql_tls(server, encryption, recipient.name) as encrypted:
                    await encrypted.send_all(cancel.packet)
                    await encrypted.receive_some(1)
        except (trio.BrokenResourceError, TlsFailed, Malformed):
            pass
