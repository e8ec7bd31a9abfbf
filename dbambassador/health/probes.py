"""Checks of one address without credentials, each speaking its protocol in full.

A bare connect proves only that the kernel's backlog lives, and to MySQL it is an aborted handshake, of which
100 in a row block this host. What the servers log of these checks: PostgreSQL nothing with SCRAM or md5, one
"role does not exist" with trust; MySQL one access-denied warning at log_error_verbosity 3.
"""

from __future__ import annotations

import trio

from dbambassador.health.evidence import Evidence, Signal, of_failed_dial
from dbambassador.protocols import mysql, postgresql
from dbambassador.protocols.malformed import Malformed
from dbambassador.settings.schema import Protocol
from dbambassador.transport.dial import Outcome, broken, dial
from dbambassador.values import Address

PROBE_TIMEOUT = 2.0
"""Seconds for a whole check: four round trips of 200 ms and a loaded server's fork."""

PROBE_USER = "dbambassador_probe"
"""A user that need not exist, and never an application's: its failed logins may be counted."""

_ANSWERED, _NOT_READY, _FAILED = Signal.ANSWERED, Signal.NOT_READY, Signal.FAILED


class Blocked(Exception):
    """The server refuses this host as such (MySQL 1129, 1130): another check would not help."""


async def probe(protocol: Protocol, address: Address) -> Evidence | None:
    """Checks an address once.

    Returns: the evidence; None if this host's own lack of resources prevented the check.

    Raises:
      Blocked: the server refuses this host; the message is the server's.
    """
    evidence = Evidence(address, Signal.SILENT, f"no answer in {PROBE_TIMEOUT:g} s")
    with trio.move_on_after(PROBE_TIMEOUT):
        dialled = await dial(address, PROBE_TIMEOUT)
        if dialled.socket is None:
            silent = dialled.outcome is Outcome.TIMED_OUT
            return of_failed_dial(address, dialled, Signal.SILENT if silent else _FAILED)
        async with trio.SocketStream(dialled.socket) as connection:
            try:
                signal, detail = await _CONVERSATIONS[protocol](connection)
            except trio.BrokenResourceError as error:
                signal, detail = _FAILED, broken(error)
            except Malformed as error:
                signal, detail = _FAILED, str(error)
            evidence = Evidence(address, signal, detail)
    return evidence


async def _ask_postgresql(connection: trio.SocketStream) -> tuple[Signal, str]:
    """57P03 is raised before authentication, so any other answer means that sessions are taken.

    As libpq's PQping; https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQPINGPARAMS
    """
    await connection.send_all(postgresql.startup_message({"user": PROBE_USER, "database": "postgres"}))
    data = b""
    while (reply := postgresql.read_reply(data)) is None:
        data += await _receive(connection)
    kind, body = reply
    if kind != b"E":
        return _ANSWERED, "accepts connections"
    error = postgresql.read_error(body)
    if error.sqlstate == postgresql.CANNOT_CONNECT_NOW:
        return _NOT_READY, error.message
    return _ANSWERED, "accepts connections"


async def _ask_mysql(connection: trio.SocketStream) -> tuple[Signal, str]:
    """Completes the handshake with an unknown user: access denied is not counted against this host."""
    data = b""
    first, data = await _mysql_packet(connection, data)
    greeting = mysql.read_greeting(first.payload)
    if isinstance(greeting, mysql.ServerError):
        return _judge_mysql_error(greeting)
    await connection.send_all(mysql.handshake_response(PROBE_USER, greeting.plugin))
    reply, data = await _mysql_packet(connection, data)
    if reply.payload[:1] == b"\xfe":  # AuthSwitchRequest: leaving it unanswered would be counted
        await connection.send_all(mysql.empty_password(reply.sequence + 1))
        reply, data = await _mysql_packet(connection, data)
    if reply.payload[:1] == b"\xff":
        return _judge_mysql_error(mysql.read_error(reply.payload))
    if reply.payload[:1] == b"\0":
        await connection.send_all(mysql.QUIT)
    return _ANSWERED, "accepts connections"


def _judge_mysql_error(error: mysql.ServerError) -> tuple[Signal, str]:
    if error.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
        raise Blocked(error.message)
    if error.code == mysql.SERVER_SHUTDOWN:
        return _NOT_READY, error.message
    return _ANSWERED, "accepts connections"


async def _mysql_packet(connection: trio.SocketStream, data: bytes) -> tuple[mysql.Packet, bytes]:
    while (packet := mysql.read_packet(data)) is None:
        data += await _receive(connection)
    return packet, packet.rest


async def _ask_tcp(connection: trio.SocketStream) -> tuple[Signal, str]:
    """Of an unknown protocol nothing more can be asked than the connection itself."""
    return _ANSWERED, "accepts connections"


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
