"""One session of a check with a MySQL or MariaDB server: PyMySQL, which blocks, for a thread of its own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, cast

import pymysql

from dbambassador.health.evidence import ACCEPTS, Evidence, Role, Signal, of_denied_login
from dbambassador.health.mysql_stranger import read_refusal
from dbambassador.protocols import mysql
from dbambassador.transport.tls_failures import TlsFailed, failure, shown
from dbambassador.values import Address

WAIT = 5.0
"""Seconds for each wait: only a guard, as the end of a check shuts its connection down."""

_ANSWERED_BY_HASH = {"", "mysql_native_password"}
_ANSWERED_IF_TRUSTED = {"caching_sha2_password", "sha256_password", "mysql_clear_password"}
"""Plugins that want the password itself, or have it encrypted by a key that anybody may have sent."""
if find_spec("nacl") is not None:  # pip install PyMySQL[ed25519]
    _ANSWERED_BY_HASH.add("client_ed25519")

_FAST_AUTH_SUCCESS = b"\1\3"
"""caching_sha2_password knew the hash; an OK packet follows."""

_WRONG = bytes(64)
"""No password, no key's cipher, and as long as an ed25519 signature: a shorter one is an aborted handshake
(plugin/auth_ed25519/server_ed25519.c)."""

_PYMYSQLS_OWN = range(2000, 3000)
"""Error numbers of clients: https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html"""

_VARIABLES = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN "
    "('read_only', 'innodb_read_only', 'offline_mode', 'wsrep_on', 'group_replication_group_name')"
)
_GALERA = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN "
    "('wsrep_ready', 'wsrep_local_state', 'wsrep_local_state_comment')"
)
_MEMBER = (
    "SELECT MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members "
    "WHERE MEMBER_ID = @@server_uuid"
)
_SYNCED = "4"
"""https://galeracluster.com/library/documentation/galera-status-variables.html#wsrep-local-state"""


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str = field(repr=False)
    database: str


@dataclass(frozen=True, slots=True)
class Server:
    """With whom a session is."""

    address: Address
    name: str
    """As its certificate is to have it."""
    tls: ssl.SSLContext | None
    """None: without TLS."""

    @property
    def trusted(self) -> bool:
        """It may read the password itself: its certificate is verified."""
        return self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED


def talk(connection: socket.socket, server: Server, credentials: Credentials) -> Evidence:
    """Logs in on a connection whose greeting is unread, asks for the role, and leaves as MySQL wants it.

    Resources: the connection is closed at the end. It blocks until the server answers or `connection` is shut
    down.

    Raises:
      Blocked: the server refuses this host.
      TlsFailed: no TLS came about.
    """
    plugins = _Plugins(server.trusted)
    with closing(connection):
        try:
            with _session(server, credentials, plugins) as session:
                session.connect(connection)
                return _look(session, server.address)
        except pymysql.MySQLError as error:
            return _of_exception(server, error, plugins)
        except TlsFailed:
            raise
        except Exception as error:  # whatever garbled packets make of PyMySQL's parser
            why = f"not understood: {type(error).__name__}: {error}"
            return Evidence(server.address, Signal.FAILED, why)


def _session(server: Server, credentials: Credentials, plugins: _Plugins) -> pymysql.Connection[Any]:
    session = pymysql.Connection(
        host=server.name,  # only TLS asks for it, as the connection is made
        port=server.address.port,
        user=credentials.user,
        password=credentials.password.encode(),  # of text PyMySQL knows only Latin-1
        database=credentials.database or None,
        defer_connect=True,
        autocommit=None,  # the server's own, which costs no statement
        read_timeout=WAIT,
        write_timeout=WAIT,
        program_name="dbambassador",
        ssl=server.tls,
        ssl_disabled=server.tls is None,
        auth_plugin_map=cast("dict[str, Callable[[Any], Any]]", plugins),  # only its `get` is used
    )
    if server.tls is not None:
        session.ctx = _Handshake(server.tls)  # type: ignore[attr-defined]
    return session


def of_error(address: Address, error: mysql.ServerError) -> Evidence:
    """The evidence in an error of the server's.

    Raises:
      Blocked: the server refuses this host.
    """
    if read_refusal(error) is Signal.NOT_READY:
        return Evidence(address, Signal.NOT_READY, error.message)
    return of_denied_login(address, f"refused the check's login: {error.message}")


