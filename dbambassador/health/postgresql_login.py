"""The check of a PostgreSQL server with a login, which tells its role: libpq, driven by trio.

psycopg's own connect() would need a thread, gives up after 2 s at the earliest, and cannot tell a kernel that
is silent from a server that is slow. libpq's non-blocking interface below it, `psycopg.pq`, needs no thread,
ends at once when cancelled, and takes 0.3 instead of 0.6 ms of CPU time. With either, Python stands still
while libpq computes: 3 ms for SCRAM with 4096 iterations.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import psycopg
import trio
from psycopg import pq
from psycopg.conninfo import make_conninfo

from dbambassador.health.evidence import ACCEPTS, Evidence, Role, Signal
from dbambassador.health.handshakes import CONNECT_TIMEOUT, shake_hands, shake_hands_instead
from dbambassador.health.password_file import Unreadable, read_password
from dbambassador.health.peer import Peer
from dbambassador.settings.schema import SYSTEM_CAS, Login, Protocol
from dbambassador.transport.own_listeners import is_own
from dbambassador.transport.tls_files import system_authorities
from dbambassador.values import Address

# A setting of the check's own role or database says nothing of other sessions.
QUERY = b"""
SELECT pg_is_in_recovery(),
       setting = 'on' AND source <> ALL ('{database,user,database user,client}')
  FROM pg_settings WHERE name = 'default_transaction_read_only'
"""

_PROTOCOL = Protocol.POSTGRESQL

_NO_FILE = "/dev/null/none"
"""A path where nothing can be: otherwise libpq looks for a password in the home directory."""

_ATTEMPT = re.compile(r'connection to server at "[^"]*"(?: \([^)]*\))?, port \d+ failed: ')
"""What libpq puts before what the server said; the bundled one speaks only English."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A login that did not come to its end."""

    why: str
    after_password: bool
    """The server had asked for the password: not so with 57P03, which comes before."""


async def log_in(login: Login, peer: Peer) -> Evidence | None:
    """Logs in and asks for the role. It has no deadline but the connect's.

    libpq does not tell the SQLSTATE of a login that failed, so the handshake without credentials follows it,
    and tells what the server is up to, or what is wrong with its TLS. One that takes sessions may just have
    begun to: it is asked again, unless it spoke of the password.

    Returns: the evidence; None if this host's own lack of resources prevented the check.
    """
    try:
        password = await read_password(login.password_file)
    except Unreadable as error:
        return await shake_hands_instead(_PROTOCOL, peer, f"the check cannot log in: {error}")
    if is_own(peer.address):
        return await shake_hands(_PROTOCOL, peer)
    conninfo = _conninfo(login, peer, password)
    for _ in range(2):
        outcome = await _try(conninfo, peer.address)
        if isinstance(outcome, Evidence):
            return outcome
        evidence = await shake_hands_instead(_PROTOCOL, peer, f"refused the check's login: {outcome.why}")
        if evidence is None or not evidence.denied or outcome.after_password:
            break
    return evidence


def _conninfo(login: Login, peer: Peer, password: str) -> bytes:
    """https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS

    The password itself is sent only where TLS has verified who reads it; elsewhere only SCRAM and md5 do.
    """
    verified = peer.encryption is not None and peer.encryption.settings.verifies
    return make_conninfo(
        host=peer.name if peer.encryption is not None else peer.address.host,
        hostaddr=peer.address.host,
        port=peer.address.port,
        user=login.user,
        password=password,
        passfile=_NO_FILE,
        dbname=login.database or "postgres",
        application_name="dbambassador",
        require_auth="scram-sha-256,md5,none" + (",password" if verified else ""),
        gssencmode="disable",  # looks up Kerberos realms in DNS, which blocks
        target_session_attrs="any",
        **_tls(peer),
    ).encode()


def _tls(peer: Peer) -> dict[str, str]:
    """As the settings have it; without any, TLS is used where the server has it, against those who listen.

    libpq reads the files itself, for each check. Where none is named it would look in the home directory.
    """
    if peer.encryption is None:
        return {"sslmode": "disable" if peer.plain else "prefer", "sslcertmode": "disable"}
    tls = peer.encryption.settings
    return {
        "sslmode": tls.mode.value,
        "sslnegotiation": tls.negotiation.value,
        "sslrootcert": (system_authorities() if tls.rootcert == SYSTEM_CAS else tls.rootcert) or _NO_FILE,
        "sslcrl": _NO_FILE,
        **({"sslcert": tls.cert, "sslkey": tls.key} if tls.cert else {"sslcertmode": "disable"}),
    }


async def _try(conninfo: bytes, address: Address) -> Evidence | _Refusal:
    connection = pq.PGconn.connect_start(conninfo)
    try:
        with trio.move_on_after(CONNECT_TIMEOUT) as reaching:
            await _connect(connection, reaching)
            return Evidence(address, Signal.ANSWERED, ACCEPTS, await _role(connection))
        return Evidence(address, Signal.SILENT, f"no answer in {CONNECT_TIMEOUT:g} s")
    except psycopg.Error as error:
        return _Refusal(str(error), connection.used_password)
    finally:
        connection.finish()


async def _connect(connection: pq.abc.PGconn, reaching: trio.CancelScope) -> None:
    """https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNECTSTARTPARAMS

    `reaching` has no deadline any more once the server's kernel has answered.
    """
    step: int = pq.PollingStatus.WRITING
    while step != pq.PollingStatus.OK:
        if step == pq.PollingStatus.FAILED or connection.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(_message(connection.error_message))
        if step == pq.PollingStatus.READING:
            await trio.lowlevel.wait_readable(connection.socket)
        else:
            await trio.lowlevel.wait_writable(connection.socket)
        step = connection.connect_poll()
        if connection.status != pq.ConnStatus.STARTED:
            reaching.deadline = math.inf


async def _role(connection: pq.abc.PGconn) -> Role:
    connection.send_query(QUERY)
    while connection.is_busy():
        await trio.lowlevel.wait_readable(connection.socket)
        connection.consume_input()
    result = connection.get_result()
    if result is None or result.ntuples != 1:
        raise psycopg.OperationalError(_message(result.error_message) if result else "no answer to a query")
    if result.get_value(0, 0) == b"t":
        return Role.STANDBY
    return Role.READ_ONLY if result.get_value(0, 1) == b"t" else Role.PRIMARY


def _message(said: bytes) -> str:
    """The server's or libpq's own words; of two attempts, with TLS and without, those of the first."""
    return _ATTEMPT.split(said.decode("utf-8", "replace").strip())[:2][-1].removeprefix("FATAL:  ")
