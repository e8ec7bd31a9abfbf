"""PostgreSQL through the ambassador: real servers, real clients, a real nameserver, a real failover."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import asyncpg
import psycopg
import pytest
import trustme

from dbambassador.demo.installations import installations
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from dbambassador.protocols.postgresql import read_error
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.testbed.dns import Knot
from tests.testbed.postgresql import Pair, add_user
from tests.testbed.processes import Ambassador, StartAmbassador
from tests.testbed.requirements import find, missing

USER = "postgres"

Session = psycopg.Connection[tuple[object, ...]]


def connect(port: int, host: str = "127.0.0.1", parameters: str = "") -> Session:
    dsn = f"host={host} port={port} user={USER} dbname=postgres connect_timeout=10 {parameters}"
    return psycopg.connect(dsn, autocommit=True)


def server_port(connection: Session) -> object:
    row = connection.execute("SELECT inet_server_port()").fetchone()
    assert row is not None
    return row[0]


def test_every_way_to_localhost_reaches_the_database(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    port = port_of(database)
    with temporary_directory("socket-") as sockets:
        database["listen"].append(f"unix:{sockets}/.s.PGSQL.{port}")
        ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        for host in ("127.0.0.1", "::1", "localhost", str(sockets)):
            with connect(port, host) as connection:
                assert server_port(connection) == postgresql.port
        psql = find("psql") or postgresql.installation.bin / "psql"
        output = subprocess.run(
            [psql, "-h", "localhost", "-p", str(port), "-U", USER, "-Atc", "SELECT 6*7", "postgres"],
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert output.stdout == "42\n", output.stderr


def test_a_large_result_and_a_large_copy_arrive_whole(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with connect(port_of(database)) as connection:
        row = connection.execute("SELECT md5(string_agg(n::text, '')) FROM generate_series(1, 300000) n")
        expected = row.fetchone()
        numbers = connection.execute("SELECT n::text FROM generate_series(1, 300000) n").fetchall()
        assert len(numbers) == 300000
        connection.execute("CREATE TEMP TABLE copied (n int)")
        with connection.cursor().copy("COPY copied FROM STDIN") as copy:
            for number in range(1, 300001):
                copy.write_row((number,))
        sum_of = connection.execute("SELECT md5(string_agg(n::text, '' ORDER BY n)) FROM copied").fetchone()
        assert sum_of == expected


def test_a_cancel_reaches_the_query_it_was_meant_for(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}", target_session_attrs="read-write")
    ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    port = port_of(database)
    with connect(port) as cancelled, connect(port) as spared, ThreadPoolExecutor() as threads:
        long = threads.submit(cancelled.execute, "SELECT pg_sleep(30)")
        other = threads.submit(spared.execute, "SELECT pg_sleep(0.5)")
        _until_active(postgresql, 2)
        cancelled.cancel_safe(timeout=5)
        with pytest.raises(psycopg.errors.QueryCanceled):
            long.result(timeout=10)
        assert other.result(timeout=10).rowcount == 1


def _until_active(server: PostgreSQL, count: int) -> None:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    until(lambda: server.query(sql) == [(count,)], f"{count} queries run")


def test_the_clients_own_tls_passes_through_untouched(ambassador: StartAmbassador, tmp_path: Path) -> None:
    with_tls = [each for each in installations() if each.bin.is_relative_to("/usr")]
    if not with_tls:
        missing("PostgreSQL with TLS is needed, and the wheel's has none: apt-get install postgresql")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    with temporary_directory("tls-") as directory:
        ground = Ground.prepared(with_tls[0], directory)
        key, chain, root = directory / "key.pem", directory / "cert.pem", directory / "root.pem"
        certificate.private_key_pem.write_to_path(str(key))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        authority.cert_pem.write_to_path(str(root))
        for path in (key, chain):
            path.chmod(0o600)
            ground.identity.give(path)
        settings = {"ssl": "on", "ssl_key_file": str(key), "ssl_cert_file": str(chain)}
        server = PostgreSQL.created(ground, "tls", settings=settings)
        try:
            server.start()
            database = postgresql_database(f"127.0.0.1:{server.port}", target_session_attrs="read-write")
            ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
            for mode in ("prefer", "require", "verify-full"):
                tls = f"sslmode={mode} sslrootcert={root}"
                with connect(port_of(database), "localhost", tls) as connection:
                    answer = connection.execute(
                        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                    ).fetchone()
                    assert answer == (True,)
        finally:
            server.stop()


def test_after_a_failover_the_client_sees_one_short_pause(
    ambassador: StartAmbassador, postgresql_pair: Pair, nameserver: Knot, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    _name(nameserver, primary)
    database = postgresql_database(
        "srv:_postgresql._tcp.orders.db.test", target_session_attrs="read-write", hold="10s"
    )
    running = _follow(ambassador, nameserver, environments(tmp_path, orders=database))
    idle = connect(port_of(database))
    assert server_port(idle) == primary.port

    primary.kill()
    running.wait_for("no usable address")  # noticed by the idle session alone
    with ThreadPoolExecutor() as threads:
        held = threads.submit(connect, port_of(database))
        standby.promote()
        _name(nameserver, standby)
        named = time.monotonic()
        with held.result(timeout=10) as connection:
            pause = time.monotonic() - named
            assert server_port(connection) == standby.port
            connection.execute("CREATE TABLE written (n int)")
    # 0.5 s is what it takes on a free machine; `make bench` measures that.
    assert pause < 3.0
    with pytest.raises(psycopg.OperationalError):
        idle.execute("SELECT 1")
    choice = running.status()["databases"][0]["choice"]
    assert choice["address"] == f"127.0.0.1:{standby.port}"
    assert choice["epoch"] > 1


def test_sessions_leave_a_living_server_that_dns_no_longer_names(
    ambassador: StartAmbassador, postgresql_pair: Pair, nameserver: Knot, tmp_path: Path
) -> None:
    old, new = postgresql_pair.primary, postgresql_pair.standby
    _name(nameserver, old)
    database = postgresql_database("srv:_postgresql._tcp.orders.db.test", target_session_attrs="any")
    _follow(ambassador, nameserver, environments(tmp_path, orders=database))
    with connect(port_of(database)) as session:
        assert server_port(session) == old.port
        new.promote()
        _name(nameserver, new)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(10)")
    with connect(port_of(database)) as session:
        assert server_port(session) == new.port


def test_a_writer_never_gets_a_standby(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    standby = postgresql_pair.standby
    endpoint = f"127.0.0.1:{standby.port}"
    writer = postgresql_database(endpoint, target_session_attrs="read-write", hold="0s")
    anyone = postgresql_database(endpoint)
    ambassador("--environments", environments(tmp_path, writer=writer, anyone=anyone), *CHOSEN)
    with connect(port_of(anyone)) as connection:
        assert server_port(connection) == standby.port
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match=r"standby|no usable address"):
            connect(port_of(writer))
    standby.promote()
    until(lambda: _can_write(port_of(writer)), "the promoted standby is used")


def _can_write(port: int) -> bool:
    try:
        with connect(port) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS written (n int)")
    except psycopg.OperationalError:
        return False
    return True


def test_without_a_server_libpq_gets_57p03_and_tries_its_next_host(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    nobody = postgresql_database("127.0.0.1:1", hold="0s")
    somebody = postgresql_database(f"127.0.0.1:{postgresql.port}")
    ambassador("--environments", environments(tmp_path, nobody=nobody, somebody=somebody), *CHOSEN)
    assert _sqlstate(port_of(nobody)) == "57P03"
    psql = find("psql") or postgresql.installation.bin / "psql"
    hosts = f"host=127.0.0.1,127.0.0.1 port={port_of(nobody)},{port_of(somebody)} user={USER} dbname=postgres"
    output = subprocess.run([psql, "-Atc", "SELECT 1", hosts], capture_output=True, text=True, timeout=10)
    assert output.stdout == "1\n", output.stderr


def test_without_a_fitting_server_asyncpg_and_libpq_try_their_next_host_even_after_a_password(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    """A standby shows itself only in its welcome, when the client has been asked for its password."""
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    add_user(primary, "app", "secret")
    primary.wait_replayed(standby)
    for server in (primary, standby):
        rules = server.data / "pg_hba.conf"
        rules.write_text("host all app all scram-sha-256\n" + rules.read_text())
        server.query("SELECT pg_reload_conf()")
    nobody = postgresql_database("127.0.0.1:1", hold="0s")
    wrong = postgresql_database(f"127.0.0.1:{standby.port}", hold="0s", target_session_attrs="read-write")
    good = postgresql_database(f"127.0.0.1:{primary.port}", target_session_attrs="read-write")
    directory = environments(tmp_path, nobody=nobody, wrong=wrong, good=good)
    running = ambassador("--environments", directory, *CHOSEN)
    running.wait_for("wrong: sessions go to")
    running.wait_for("good: sessions go to")
    assert asyncio.run(_port_by_asyncpg(port_of(wrong), port_of(good))) == primary.port
    running.wait_for("wrong: no usable address")  # that session alone has told
    with pytest.raises(asyncpg.CannotConnectNowError):
        asyncio.run(_port_by_asyncpg(port_of(nobody)))
    for first in (nobody, wrong):
        ports = f"{port_of(first)},{port_of(good)}"
        conninfo = f"host=127.0.0.1,127.0.0.1 port={ports} user=app password=secret dbname=postgres"
        psql = find("psql") or primary.installation.bin / "psql"
        output = subprocess.run(
            [psql, "-Atc", "SELECT inet_server_port()", conninfo], capture_output=True, text=True, timeout=10
        )
        assert output.stdout == f"{primary.port}\n", output.stderr
        assert asyncio.run(_port_by_asyncpg(port_of(first), port_of(good))) == primary.port


async def _port_by_asyncpg(*ports: int) -> object:
    """Of the server that it comes to by the first of these ports of localhost that gets it anywhere."""
    account = {"user": "app", "password": "secret", "database": "postgres"}
    session = await asyncpg.connect(host=["127.0.0.1"] * len(ports), port=list(ports), timeout=10, **account)
    try:
        return await session.fetchval("SELECT inet_server_port()")
    finally:
        await session.close()


def _sqlstate(port: int) -> str:
    """What an unencrypted libpq of the default sslmode reads: `N`, then an ErrorResponse."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(bytes.fromhex("0000000804d2162f"))
        assert client.recv(1) == b"N"
        client.sendall(bytes.fromhex("0000001000030000") + b"user\0a\0\0")
        data = b""
        while chunk := client.recv(4096):
            data += chunk
    assert data[:1] == b"E"
    return read_error(data[5:]).sqlstate


