"""The ambassador's own TLS to real servers, as users run it: whom it refuses, and how log and client tell."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import trio

from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory, unprivileged
from dbambassador.errors import ExitCode
from dbambassador.protocols.postgresql import read_error, read_reply, startup_message
from dbambassador.settings.schema import SslMode, Tls
from dbambassador.transport.tls_files import Encryption
from dbambassador.transport.tls_stream import begin_postgresql_tls
from tests.end_to_end.setting import (
    CHOSEN,
    environments,
    mysql_database,
    port_of,
    postgresql_database,
    postgresql_pool,
    until,
)
from tests.testbed import mariadb, postgresql
from tests.testbed.certificates import Certificate, Certificates
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.postgresql import access, add_user
from tests.testbed.processes import Ambassador, StartAmbassador, command

BAD: dict[str, tuple[Callable[[Certificates], Certificate], str]] = {
    "expired": (Certificates.expired, "its certificate has expired"),
    "wrong-host": (Certificates.wrong_host, "its certificate is not for 127.0.0.1, but for elsewhere.test"),
    "unknown-authority": (
        Certificates.unknown_authority,
        "its certificate comes from an authority that is not in sslrootcert",
    ),
    "self-signed": (
        Certificates.self_signed,
        "its certificate is signed by itself, and is not in sslrootcert",
    ),
}


class Shown:
    """A server's certificate, in files that another one can take the place of."""

    def __init__(self, directory: Path, certificate: Certificate) -> None:
        directory.mkdir()
        self.files = Certificate(directory / "chain.pem", directory / "key.pem")
        self.put(certificate)

    def put(self, certificate: Certificate) -> None:
        for source, target in ((certificate.chain, self.files.chain), (certificate.key, self.files.key)):
            shutil.copy2(source, target)
            unprivileged().give(target)


class EncryptedPostgreSQL:
    """A server that takes clients with TLS alone."""

    def __init__(self, server: PostgreSQL, shown: Shown) -> None:
        self.server = server
        self._shown = shown

    def show(self, certificate: Certificate) -> None:
        """Waits until it does."""
        before = trio.run(self._leaf)
        self._shown.put(certificate)
        self.server.query("SELECT pg_reload_conf()")
        until(lambda: trio.run(self._leaf) != before, "the server shows another certificate")

    async def _leaf(self) -> bytes:
        encryption = Encryption(Tls(mode=SslMode.REQUIRE))
        connection = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        async with await begin_postgresql_tls(connection, encryption, "127.0.0.1") as encrypted:
            return encrypted.tls.certificates[0]


@contextmanager
def encrypted_postgresql(
    ground: Ground, name: str, certificate: Certificate
) -> Iterator[EncryptedPostgreSQL]:
    shown = Shown(ground.directory / f"{name}.tls", certificate)
    rules = access(ground, name, "hostssl all all all scram-sha-256")
    server = PostgreSQL.created(ground, name, settings={**postgresql.tls(shown.files), **rules})
    try:
        server.start()
        add_user(server, USER, PASSWORD)
        yield EncryptedPostgreSQL(server, shown)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def orders(postgresql_tls_ground: Ground, certificates: Certificates) -> Iterator[EncryptedPostgreSQL]:
    with encrypted_postgresql(postgresql_tls_ground, "encrypted-orders", certificates.server()) as server:
        yield server


@pytest.fixture(scope="module")
def catalog(mariadb_directory: Path, certificates: Certificates) -> Iterator[tuple[MariaDB, Shown]]:
    shown = Shown(mariadb_directory / "catalog.tls", certificates.server())
    server = MariaDB.created(mariadb_directory, "encrypted-catalog", settings=mariadb.tls(shown.files))
    try:
        yield server.start(), shown
    finally:
        server.stop()


def verified(certificates: Certificates, **settings: Any) -> dict[str, Any]:
    """What an environment file says of a database whose server has to prove itself."""
    return {"sslmode": "verify-full", "sslrootcert": str(certificates.authority), **settings}


def connect(port: int, **parameters: Any) -> psycopg.Connection[tuple[object, ...]]:
    given = {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "dbname": "postgres"}
    return psycopg.connect(**{**given, "connect_timeout": 10, **parameters}, autocommit=True)


