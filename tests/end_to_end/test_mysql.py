"""MariaDB through the ambassador: the server speaks first, and counts clients that leave too early."""

from __future__ import annotations

import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.mysql_sessions import asked, connect
from tests.end_to_end.setting import (
    CHOSEN,
    environments,
    mysql_database,
    port_of,
    postgresql_database,
    until,
)
from tests.testbed.dns import Knot
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.processes import StartAmbassador
from tests.testbed.requirements import require


def test_both_protocols_are_served_by_one_process(
    ambassador: StartAmbassador, mariadb: MariaDB, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with temporary_directory("socket-") as sockets:
        catalog = mysql_database(f"127.0.0.1:{mariadb.port}")
        catalog["listen"].append(f"unix:{sockets}/mysqld.sock")
        orders = postgresql_database(f"127.0.0.1:{postgresql.port}")
        ambassador("--environments", environments(tmp_path, catalog=catalog, orders=orders), *CHOSEN)
        for way in (
            {"host": "127.0.0.1"},
            {"host": "::1"},
            {"unix_socket": f"{sockets}/mysqld.sock"},
        ):
            with connect(port_of(catalog), **way) as connection:
                assert asked(connection, "SELECT @@port") == mariadb.port
        client = require("mariadb", package="mariadb-client")
        output = subprocess.run(
            [
                *(client, "--no-defaults", "-h127.0.0.1", f"-P{port_of(catalog)}"),
                *(f"-u{USER}", f"-p{PASSWORD}", "-Ne", "SELECT 6*7"),
            ],
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert output.stdout == "42\n", output.stderr


def test_without_a_server_the_client_gets_1053(ambassador: StartAmbassador, tmp_path: Path) -> None:
    database = mysql_database("127.0.0.1:1", hold="0s")
    ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
    with pytest.raises(pymysql.OperationalError) as refused:
        connect(port_of(database))
    assert refused.value.args[0] == 1053
    assert "no usable address" in refused.value.args[1]


def test_a_check_is_no_aborted_handshake(
    ambassador: StartAmbassador, mariadb_directory: Path, tmp_path: Path
) -> None:
    server = MariaDB.created(mariadb_directory, "counting")
    try:
        server.start()
        aborted, denied = (
            _counted(server, "Aborted_connects_preauth"),
            _counted(server, "Access_denied_errors"),
        )
        database = mysql_database(f"127.0.0.1:{server.port}")
        running = ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
        running.wait_for("is up")
        assert _counted(server, "Access_denied_errors") == denied + 1
        assert _counted(server, "Aborted_connects_preauth") == aborted
        # What a bare connect does, to show that the counter counts.
        socket.create_connection(("127.0.0.1", server.port)).close()
        until(lambda: _counted(server, "Aborted_connects_preauth") == aborted + 1, "the counter counts")
    finally:
        server.stop()


def _counted(server: MariaDB, name: str) -> int:
    return int(server.query(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])


def test_after_a_failover_clients_reach_the_new_primary(
    ambassador: StartAmbassador, mariadb_directory: Path, nameserver: Knot, tmp_path: Path
) -> None:
    primary = MariaDB.created(mariadb_directory, "failing")
    replica: MariaDB | None = None
    try:
        primary.start()
        replica = primary.replica("surviving")
        _name(nameserver, primary)
        endpoint = "srv:_mysql._tcp.catalog.db.test"
        database = mysql_database(endpoint, hold="10s")
        running = ambassador(
            "--environments",
            environments(tmp_path, catalog=database),
            *CHOSEN,
            "--nameserver",
            str(nameserver.address),
        )
        with connect(port_of(database)) as connection:
            assert asked(connection, "SELECT @@port") == primary.port
        primary.kill()
        with ThreadPoolExecutor() as threads:
            held = threads.submit(connect, port_of(database))
            running.wait_for("no usable address")
            replica.promote()
            _name(nameserver, replica)
            named = time.monotonic()
            with held.result(timeout=10) as connection:
                pause = time.monotonic() - named
                assert asked(connection, "SELECT @@port") == replica.port
        assert pause < 3.0
    finally:
        for server in (primary, replica):
            if server is not None:
                server.stop()


def test_a_server_that_comes_back_is_used_again(
    ambassador: StartAmbassador, mariadb_directory: Path, tmp_path: Path
) -> None:
    server = MariaDB.created(mariadb_directory, "returning")
    try:
        server.start()
        database = mysql_database(f"127.0.0.1:{server.port}", hold="0s")
        running = ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
        server.stop()
        with pytest.raises(pymysql.OperationalError):
            connect(port_of(database))
        server.start()
        until(lambda: _is_up(running.status()), "the server is up again")
        with connect(port_of(database)) as connection:
            assert asked(connection, "SELECT 1") == 1
    finally:
        server.stop()


def _is_up(status: dict[str, Any]) -> bool:
    return bool(status["databases"][0]["addresses"][0]["state"] == "up")


def _name(nameserver: Knot, server: MariaDB) -> None:
    nameserver.replace("_mysql._tcp.catalog", "SRV", f"0 0 {server.port} localhost-v4")


def test_who_knows_a_number_to_kill_has_lost_its_session_before_there_is_a_stranger(
    ambassador: StartAmbassador, mariadb_directory: Path, nameserver: Knot, tmp_path: Path
) -> None:
    """KILL QUERY takes the number that a server gave a session, and no secret. On another server that number
    is somebody else's: so nobody gets a session there while one is left here."""
    servers = [MariaDB.created(mariadb_directory, name) for name in ("numbering", "numbering-too")]
    old, new = servers
    try:
        for server in servers:
            server.start()
        _name(nameserver, old)
        database = mysql_database("srv:_mysql._tcp.catalog.db.test", hold="10s")
        ambassador(
            *("--environments", environments(tmp_path, catalog=database), *CHOSEN),
            *("--nameserver", str(nameserver.address)),
        )
        for _ in range(3):
            before = [_connected_to(old, port_of(database)) for _ in range(20)]
            _name(nameserver, new)
            with _connected_to(new, port_of(database)):
                assert all(map(_has_ended, before))
            for connection in before:
                connection.close()
            old, new = new, old
    finally:
        for server in servers:
            server.stop()


def _connected_to(server: MariaDB, port: int) -> pymysql.Connection[Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(pymysql.MySQLError):  # cut with the other server's sessions
            connection = connect(port)
            if asked(connection, "SELECT @@port") == server.port:
                return connection
            connection.close()
    raise AssertionError(f"no session with {server.name}")


def _has_ended(connection: pymysql.Connection[Any]) -> bool:
    try:
        return not connection._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    except OSError:
        return True
