"""The check of a MySQL or MariaDB server with a login, which tells its role.

The connection is made and the server's greeting awaited by trio, so that silence is told as exactly as
without a login, and a thread is needed only where there is somebody to talk to.
"""

from __future__ import annotations

import math
import os
import socket

import trio
from trio.socket import SocketType

from dbambassador.health.evidence import Evidence, Signal
from dbambassador.health.handshakes import (
    CONNECT_TIMEOUT,
    of_unanswered_dial,
    shake_hands_instead,
)
from dbambassador.health.mysql_session import Credentials, NoTls, of_error, talk
from dbambassador.health.password_file import Unreadable, read_password
from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed
from dbambassador.settings.schema import Login, Protocol
from dbambassador.transport.dial import describe, dial, reset_on_close
from dbambassador.transport.tcp_info import has_ended
from dbambassador.values import Address

REST_DELAY = 0.01
"""Seconds until the rest of a greeting is looked for that came in two pieces, which it hardly ever does."""

_threads = trio.CapacityLimiter(math.inf)
"""As many as there are addresses, each being checked once at a time."""

_without_tls: set[Address] = set()
"""Servers whose TLS is not ours (too old, perhaps): each attempt would be an aborted handshake there, and 100
in a row block this host."""


async def log_in(login: Login, address: Address) -> Evidence | None:
    """Logs in and asks for the role. It has no deadline but the connect's.

    Returns: the evidence; None if this host's own lack of resources prevented the check.

    Raises:
      Blocked: the server refuses this host; the message is the server's.
    """
    try:
        password = await read_password(login.password_file)
    except Unreadable as error:
        return await shake_hands_instead(Protocol.MYSQL, address, f"the check cannot log in: {error}")
    credentials = Credentials(login.user, password, login.database)
    try:
        return await _try(address, credentials)
    except NoTls:
        _without_tls.add(address)
        return await _try(address, credentials)


async def _try(address: Address, credentials: Credentials) -> Evidence | None:
    dialled = await dial(address, CONNECT_TIMEOUT)
    if dialled.socket is None:
        return of_unanswered_dial(address, dialled)
    with dialled.socket as connection:
        try:
            reset_on_close(connection, True)
            greeting = await _greeting(connection)
            reset_on_close(connection, False)
        except OSError as error:
            return Evidence(address, Signal.FAILED, describe(error))
        except Malformed as error:
            return Evidence(address, Signal.FAILED, str(error))
        if isinstance(greeting, mysql.ServerError):
            return of_error(address, greeting)
        return await _in_thread(connection, address, credentials, greeting.tls)


async def _greeting(connection: SocketType) -> mysql.Greeting | mysql.ServerError:
    """The server's greeting, which stays in the socket for PyMySQL.

    Raises:
      OSError, Malformed
    """
    data = b""
    while True:
        seen = len(data)
        complete = has_ended(connection)
        data = await connection.recv(mysql.LONGEST, socket.MSG_PEEK)
        packet = mysql.read_packet(data)
        if packet is not None:
            return mysql.read_greeting(packet.payload)
        if complete or not data:
            raise Malformed("connection closed before an answer")
        if len(data) == seen:
            await trio.sleep(REST_DELAY)


async def _in_thread(
    connection: SocketType, address: Address, credentials: Credentials, offers_tls: bool
) -> Evidence:
    """The thread has a descriptor of its own, so that none is closed while the other side uses it."""
    tls = offers_tls and address not in _without_tls
    own = socket.socket(fileno=os.dup(connection.fileno()))
    try:
        return await trio.to_thread.run_sync(
            talk, own, address, credentials, tls, abandon_on_cancel=True, limiter=_threads
        )
    except trio.Cancelled:
        try:
            connection.shutdown(socket.SHUT_RDWR)  # ends the thread, which waits for nothing else
        except OSError:
            pass
        raise
