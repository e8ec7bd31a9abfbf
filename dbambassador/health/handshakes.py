"""Checks of one address without credentials, each speaking its protocol in full.

A bare connect proves only that the kernel's backlog lives, and to MySQL it is an aborted handshake, of which
100 in a row block this host. What the servers log of these checks: PostgreSQL nothing with SCRAM or md5, one
"role does not exist" with trust; MySQL one access-denied warning at log_error_verbosity 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from dbambassador.health import mysql_stranger
from dbambassador.health.evidence import (
    ACCEPTS,
    Evidence,
    Signal,
    of_denied_login,
    of_failed_dial,
    of_failed_tls,
)
from dbambassador.health.peer import PROBE_USER, Peer
from dbambassador.protocols import postgresql
from dbambassador.protocols.malformed import Malformed
from dbambassador.settings.schema import Protocol
from dbambassador.transport.dial import Dialled, Outcome, broken, dial
from dbambassador.transport.tls_failures import TlsFailed
from dbambassador.transport.tls_stream import TlsStream, begin_postgresql_tls, begin_tls
from dbambassador.values import Address

CONNECT_TIMEOUT = 1.4
"""Seconds for the connect alone: the first SYN and its repetition, which Linux sends after 1 s (RFC 6298,
2.1), on a path of 200 ms. A busy server's kernel answers these at once; where none does, the host or the way
to it is gone."""

REFUSAL_PATIENCE = 0.2
"""Seconds for a server of an unknown protocol to end the connection as well, or to refuse our certificate."""


async def shake_hands(protocol: Protocol, peer: Peer) -> Evidence | None:
    """Checks a server as a stranger. It has no deadline but the connect's.

    Returns: the evidence; None if this host's own lack of resources prevented the check.

    Raises:
      Blocked: the server refuses this host; the message is the server's.
    """
    dialled = await dial(peer.address, CONNECT_TIMEOUT)
    if dialled.socket is None:
        return of_unanswered_dial(peer, dialled)
    return await converse(_CONVERSATIONS[protocol], trio.SocketStream(dialled.socket), peer)


async def shake_hands_instead(protocol: Protocol, peer: Peer, of_login: str) -> Evidence | None:
    """The same where a login was not possible; `of_login` says why, as `refused …`.

    A server that takes sessions has then denied it.
    """
    evidence = await shake_hands(protocol, peer)
    if evidence is None or evidence.signal is not Signal.ANSWERED:
        return evidence
    return of_denied_login(peer.address, of_login)


Converse = Callable[[trio.SocketStream, Peer], Awaitable[Evidence]]


async def converse(conversation: Converse, connection: trio.SocketStream, peer: Peer) -> Evidence:
    """Has a conversation with a server, whose connection this closes.

    Raises:
      Blocked
    """
    async with connection:
        try:
            return await conversation(connection, peer)
        except TlsFailed as failed:
            return of_failed_tls(peer.address, str(failed))
        except trio.BrokenResourceError as error:
            return Evidence(peer.address, Signal.FAILED, broken(error))
        except Malformed as error:
            return Evidence(peer.address, Signal.FAILED, str(error))


def of_unanswered_dial(peer: Peer, dialled: Dialled) -> Evidence | None:
    """The evidence in a check's dial that did not connect; None if the fault was this host's own."""
    if dialled.outcome is Outcome.REFUSED:  # a server that begins anew has nothing against us
        peer.refused.forget(peer.address)
    silent = dialled.outcome is Outcome.TIMED_OUT
    return of_failed_dial(peer.address, dialled, Signal.SILENT if silent else Signal.FAILED)


async def _ask_postgresql(connection: trio.SocketStream, peer: Peer) -> Evidence:
    if peer.encryption is None:
        return await _start_postgresql(connection, peer.address)
    try:
        encrypted = await begin_postgresql_tls(connection, peer.encryption, peer.name)
    except postgresql.NoProcess:  # without encryption it says so in an error, which is an answer as well
        return Evidence(peer.address, Signal.ANSWERED, ACCEPTS)
    async with encrypted:
        return await _start_postgresql(encrypted, peer.address)


async def _start_postgresql(connection: trio.SocketStream | TlsStream, address: Address) -> Evidence:
    """57P03 is raised before authentication, so any other answer means that sessions are taken.

    As libpq's PQping; https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQPINGPARAMS
    """
    await connection.send_all(postgresql.startup_message({"user": PROBE_USER, "database": "postgres"}))
    data = b""
    while (reply := postgresql.read_reply(data)) is None:
        heard = await connection.receive_some(4096)
        if not heard:
            raise Malformed("connection closed before an answer")
        data += heard
    kind, body = reply
    if kind == b"E":
        error = postgresql.read_error(body)
        if error.sqlstate == postgresql.CANNOT_CONNECT_NOW:
            return Evidence(address, Signal.NOT_READY, error.message)
    return Evidence(address, Signal.ANSWERED, ACCEPTS)


async def _ask_tcp(connection: trio.SocketStream, peer: Peer) -> Evidence:
    """Of an unknown protocol nothing more can be asked than the connection itself, and its TLS.

    With TLS 1.3 a server refuses the client's certificate when the handshake is over (RFC 8446, 4.4.2.4).
    """
    if peer.encryption is not None:
        async with await begin_tls(connection, peer.encryption.begin(peer.name)) as encrypted:
            await encrypted.send_eof()
            with trio.move_on_after(REFUSAL_PATIENCE):
                while await encrypted.receive_some():
                    pass
    return Evidence(peer.address, Signal.ANSWERED, ACCEPTS)


_CONVERSATIONS: dict[Protocol, Converse] = {
    Protocol.POSTGRESQL: _ask_postgresql,
    Protocol.MYSQL: mysql_stranger.ask,
    Protocol.TCP: _ask_tcp,
}