def asked(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> object:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]


def refused(port: int) -> bytes:
    """What a client without a session is told."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(startup_message({"user": USER}))
        heard = b""
        while data := client.recv(4096):
            heard += data
    reply = read_reply(heard)
    assert reply is not None
    kind, body = reply
    assert kind == b"E"
    return body


@pytest.mark.parametrize("kind", BAD)
def test_postgresql_with_a_bad_certificate_is_refused_in_plain_words(
    ambassador: StartAmbassador,
    orders: EncryptedPostgreSQL,
    certificates: Certificates,
    tmp_path: Path,
    kind: str,
) -> None:
    make, words = BAD[kind]
    orders.show(make(certificates))
    try:
        database = postgresql_database(f"127.0.0.1:{orders.server.port}", **verified(certificates, hold="0s"))
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        where = f"127.0.0.1:{orders.server.port}"
        running.wait_for(f" orders: {where} is not-ready, was new: no TLS with the server: {words}$")
        running.wait_for(f" orders: no usable address: {where}: no TLS with the server: {words}$")
        body = refused(port_of(database))
        assert read_error(body).sqlstate == "57P03"
        hint = f"H{where}: no TLS with the server: {words}\0"
        assert hint.encode() in body
        with pytest.raises(
            psycopg.OperationalError, match=f"HINT:  {where}: no TLS with the server: {words}"
        ):
            connect(port_of(database))
    finally:
        orders.show(certificates.server())


@pytest.mark.parametrize("kind", BAD)
def test_mysql_with_a_bad_certificate_is_refused_in_plain_words(
    ambassador: StartAmbassador,
    catalog: tuple[MariaDB, Shown],
    certificates: Certificates,
    tmp_path: Path,
    kind: str,
) -> None:
    (server, shown), (make, words) = catalog, BAD[kind]
    shown.put(make(certificates))
    server.query("FLUSH SSL")
    database = mysql_database(f"127.0.0.1:{server.port}", **verified(certificates, hold="0s"))
    running = ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
    where = f"127.0.0.1:{server.port}"
    running.wait_for(f" catalog: {where} is not-ready, was new: no TLS with the server: {words}$")
    with pytest.raises(pymysql.OperationalError) as told:
        pymysql.connect(host="127.0.0.1", port=port_of(database), user=USER, password=PASSWORD)
    code, message = told.value.args
    assert code == 1053
    assert message.endswith(f"({where}: no TLS with the server: {words})")


def test_another_address_takes_over_from_one_that_cannot_be_trusted(
    ambassador: StartAmbassador,
    orders: EncryptedPostgreSQL,
    postgresql_tls_ground: Ground,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    with encrypted_postgresql(postgresql_tls_ground, "untrusted-orders", certificates.expired()) as expired:
        first, second = expired.server.port, orders.server.port
        database = postgresql_pool(first, second, **verified(certificates, target_session_attrs="primary"))
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        running.wait_for(f"127.0.0.1:{first} is not-ready, was new: .*: its certificate has expired$")
        with connect(port_of(database)) as session:
            assert asked(session, "SELECT inet_server_port()") == second
            assert asked(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True

        # While a session is open, the second one's certificate is replaced, and checks find the first.
        expired.show(certificates.server())
        running.wait_for(f"127.0.0.1:{first} is up, was not-ready")


def test_certificates_are_read_anew_as_kubernetes_replaces_them(
    ambassador: StartAmbassador, orders: EncryptedPostgreSQL, certificates: Certificates, tmp_path: Path
) -> None:
    volume = Volume(tmp_path / "ca", certificates.authority.read_bytes())
    with temporary_directory("others-") as directory:
        others = Certificates(directory)
        database = postgresql_database(
            f"127.0.0.1:{orders.server.port}",
            sslmode="verify-full",
            sslrootcert=str(volume.path),
            hold="3s",
        )
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        old = connect(port_of(database))
        assert asked(old, "SELECT 1") == 1
        try:
            orders.show(others.server())
            with ThreadPoolExecutor() as threads:
                held = threads.submit(connect, port_of(database))
                running.wait_for("is not-ready, .*: its certificate comes from an authority that is not in")
                volume.put(others.authority.read_bytes())
                with held.result(timeout=10) as session:
                    assert asked(session, "SELECT 1") == 1
            assert asked(old, "SELECT 1") == 1, "a running session stays"
            assert told(running, "orders: certificates were read anew") == 1

            volume.put(b"half a fi")
            until(
                lambda: asks(running, port_of(database), "changed certificates cannot be used"),
                "the broken file is noticed",
            )
            running.wait_for(
                "error: orders: changed certificates cannot be used, the former ones stay: "
                f"sslrootcert {volume.path}: no certificates in PEM form$"
            )
            volume.put(others.authority.read_bytes() + certificates.authority.read_bytes())
            orders.show(certificates.server())
            with connect(port_of(database)) as session:
                assert asked(session, "SELECT 1") == 1
            assert told(running, "changed certificates cannot be used") == 1
            assert told(running, "orders: certificates were read anew") == 2
        finally:
            old.close()
            orders.show(certificates.server())


class Volume:
    """A directory of one file, as a kubelet writes it: a new one takes its place by one rename."""

    def __init__(self, directory: Path, content: bytes) -> None:
        self._directory = directory
        self._number = 0
        directory.mkdir()
        self.put(content)
        self.path = directory / "ca.pem"
        self.path.symlink_to("..data/ca.pem")

    def put(self, content: bytes) -> None:
        self._number += 1
        version = self._directory / f"..{self._number}"
        version.mkdir()
        (version / "ca.pem").write_bytes(content)
        (self._directory / "..tmp").symlink_to(version.name)
        os.replace(self._directory / "..tmp", self._directory / "..data")


def told(running: Ambassador, words: str) -> int:
    """How many lines of its log say so."""
    return sum(words in line for line in running.lines())


def asks(running: Ambassador, port: int, words: str) -> bool:
    """Has a session opened, for which the files are looked at, and whether the log says so then."""
    with connect(port) as session:
        assert asked(session, "SELECT 1") == 1
    return told(running, words) > 0


@pytest.mark.parametrize(
    "subcommand", [("run", "--http-port", "0", "--admin-port", "0"), ("wait", "--for", "database")]
)
def test_a_file_that_is_missing_at_the_start_is_named(tmp_path: Path, subcommand: tuple[str, ...]) -> None:
    missing = tmp_path / "none.pem"
    database = postgresql_database("127.0.0.1:1", sslmode="verify-full", sslrootcert=str(missing))
    ended = command(*subcommand, "--environments", environments(tmp_path, orders=database), *CHOSEN)
    assert ended.code == ExitCode.INVALID
    assert f"database orders: sslrootcert {missing}: no such file or directory" in ended.errors


def test_wait_trusts_whom_sessions_trust(
    orders: EncryptedPostgreSQL, certificates: Certificates, tmp_path: Path
) -> None:
    where = f"127.0.0.1:{orders.server.port}"
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    check = {"user": USER, "password_file": str(password)}
    database = postgresql_database(where, **verified(certificates, check=check))
    flags = ("--environments", environments(tmp_path, orders=database), *CHOSEN)
    for awaited in ("database", "primary"):
        ended = command("wait", "--for", awaited, "--max", "10s", *flags)
        assert ended.code == ExitCode.DONE, ended.errors
    orders.show(certificates.unknown_authority())
    try:
        ended = command("wait", "--for", "database", "--max", "1s", *flags)
    finally:
        orders.show(certificates.server())
    assert ended.code == ExitCode.TIMED_OUT
    assert f"orders: {where}: no TLS with the server: its certificate comes from an authority" in ended.errors


class Recorder:
    """Passes connections on to a server, and keeps what their clients said."""

    def __init__(self, port: int) -> None:
        self.said: list[bytearray] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Recorder:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += (client, server)
                self.said.append(bytearray())
                self._start(_pass_on, client, server, self.said[-1])
                self._start(_pass_on, server, client, bytearray())


def _pass_on(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            record += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


SSL_REQUEST = bytes.fromhex("0000000804d2162f")
TLS_RECORDS = range(20, 24)
"""Their first byte: RFC 8446 (B.1)."""


def in_clear(said: bytes) -> bytes:
    """What a client said beside its request for TLS and TLS's records."""
    rest = said.removeprefix(SSL_REQUEST)
    while len(rest) >= 5 and rest[0] in TLS_RECORDS and rest[1] == 3:
        rest = rest[5 + int.from_bytes(rest[3:5], "big") :]
    return rest