def test_a_client_of_a_newer_protocol_is_held_while_its_server_is_not_ready(
    ambassador: StartAmbassador, postgresql_ground: Ground, tmp_path: Path
) -> None:
    """What the server says of the protocol comes before its 57P03."""
    with temporary_directory("not-ready-") as directory:
        ground = replace(postgresql_ground, directory=directory)
        server = PostgreSQL.created(ground, "server", settings={"hot_standby": "off"})
        server.start()  # that no recovery has to come first
        server.stop()
        (server.data / "standby.signal").touch()
        try:
            server.start()
            database = postgresql_database(f"127.0.0.1:{server.port}", check="passive", hold="20s")
            running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
            with socket.create_connection(("127.0.0.1", port_of(database)), timeout=20) as client:
                client.sendall(bytes.fromhex("0000001f0003270f") + b"user\0postgres\0_pq_.x\0\0\0")
                running.wait_for("not accepting connections")
                server.stop()
                (server.data / "standby.signal").unlink()
                server.start()
                version = client.recv(9)
                assert version[:1] == b"v"
                asked = client.recv(int.from_bytes(version[1:5], "big") - 8)
                assert asked.endswith(b"_pq_.x\0")
                assert client.recv(9) == b"R\0\0\0\x08\0\0\0\0"
        finally:
            server.stop()


