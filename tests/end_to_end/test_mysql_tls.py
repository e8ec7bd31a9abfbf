"""TLS to MySQL and MariaDB for clients that have none, with every way of proving a password."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbambassador.demo.processes import temporary_directory
from dbambassador.protocols.mysql_authentication import SHA256
from tests.end_to_end.mysql_sessions import asked, connect
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, port_of
from tests.testbed.certificates import Certificates
from tests.testbed.dns import Knot
from tests.testbed.mariadb import PASSWORD, USER, MariaDB, tls
from tests.testbed.mysql import MySQL
from tests.testbed.mysql_server import MySQLServer
from tests.testbed.processes import Ambassador, StartAmbassador
from tests.testbed.requirements import require
from tests.testbed.sid import sid_program

PLAIN = {"ssl_disabled": True}
CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"


def empty_cache(server: MySQL) -> None:
    """As after a start: caching_sha2_password knows nobody's password."""
    server.query("FLUSH PRIVILEGES")


@pytest.fixture
def encrypted_mysql(mysql: MySQL, ambassador: StartAmbassador, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A real MySQL behind an ambassador that speaks TLS with it, on TCP and on a unix socket."""
    with temporary_directory("socket-") as sockets:
        database = mysql_database(f"127.0.0.1:{mysql.port}", sslmode="require")
        database["listen"].append(f"unix:{sockets}/mysqld.sock")
        ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
        empty_cache(mysql)
        yield {"port": port_of(database), "socket": f"{sockets}/mysqld.sock"}


@pytest.mark.parametrize("way", ["tcp", "unix socket"])
def test_a_password_that_mysql_has_not_cached_and_then_has(encrypted_mysql: dict[str, Any], way: str) -> None:
    over = {"unix_socket": encrypted_mysql["socket"]} if way == "unix socket" else PLAIN
    for _ in range(2):
        with connect(encrypted_mysql["port"], **over) as connection:
            assert asked(connection, CIPHER)


def test_a_wrong_password_is_denied_by_mysql_itself(encrypted_mysql: dict[str, Any]) -> None:
    for password in ("wrong", "", "p" * 150):
        with pytest.raises(pymysql.OperationalError) as denied:
            connect(encrypted_mysql["port"], password=password, **PLAIN)
        assert denied.value.args[0] == 1045


def test_a_password_of_any_length_and_alphabet(encrypted_mysql: dict[str, Any], mysql: MySQL) -> None:
    for password in ("é€𝄞", "p" * 19, "p" * 20, "p" * 200):
        mysql.query(f"ALTER USER '{USER}' IDENTIFIED BY '{password}'")
        try:
            empty_cache(mysql)
            with connect(encrypted_mysql["port"], password=password.encode(), **PLAIN) as connection:
                assert asked(connection, CIPHER)
        finally:
            mysql.query(f"ALTER USER '{USER}' IDENTIFIED BY '{PASSWORD}'")


def test_mysqls_own_client_asks_for_the_key(encrypted_mysql: dict[str, Any]) -> None:
    port = encrypted_mysql["port"]
    options = (f"-P{port}", f"-u{USER}", f"-p{PASSWORD}", "--ssl-mode=DISABLED")
    client = sid_program("usr/bin/mysql")
    output = run(client, "--no-defaults", "-h127.0.0.1", *options, "--get-server-public-key", "-Ne", CIPHER)
    assert output.split()[1]


def test_mariadbs_client_asks_for_the_key(encrypted_mysql: dict[str, Any]) -> None:
    port = encrypted_mysql["port"]
    options = (f"-P{port}", f"-u{USER}", f"-p{PASSWORD}", "--skip-ssl")
    client = require("mariadb", package="mariadb-client")
    output = run(client, "--no-defaults", "-h127.0.0.1", *options, "-Ne", CIPHER)
    assert output.split()[1]


def test_a_client_with_a_key_of_the_servers_is_told_why_it_does_not_get_in(
    encrypted_mysql: dict[str, Any], mysql: MySQL
) -> None:
    """It encrypts its password without asking, and nobody here can read that."""
    key = mysql.query("SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")[0][1]
    with pytest.raises(pymysql.OperationalError) as refused:
        connect(encrypted_mysql["port"], server_public_key=key.encode(), **PLAIN)
    assert refused.value.args[0] == 1043
    assert "key that is not the ambassador's" in refused.value.args[1]


@pytest.mark.parametrize("policy", ["*,,", f"{SHA256},,"])
def test_sha256_password_asks_for_the_key_as_well(
    encrypted_mysql: dict[str, Any], mysql: MySQL, policy: str
) -> None:
    """Also where new accounts have it: MySQL 9 greets by caching_sha2_password even then."""
    mysql.query("SET GLOBAL authentication_policy = %s", [policy])
    mysql.query(f"CREATE USER older IDENTIFIED WITH {SHA256} BY '{PASSWORD}'")
    try:
        for user in ("older", USER):
            with connect(encrypted_mysql["port"], user=user, **PLAIN) as connection:
                assert asked(connection, CIPHER)
    finally:
        mysql.query("DROP USER older")
        mysql.query("SET GLOBAL authentication_policy = DEFAULT")


def test_after_a_failover_to_a_cold_mysql_clients_get_in_at_once(
    ambassador: StartAmbassador, mysql_directory: Path, nameserver: Knot, tmp_path: Path
) -> None:
    servers = [MySQL.created(mysql_directory, name) for name in ("warm", "cold")]
    warm, cold = servers
    try:
        for server in servers:
            server.start()
        name(nameserver, warm)
        database = mysql_database("srv:_mysql._tcp.catalog.db.test", hold="10s", sslmode="require")
        running = ambassador(
            *("--environments", environments(tmp_path, catalog=database), *CHOSEN),
            *("--nameserver", str(nameserver.address)),
        )
        for _ in range(2):
            with connect(port_of(database), **PLAIN) as connection:
                assert asked(connection, "SELECT @@port") == warm.port
        warm.kill()
        with ThreadPoolExecutor() as threads:
            held = threads.submit(connect, port_of(database), **PLAIN)
            running.wait_for("no usable address")
            name(nameserver, cold)
            named = time.monotonic()
            with held.result(timeout=10) as connection:
                assert time.monotonic() - named < 3.0
                assert asked(connection, "SELECT @@port") == cold.port
                assert asked(connection, CIPHER)
    finally:
        for server in servers:
            server.stop()


# MariaDB


@pytest.fixture
def encrypted_mariadb(
    mariadb_directory: Path, certificates: Certificates, request: pytest.FixtureRequest
) -> Iterator[MariaDB]:
    """One that refuses whoever comes without TLS, except over its unix socket."""
    settings = tls(certificates.server(), required=True)
    server = MariaDB.created(mariadb_directory, request.node.originalname, settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


def verifying(certificates: Certificates, port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return mysql_database(
        f"{host}:{port}", sslmode="verify-full", sslrootcert=str(certificates.authority), hold="0s"
    )


Start = Callable[[dict[str, Any]], Ambassador]


@pytest.fixture
def start(ambassador: StartAmbassador, tmp_path: Path) -> Start:
    return lambda database: ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)


def test_mariadb_that_requires_tls_serves_clients_without(
    encrypted_mariadb: MariaDB, certificates: Certificates, start: Start
) -> None:
    server = encrypted_mariadb
    server.query("INSTALL SONAME 'auth_ed25519'")
    server.query(f"CREATE USER edwards IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}')")
    server.query("CREATE USER strict IDENTIFIED BY 'strict-password' REQUIRE SSL")
    database = verifying(certificates, server.port)
    start(database)
    port = port_of(database)
    with connect(port, **PLAIN) as connection:  # mysql_native_password
        assert asked(connection, CIPHER)
    with connect(port, user="strict", password="strict-password", **PLAIN) as connection:
        assert asked(connection, CIPHER)
        connection.ping(reconnect=False)
    client = require("mariadb", package="mariadb-client")
    options = (f"-P{port}", "-uedwards", f"-p{PASSWORD}", "--skip-ssl")
    assert run(client, "--no-defaults", "-h127.0.0.1", *options, "-Ne", CIPHER).split()[1]
    with pytest.raises(pymysql.OperationalError) as denied:
        connect(port, password="wrong", **PLAIN)
    assert denied.value.args[0] == 1045


def test_rows_of_many_packets_pass_both_ways(
    encrypted_mariadb: MariaDB, certificates: Certificates, start: Start
) -> None:
    encrypted_mariadb.query("SET GLOBAL max_allowed_packet = 64 * 1024 * 1024")
    database = verifying(certificates, encrypted_mariadb.port)
    start(database)
    text = "x" * (20 * 1024 * 1024)  # more than one packet can hold
    with connect(port_of(database), compress=False, **PLAIN) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT LENGTH(%s), %s", (text, text))
        assert cursor.fetchone() == (len(text), text)


def test_a_certificate_for_somebody_else_is_told_to_the_client(
    mariadb_directory: Path, certificates: Certificates, start: Start
) -> None:
    server = MariaDB.created(mariadb_directory, "elsewhere", settings=tls(certificates.wrong_host()))
    try:
        server.start()
        database = verifying(certificates, server.port)
        start(database)
        with pytest.raises(pymysql.OperationalError) as refused:
            connect(port_of(database), **PLAIN)
        assert refused.value.args[0] == 1053
        assert "its certificate is not for 127.0.0.1" in refused.value.args[1]
    finally:
        server.stop()


def test_a_server_without_tls_gets_nothing_of_the_client(mariadb: MariaDB, start: Start) -> None:
    aborted = counted(mariadb)
    database = mysql_database(f"127.0.0.1:{mariadb.port}", sslmode="require", hold="0s")
    start(database)
    with pytest.raises(pymysql.OperationalError) as refused:
        connect(port_of(database), **PLAIN)
    assert refused.value.args[0] == 1053
    assert "it offers none, and sslmode asks for it" in refused.value.args[1]
    assert counted(mariadb) == aborted


def test_sslmode_disable_hides_a_servers_tls(mysql: MySQL, start: Start) -> None:
    database = mysql_database(f"127.0.0.1:{mysql.port}", sslmode="disable")
    start(database)
    with connect(port_of(database)) as connection:
        assert asked(connection, CIPHER) == ""
    with pytest.raises(pymysql.OperationalError, match="SSL"):
        connect(port_of(database), ssl={"ca": None}, ssl_verify_cert=False)


def test_a_clients_own_tls_passes_through(mysql: MySQL, start: Start) -> None:
    database = mysql_database(f"127.0.0.1:{mysql.port}")
    start(database)
    empty_cache(mysql)
    for _ in range(2):
        with connect(port_of(database), ssl={"ca": None}, ssl_verify_cert=False) as connection:
            assert asked(connection, CIPHER)


def counted(server: MySQLServer) -> int:
    return int(server.query("SHOW GLOBAL STATUS LIKE 'Aborted_connects_preauth'")[0][1])


def name(nameserver: Knot, server: MySQLServer) -> None:
    nameserver.replace("_mysql._tcp.catalog", "SRV", f"0 0 {server.port} localhost-v4")


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout
