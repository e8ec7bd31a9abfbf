"""The check of a MySQL or MariaDB server with a login, which tells its role.

The connection is made and the server's greeting awaited by trio, so that silence is told as exactly as
without a login, and a thread is needed only where there is somebody to talk to.
"""

from __future__ import annotations

import math
import os
import socket
import ssl

import trio
from trio.socket import SocketType

from dbambassador.health.evidence import Evidence, Signal, of_failed_tls
from dbambassador.health.handshakes import (
    CONNECT_TIMEOUT,
    converse,
    of_unanswered_dial,
    shake_hands,
    shake_hands_instead,
)
from dbambassador.health.mysql_session import Credentials, Server, of_error, talk
from dbambassador.health.mysql_stranger import ask
from dbambassador.health.password_file import Unreadable, read_password
from dbambassador.health.peer import Peer
from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed
from dbambassador.settings.schema import Login, Protocol
from dbambassador.transport.dial import describe, dial, reset_on_close
from dbambassador.transport.tcp_info import has_ended
from dbambassador.transport.tls import UNVERIFIED
from dbambassador.transport.tls_failures import TlsFailed, Untrusted

REST_DELAY = 0.01
"""Seconds until the rest of a greeting is looked for that came in two pieces, which it hardly ever does."""

_threads = trio.CapacityLimiter(math.inf)
"""As many as there are addresses, each being checked once at a time."""


async def log_in(login: Login, peer: Peer) -> Evidence | None:
    """Logs in and asks for the role. It has no deadline but the connect's.

    Returns: the evidence; None if this host's own lack of resources prevented the check.

    Raises:
      Blocked: the server refuses this host; the message is the server's.
    """
    try:
        password = await read_password(login.password_file)
    except Unreadable as error:
        return await shake_hands_instead(Protocol.MYSQL, peer, f"the check cannot log in: {error}")
    credentials = Credentials(login.user, password, login.database)
    if peer.encryption is not None:
        return await _try_encrypted(peer, peer.encryption.context, credentials)
    if peer.plain or peer.refused.look(peer.address, UNVERIFIED, trio.current_time()):
        return await _try(peer, None, credentials)
    try:
        return await _try(peer, UNVERIFIED, credentials)
    except TlsFailed as failed:  # too old, perhaps
        peer.refused.note(peer.address, str(failed), UNVERIFIED, untrusted=False, now=trio.current_time())
        return await _try(peer, None, credentials)


async def _try_encrypted(peer: Peer, trust: ssl.SSLContext, credentials: Credentials) -> Evidence | None:
    held_against = (trust, peer.name)
    if peer.refused.look(peer.address, held_against, trio.current_time()):
        return await shake_hands(Protocol.MYSQL, peer)
    try:
        evidence = await _try(peer, trust, credentials)
    except TlsFailed as failed:
        untrusted, now = isinstance(failed, Untrusted), trio.current_time()
        peer.refused.note(peer.address, str(failed), held_against, untrusted=untrusted, now=now)
        return of_failed_tls(peer.address, str(failed))
    if evidence is not None and evidence.signal is Signal.ANSWERED:
        peer.refused.forget(peer.address)
    return evidence


async def _try(peer: Peer, tls: ssl.SSLContext | None, credentials: Credentials) -> Evidence | None:
    """
    Args:
      tls: to be used where the server has it.

    Raises:
      TlsFailed: no TLS came about.
      Blocked
    """
    address = peer.address
    dialled = await dial(address, CONNECT_TIMEOUT)
    if dialled.socket is None:
        return of_unanswered_dial(peer, dialled)
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
        if peer.encryption is not None and not greeting.tls:
            return await converse(ask, trio.SocketStream(connection), peer)
        server = Server(address, peer.name, tls if greeting.tls else None)
        evidence = await _in_thread(connection, server, credentials)
    if evidence.signal is Signal.FAILED and peer.encryption is not None:
        # With TLS 1.3 a server refuses our certificate later, and PyMySQL finds the connection broken.
        told = await shake_hands(Protocol.MYSQL, peer)
        return evidence if told is None or told.signal is Signal.ANSWERED else told
    return evidence


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


async def _in_thread(connection: SocketType, server: Server, credentials: Credentials) -> Evidence:
    """The thread has a descriptor of its own, so that none is closed while the other side uses it."""
    own = socket.socket(fileno=os.dup(connection.fileno()))
    try:
        return await trio.to_thread.run_sync(
            talk, own, server, credentials, abandon_on_cancel=True, limiter=_threads
        )
    except trio.Cancelled:
        try:
            connection.shutdown(socket.SHUT_RDWR)  # ends the thread, which waits for nothing else
        except OSError:
            pass
        raise