def test_silent_and_senseless_clients_disturb_nobody(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    port = port_of(database)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x04", bytes(64), b"\xff" * 20000):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(garbage)
            try:
                assert client.recv(100) == b""
            except ConnectionResetError:
                pass  # closed with our bytes unread
    with connect(port) as connection:
        assert server_port(connection) == postgresql.port
    for client in silent:
        client.close()
    until(lambda: running.status()["databases"][0]["sessions"] == 0, "all sessions end")
    assert not [line for line in running.lines() if "Traceback" in line or "error" in line]


def _name(nameserver: Knot, server: PostgreSQL) -> None:
    nameserver.replace("_postgresql._tcp.orders", "SRV", f"0 0 {server.port} localhost-v4")


def _follow(start: StartAmbassador, nameserver: Knot, directory: Path) -> Ambassador:
    return start("--environments", directory, *CHOSEN, "--nameserver", str(nameserver.address))


def test_an_idle_session_is_cut_and_so_is_a_query_that_sends_nothing(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}", client_idle_timeout="1s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN, "--debug-logs")
    port = port_of(database)
    with connect(port) as idle:
        with connect(port) as silent, pytest.raises(psycopg.OperationalError):
            silent.execute("SELECT pg_sleep(3)")
        with connect(port) as busy:
            for _ in range(5):
                assert busy.execute("SELECT pg_sleep(0.3)").rowcount == 1
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    running.wait_for("ended after 1.* s: idle")
    assert 'sessions_ended_total{database="orders",how="idle"} 2' in running.get("/metrics")[1]
