"""Checks of one address without credentials, each speaking its protocol in full.

A bare connect proves only that the kernel's backlog lives, and to MySQL it is an aborted handshake, of which
100 in a row block this host. What the servers log of these checks: PostgreSQL nothing with SCRAM or md5, one
"role does not exist" with trust; MySQL one access-denied warning at log_error_verbosity 3.
"""

from __future__ import annotations

import trio

from dbambassador.health.evidence import Evidence, Signal, of_denied_login, of_failed_dial
from dbambassador.protocols import mysql, postgresql
from dbambassador.protocols.malformed import Malformed
from dbambassador.settings.schema import Protocol
from dbambassador.transport.dial import Dialled, Outcome, broken, dial, reset_on_close
from dbambassador.values import Address

CONNECT_TIMEOUT = 1.4
"""Seconds for the connect alone: the first SYN and its repetition, which Linux sends after 1 s (RFC 6298,
2.1), on a path of 200 ms. A busy server's kernel answers these at once; where none does, the host or the way
to it is gone."""

PROBE_USER = "dbambassador_probe"
"""A user that need not exist, and never an application's: its failed logins may be counted."""

STRANGERS_PATIENCE = 0.5
"""Seconds for a MySQL server that has greeted to turn an unknown user away. MySQL's connection_control, which
security benchmarks ask for, waits 1 s with the fourth refusal and 1 s longer with each one after it."""

ACCEPTS = "accepts connections"

_NOT_READY_ERRORS = frozenset({mysql.SERVER_SHUTDOWN, mysql.OFFLINE_MODE, mysql.NOT_PREPARED})


class Blocked(Exception):
    """The server refuses this host as such (MySQL 1129, 1130): another check would not help."""


async def shake_hands(protocol: Protocol, address: Address) -> Evidence | None:
    """Checks an address as a stranger. It has no deadline but the connect's.

    Returns: the evidence; None if this host's own lack of resources prevented the check.

    Raises:
      Blocked: the server refuses this host; the message is the server's.
    """
    dialled = await dial(address, CONNECT_TIMEOUT)
    if dialled.socket is None:
        return of_unanswered_dial(address, dialled)
    async with trio.SocketStream(dialled.socket) as connection:
        try:
            return await _CONVERSATIONS[protocol](connection, address)
        except trio.BrokenResourceError as error:
            return Evidence(address, Signal.FAILED, broken(error))
        except Malformed as error:
            return Evidence(address, Signal.FAILED, str(error))


async def shake_hands_instead(protocol: Protocol, address: Address, of_login: str) -> Evidence | None:
    """The same where a login was not possible; `of_login` says why, as `refused …`.

    A server that takes sessions has then denied it.
    """
    evidence = await shake_hands(protocol, address)
    if evidence is None or evidence.signal is not Signal.ANSWERED:
        return evidence
    return of_denied_login(address, of_login)


def of_unanswered_dial(address: Address, dialled: Dialled) -> Evidence | None:
    """The evidence in a check's dial that did not connect; None if the fault was this host's own."""
    silent = dialled.outcome is Outcome.TIMED_OUT
    return of_failed_dial(address, dialled, Signal.SILENT if silent else Signal.FAILED)


def read_mysql_refusal(error: mysql.ServerError) -> Signal:
    """What a MySQL server's error says of the server itself; most are the client's own fault.

    Raises:
      Blocked: the server refuses this host.
    """
    if error.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
        raise Blocked(error.message)
    return Signal.NOT_READY if error.code in _NOT_READY_ERRORS else Signal.ANSWERED


async def _ask_postgresql(connection: trio.SocketStream, address: Address) -> Evidence:
    """57P03 is raised before authentication, so any other answer means that sessions are taken.

    As libpq's PQping; https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQPINGPARAMS
    """
    await connection.send_all(postgresql.startup_message({"user": PROBE_USER, "database": "postgres"}))
    data = b""
    while (reply := postgresql.read_reply(data)) is None:
        data += await _receive(connection)
    kind, body = reply
    if kind == b"E":
        error = postgresql.read_error(body)
        if error.sqlstate == postgresql.CANNOT_CONNECT_NOW:
            return Evidence(address, Signal.NOT_READY, error.message)
    return Evidence(address, Signal.ANSWERED, ACCEPTS)


async def _ask_mysql(connection: trio.SocketStream, address: Address) -> Evidence:
    """Completes the handshake with an unknown user: access denied is not counted against this host."""
    reset_on_close(connection, True)
    first, data = await _mysql_packet(connection, b"")
    reset_on_close(connection, False)
    greeting = mysql.read_greeting(first.payload)
    if isinstance(greeting, mysql.ServerError):
        return _of_mysql_error(address, greeting)
    with trio.move_on_after(STRANGERS_PATIENCE):
        return await _introduce(connection, address, greeting, data)
    return of_denied_login(address, "keeps strangers waiting (connection_control?): give its check a user")


async def _introduce(
    connection: trio.SocketStream, address: Address, greeting: mysql.Greeting, data: bytes
) -> Evidence:
    await connection.send_all(mysql.handshake_response(PROBE_USER, greeting.plugin))
    reply, data = await _mysql_packet(connection, data)
    if reply.payload[:1] == b"\xfe":  # AuthSwitchRequest: leaving it unanswered would be counted
        await connection.send_all(mysql.empty_password(reply.sequence + 1))
        reply, data = await _mysql_packet(connection, data)
    if reply.payload[:1] == b"\xff":
        return _of_mysql_error(address, mysql.read_error(reply.payload))
    if reply.payload[:1] == b"\0":
        await connection.send_all(mysql.QUIT)
    return Evidence(address, Signal.ANSWERED, ACCEPTS)


def _of_mysql_error(address: Address, error: mysql.ServerError) -> Evidence:
    signal = read_mysql_refusal(error)
    return Evidence(address, signal, ACCEPTS if signal is Signal.ANSWERED else error.message)


async def _mysql_packet(connection: trio.SocketStream, data: bytes) -> tuple[mysql.Packet, bytes]:
    while (packet := mysql.read_packet(data)) is None:
        data += await _receive(connection)
    return packet, packet.rest


async def _ask_tcp(connection: trio.SocketStream, address: Address) -> Evidence:
    """Of an unknown protocol nothing more can be asked than the connection itself."""
    return Evidence(address, Signal.ANSWERED, ACCEPTS)


_CONVERSATIONS = {
    Protocol.POSTGRESQL: _ask_postgresql,
    Protocol.MYSQL: _ask_mysql,
    Protocol.TCP: _ask_tcp,
}


async def _receive(connection: trio.SocketStream) -> bytes:
    data = await connection.receive_some(4096)
    if not data:
        raise Malformed("connection closed before an answer")
    return bytes(data)