def test_a_cancel_reaches_its_query_and_nothing_is_said_in_clear(
    ambassador: StartAmbassador, orders: EncryptedPostgreSQL, certificates: Certificates, tmp_path: Path
) -> None:
    with Recorder(orders.server.port) as recorder:
        database = postgresql_database(f"127.0.0.1:{recorder.port}", **verified(certificates))
        ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        port = port_of(database)
        with connect(port) as cancelled, connect(port) as spared, ThreadPoolExecutor() as threads:
            long = threads.submit(cancelled.execute, "SELECT pg_sleep(30)")
            other = threads.submit(spared.execute, "SELECT pg_sleep(0.3)")
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
            until(lambda: orders.server.query(sleeping) == [(2,)], "both queries run")
            before = len(recorder.said)
            cancelled.cancel_safe(timeout=5)
            with pytest.raises(psycopg.errors.QueryCanceled):
                long.result(timeout=10)
            assert other.result(timeout=10).rowcount == 1
        assert len(recorder.said) > before
        assert all(said.startswith(SSL_REQUEST) for said in recorder.said if said)
        assert [in_clear(bytes(said)) for said in recorder.said] == [b""] * len(recorder.said)


def test_a_standby_shows_itself_through_the_ambassadors_own_tls_and_no_writer_gets_it(
    ambassador: StartAmbassador, postgresql_tls_ground: Ground, certificates: Certificates, tmp_path: Path
) -> None:
    lines = ("host replication all samehost trust", "hostssl all all all scram-sha-256")
    rules = access(postgresql_tls_ground, "tls-primary", *lines)
    settings = {**postgresql.tls(certificates.server()), **rules}
    primary = PostgreSQL.created(postgresql_tls_ground, "tls-primary", settings=settings)
    with ExitStack() as ending:
        ending.callback(primary.stop)
        primary.start()
        add_user(primary, USER, PASSWORD)
        standby = primary.standby("tls-standby")
        ending.callback(standby.stop)
        standby.start()
        primary.wait_replayed(standby)
        told = {"target_session_attrs": "read-write", **verified(certificates)}
        alone = postgresql_database(f"127.0.0.1:{standby.port}", hold="0s", **told)
        both = postgresql_pool(standby.port, primary.port, **told)
        running = ambassador("--environments", environments(tmp_path, alone=alone, both=both), *CHOSEN)
        for name in ("alone", "both"):
            running.wait_for(f"{name}: sessions go to")  # the standby first, as it is written first
        with connect(port_of(both), user="postgres") as trusted:  # moved on before it heard anything
            assert asked(trusted, "SELECT inet_server_port()") == primary.port
        with pytest.raises(psycopg.OperationalError, match="it is a standby"):
            connect(port_of(alone))
        running.wait_for("alone: no usable address: .*standby, not read-write")
        with connect(port_of(both)) as with_password:
            assert asked(with_password, "SELECT inet_server_port()") == primary.port
            assert asked(with_password, "SELECT pg_is_in_recovery()") is False


def test_a_cancel_is_not_given_to_a_server_that_cannot_be_trusted(
    ambassador: StartAmbassador, orders: EncryptedPostgreSQL, certificates: Certificates, tmp_path: Path
) -> None:
    with Recorder(orders.server.port) as recorder:
        database = postgresql_database(f"127.0.0.1:{recorder.port}", **verified(certificates))
        running = ambassador(
            "--environments", environments(tmp_path, orders=database), *CHOSEN, "--debug-logs"
        )
        with connect(port_of(database)) as session, ThreadPoolExecutor() as threads:
            query = threads.submit(session.execute, "SELECT pg_sleep(0.5)")
            orders.show(certificates.expired())
            try:
                session.cancel_safe(timeout=5)
                running.wait_for("cancel request forwarded")
            finally:
                orders.show(certificates.server())
            assert query.result(timeout=10).rowcount == 1
        assert [in_clear(bytes(said)) for said in recorder.said] == [b""] * len(recorder.said)