def _of_exception(server: Server, error: pymysql.MySQLError, plugins: _Plugins) -> Evidence:
    code, message = error.args if len(error.args) == 2 else (0, str(error))
    if not isinstance(code, int) or code == 0 or code in _PYMYSQLS_OWN:
        cause = error.__context__  # of the handshake, or of what the server says of it afterwards
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            raise failure(cause, server.name)
        return Evidence(server.address, Signal.FAILED, str(message))
    if plugins.withheld:
        message = f"{message} (no password for the plugin {plugins.withheld})"
    return of_error(server.address, mysql.ServerError(code, str(message)))


def _look(session: pymysql.Connection[Any], address: Address) -> Evidence:
    variables = _named(session, _VARIABLES)
    if variables.get("offline_mode") == "ON":
        return Evidence(address, Signal.NOT_READY, "in offline mode")
    if variables.get("wsrep_on") == "ON":
        node = _named(session, _GALERA)
        if node.get("wsrep_ready") != "ON" or node.get("wsrep_local_state") != _SYNCED:
            state = node.get("wsrep_local_state_comment", "unknown")
            return Evidence(address, Signal.NOT_READY, f"its Galera node is not synced: {state}")
    member_role = ""
    if variables.get("group_replication_group_name"):
        member_state, member_role = _member(session)
        if member_state not in ("", "ONLINE"):
            return Evidence(address, Signal.NOT_READY, f"its member of the group is {member_state}")
    # super_read_only includes read_only; Aurora's readers have just innodb_read_only.
    writable = all(variables.get(name, "OFF") == "OFF" for name in ("read_only", "innodb_read_only"))
    role = Role.PRIMARY if writable and member_role != "SECONDARY" else Role.STANDBY
    return Evidence(address, Signal.ANSWERED, ACCEPTS, role)


def _named(session: pymysql.Connection[Any], query: str) -> Mapping[str, str]:
    with session.cursor() as cursor:
        cursor.execute(query)
        return {str(name).lower(): str(value) for name, value in cursor.fetchall()}


def _member(session: pymysql.Connection[Any]) -> tuple[str, str]:
    """State and role of this member of group replication; empty where it may not be asked.

    That needs SELECT on performance_schema. Without it read_only tells the role alone, as secondaries are
    read-only.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute(_MEMBER)
            state, role = cursor.fetchone() or ("", "")
    except pymysql.MySQLError as error:
        if error.args[0] in _PYMYSQLS_OWN:
            raise
        return "", ""
    return str(state), str(role)


class _Handshake:
    """PyMySQL's `ctx`, of which it asks nothing else. Of a certificate that is refused it would keep nothing,
    and only that tells whether it is the certificate itself that has expired, and for whom it is."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, connection: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        encrypted = self._context.wrap_socket(
            connection, do_handshake_on_connect=False, server_hostname=server_hostname
        )
        try:
            encrypted.do_handshake()
        except BaseException as error:
            with encrypted:  # which closes it
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise failure(error, server_hostname, shown(encrypted)) from None
                raise
        return encrypted


class _Plugins:
    """PyMySQL's `auth_plugin_map`: what answers to whichever plugin the server names."""

    def __init__(self, trusted: bool) -> None:
        self._answered = _ANSWERED_BY_HASH | _ANSWERED_IF_TRUSTED if trusted else _ANSWERED_BY_HASH
        self.withheld = ""
        """The plugin that did not get the password."""

    def get(self, name: str | bytes) -> Callable[[Any], _Withheld] | None:
        name = name.decode("ascii", "replace") if isinstance(name, bytes) else name
        return None if name in self._answered else partial(_Withheld, self, name)


class _Withheld:
    """Answers a plugin with a wrong password, so that the server denies access.

    A handshake left there instead, or answered with nothing, would be counted against this host.
    """

    def __init__(self, plugins: _Plugins, name: str, session: Any) -> None:
        self._plugins = plugins
        self._name = name
        self._session = session

    def authenticate(self, packet: Any) -> Any:
        if packet.get_all_data() != _FAST_AUTH_SUCCESS:
            self._plugins.withheld = self._name
            self._session.write_packet(_WRONG)
        return self._session._read_packet()
