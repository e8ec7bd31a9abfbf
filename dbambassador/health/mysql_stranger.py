"""The check of a MySQL or MariaDB server without a login: a whole handshake of a user that it does not know.

Access denied is not counted against this host; a handshake that is left half-way is, and so is one whose TLS
fails (`refused_tls`). A server whose TLS is refused hears the rest of its handshake all the same: nothing in
it is secret.
"""

from __future__ import annotations

import trio

from dbambassador.health.evidence import ACCEPTS, Blocked, Evidence, Signal, of_denied_login, of_failed_tls
from dbambassador.health.peer import PROBE_USER, Peer
from dbambassador.protocols import mysql
from dbambassador.protocols import mysql_authentication as authentication
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.mysql_authentication import Kind
from dbambassador.transport.dial import reset_on_close
from dbambassador.transport.tls import UNVERIFIED, TlsEnd
from dbambassador.transport.tls_failures import NO_TLS, TlsFailed, Untrusted
from dbambassador.transport.tls_files import Encryption
from dbambassador.transport.tls_stream import TlsStream, begin_tls

PATIENCE = 0.5
"""Seconds for a server that has greeted to turn an unknown user away. MySQL's connection_control, which
security benchmarks ask for, waits 1 s with the fourth refusal and 1 s longer with each one after it."""


_NOT_READY_ERRORS = frozenset({mysql.SERVER_SHUTDOWN, mysql.OFFLINE_MODE, mysql.NOT_PREPARED})


async def ask(connection: trio.SocketStream, peer: Peer) -> Evidence:
    """
    Raises:
      Blocked: the server refuses this host.
      Malformed, TlsFailed, trio.BrokenResourceError
    """
    reset_on_close(connection, True)
    first = await _packet(connection, b"")
    reset_on_close(connection, False)
    greeting = mysql.read_greeting(first.payload)
    if isinstance(greeting, mysql.ServerError):
        return _of_error(peer, greeting)
    if peer.encryption is None:
        return await _introduce(connection, peer, greeting, said=first.rest)
    if not greeting.tls:
        return _failed(await _introduce(connection, peer, greeting), peer, NO_TLS)
    return await _ask_encrypted(connection, peer, greeting, peer.encryption)


async def _ask_encrypted(
    connection: trio.SocketStream, peer: Peer, greeting: mysql.Greeting, encryption: Encryption
) -> Evidence:
    trust, now = encryption.context, trio.current_time()
    held_against = (trust, peer.name)
    refusal = peer.refused.look(peer.address, held_against, now)
    tls: TlsEnd | None = None
    try:
        if refusal is None:
            tls = TlsEnd(trust, peer.name)
        elif refusal.untrusted:
            tls = TlsEnd(UNVERIFIED, peer.name)
        evidence = await _introduce(connection, peer, greeting, tls)
    except TlsFailed as failed:
        untrusted = isinstance(failed, Untrusted)
        peer.refused.note(peer.address, str(failed), held_against, untrusted=untrusted, now=now)
        raise
    if refusal is None:
        peer.refused.forget(peer.address)
        return evidence
    if tls is not None:
        peer.refused.see(peer.address, tls.certificates)
    return _failed(evidence, peer, refusal.why)


async def _introduce(
    connection: trio.SocketStream,
    peer: Peer,
    greeting: mysql.Greeting,
    tls: TlsEnd | None = None,
    said: bytes = b"",
) -> Evidence:
    """Goes on with the handshake behind the greeting, with TLS or without.

    Args:
      said: what the server said behind its greeting; with TLS, anybody may have said it.
    """
    if tls is None:
        await connection.send_all(mysql.handshake_response(PROBE_USER, greeting.plugin))
        return await _be_turned_away(connection, peer, greeting.plugin, said)
    await connection.send_all(mysql.tls_request())
    async with await begin_tls(connection, tls) as encrypted:
        await encrypted.send_all(mysql.handshake_response(PROBE_USER, greeting.plugin, tls=True))
        return await _be_turned_away(encrypted, peer, greeting.plugin)


async def _be_turned_away(
    connection: trio.SocketStream | TlsStream, peer: Peer, plugin: str, said: bytes = b""
) -> Evidence:
    """Answers wrongly whatever is asked, up to the verdict: who leaves before that is counted.

    MariaDB asks a user that it does not know as it would ask some other one, whose plugin may be any.
    """
    with trio.move_on_after(PATIENCE):
        for _ in range(authentication.MOST_WRONG_ANSWERS):
            reply = await _packet(connection, said)
            said, step = reply.rest, authentication.read_step(reply.payload)
            if step.kind is Kind.ERROR:
                return _of_error(peer, mysql.read_error(reply.payload))
            if step.kind is Kind.OK:
                await connection.send_all(mysql.QUIT)
                break
            if step.kind is Kind.SWITCH:
                plugin = step.plugin
            if not authentication.more_follows(step, plugin):
                answer = authentication.wrong_answer(plugin)
                await connection.send_all(mysql.packet(reply.sequence + 1, answer))
        return Evidence(peer.address, Signal.ANSWERED, ACCEPTS)
    return of_denied_login(
        peer.address, "keeps strangers waiting (connection_control?): give its check a user"
    )


def read_refusal(error: mysql.ServerError) -> Signal:
    """What a server's error says of the server itself; most are the client's own fault.

    Raises:
      Blocked: the server refuses this host.
    """
    if error.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
        raise Blocked(error.message)
    return Signal.NOT_READY if error.code in _NOT_READY_ERRORS else Signal.ANSWERED


def _of_error(peer: Peer, error: mysql.ServerError) -> Evidence:
    signal = read_refusal(error)
    return Evidence(peer.address, signal, ACCEPTS if signal is Signal.ANSWERED else error.message)


def _failed(evidence: Evidence, peer: Peer, why: str) -> Evidence:
    """The evidence of a server that would take sessions, had it the right TLS."""
    if evidence.signal is not Signal.ANSWERED:
        return evidence
    return of_failed_tls(peer.address, why)


async def _packet(connection: trio.SocketStream | TlsStream, data: bytes) -> mysql.Packet:
    while (packet := mysql.read_packet(data)) is None:
        heard = await connection.receive_some(4096)
        if not heard:
            raise Malformed("connection closed before an answer")
        data += heard
    return packet
