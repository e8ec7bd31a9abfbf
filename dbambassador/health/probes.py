"""The checks of one database's addresses, as its settings have them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from dbambassador.health.evidence import Blocked, Evidence, Signal, of_denied_login
from dbambassador.health.handshakes import shake_hands
from dbambassador.health.http_check import ask_beside
from dbambassador.health.peer import Peer
from dbambassador.health.refused_tls import RefusedTls
from dbambassador.settings.schema import Database, Login, Protocol
from dbambassador.transport.tls_files import Encryption
from dbambassador.values import Address

__all__ = ["PROBE_TIMEOUT", "Blocked", "Prober"]

PROBE_TIMEOUT = 2.0
"""Seconds for a whole check: eight round trips of 200 ms (TCP, TLS, SCRAM, a query), and a loaded server's
fork."""

LOGIN_TIMEOUT = 1.3
"""Seconds of them for a login where the last one was denied: servers make those wait who come again."""

_LogIn = Callable[[Login, Peer], Awaitable[Evidence | None]]

_logins: dict[Protocol, _LogIn] = {}
"""Those whose driver is imported."""


class Prober:
    """Checks the addresses of one database."""

    def __init__(self, database: Database, encryption: Encryption | None = None) -> None:
        """`encryption`: the one that its sessions have as well."""
        self._database = database
        self._encryption = encryption
        self._plain = database.tls is not None and not database.tls.encrypts
        self._refused = RefusedTls()

    async def probe(self, address: Address, name: str, *, denied: bool = False) -> Evidence | None:
        """Checks an address once.

        Args:
          name: of its host, which its certificate is to have.
          denied: it denied the last login.

        Returns: the evidence; None if this host's own lack of resources prevented the check.

        Raises:
          Blocked: the server refuses this host; the message is the server's.
        """
        database, check = self._database, self._database.check
        peer = Peer(address, name, self._encryption, self._plain, self._refused)
        if check.login is not None and database.protocol not in _logins:
            # A driver's import takes seconds at a tenth of a CPU: no part of a check, and not on this thread.
            _logins[database.protocol] = await trio.to_thread.run_sync(_IMPORTS[database.protocol])
        evidence: Evidence | None = Evidence(address, Signal.SILENT, f"no answer in {PROBE_TIMEOUT:g} s")
        with trio.move_on_after(PROBE_TIMEOUT):
            if check.login is not None:
                evidence = await _as_user(database.protocol, check.login, peer, denied)
            elif check.http is not None:
                evidence = await ask_beside(check.http, database.target_session_attrs, peer)
            else:
                evidence = await shake_hands(database.protocol, peer)
        return evidence


async def _as_user(protocol: Protocol, login: Login, peer: Peer, denied: bool) -> Evidence | None:
    """With a login, whose failure alone condemns no server.

    Those that delay the refusal of logins (PostgreSQL's auth_delay, MySQL's connection_control, which waits
    longer each time) would fall silent for want of the right password.
    """
    log_in = _logins[protocol]
    if not denied:
        return await log_in(login, peer)
    evidence = await shake_hands(protocol, peer)
    if evidence is None or evidence.signal is not Signal.ANSWERED:
        return evidence
    with trio.move_on_after(LOGIN_TIMEOUT):
        return await log_in(login, peer)
    return of_denied_login(peer.address, f"gave the check's login no answer in {LOGIN_TIMEOUT:g} s")


def _import_postgresql() -> _LogIn:
    from dbambassador.health.postgresql_login import log_in

    return log_in


def _import_mysql() -> _LogIn:
    from dbambassador.health.mysql_login import log_in

    return log_in


_IMPORTS: dict[Protocol, Callable[[], _LogIn]] = {
    Protocol.POSTGRESQL: _import_postgresql,
    Protocol.MYSQL: _import_mysql,
}
