"""The PostgreSQL of the demo and the tests does what it says."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.installations import Installation
from dbambassador.demo.postgresql import Ground, PostgreSQL, ServerFailed
from dbambassador.demo.processes import temporary_directory
from tests.testbed.certificates import Certificates
from tests.testbed.postgresql import Pair, access, add_user, tls


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_answers_over_tcp_and_tells_its_name(postgresql: PostgreSQL) -> None:
    assert postgresql.query("SHOW cluster_name") == [("shared",)]
    with psycopg.connect(postgresql.conninfo(host="localhost")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_primary_is_followed_by_its_promoted_standby(postgresql_pair: Pair) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    primary.query("CREATE TABLE t (n int)")
    primary.query("INSERT INTO t VALUES (1)")
    primary.wait_replayed(standby)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        standby.query("INSERT INTO t VALUES (2)")

    with primary.connection() as session:
        backend = session.info.backend_pid
        primary.kill()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        primary.query("SELECT 1")
    deadline = time.monotonic() + 5
    while alive(backend) and not _is_zombie(backend):
        assert time.monotonic() < deadline, "a backend outlived its killed server"

    standby.promote()
    standby.query("INSERT INTO t VALUES (2)")
    assert standby.query("SELECT n FROM t ORDER BY n") == [(1,), (2,)]

    primary.start()
    assert primary.query("SELECT n FROM t") == [(1,)]


def test_settings_are_the_servers(postgresql_ground: Ground) -> None:
    with temporary_directory() as directory:
        ground = Ground(postgresql_ground.installation, directory, postgresql_ground.identity)
        server = PostgreSQL.created(ground, "few", settings={"max_connections": "7"})
        try:
            assert server.start().query("SHOW max_connections") == [("7",)]
        finally:
            server.stop()
        assert not server.running


def test_a_server_that_cannot_start_says_why(postgresql_ground: Ground) -> None:
    with temporary_directory() as directory:
        ground = Ground(postgresql_ground.installation, directory, postgresql_ground.identity)
        server = PostgreSQL.created(ground, "bad", settings={"shared_buffers": "much"})
        with pytest.raises(ServerFailed, match="shared_buffers"):
            server.start()
        server.stop()


def test_an_installation_that_others_cannot_reach_is_copied_and_works(postgresql_ground: Ground) -> None:
    installation = postgresql_ground.installation
    package = installation.root.parent
    with temporary_directory() as directory:
        closed = directory / "closed"
        for part in (installation.root, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, closed / part.relative_to(package.parent), symlinks=True)
        closed.chmod(0o700)
        where = closed / installation.bin.relative_to(package.parent)
        ground = Ground.prepared(Installation(where, installation.version), directory)
        assert closed not in ground.installation.bin.parents
        server = PostgreSQL.created(ground, "copied")
        try:
            assert server.start().query("SELECT 1") == [(1,)]
        finally:
            server.stop()


def _is_zombie(pid: int) -> bool:
    """Ended, and not yet collected: in a container without an init nobody does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("ground", ["postgresql_tls_ground", "postgresql_sid_ground"])
def test_a_server_shows_its_certificate_and_asks_as_its_access_file_says(
    ground: str, request: pytest.FixtureRequest, certificates: Certificates
) -> None:
    installed: Ground = request.getfixturevalue(ground)
    with temporary_directory() as directory:
        settings = {
            **tls(certificates.server("db.test", "127.0.0.1"), clients=certificates.authority),
            **access(
                installed,
                "asking",
                "hostssl all scram,old all scram-sha-256",
                "hostssl all certified all cert",
            ),
        }
        server = PostgreSQL.created(
            Ground(installed.installation, directory, installed.identity), "asking", settings=settings
        )
        try:
            server.start()
            add_user(server, "scram", "secret")
            add_user(server, "certified", "unused")
            where = f"port={server.port} dbname=postgres sslrootcert={certificates.authority}"
            verified = f"{where} host=127.0.0.1 sslmode=verify-full"
            with psycopg.connect(f"{verified} user=scram password=secret") as session:
                assert session.pgconn.ssl_in_use
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(f"{verified} user=scram password=wrong")
            with pytest.raises(psycopg.OperationalError, match="no encryption"):
                psycopg.connect(f"{where} host=127.0.0.1 sslmode=disable user=scram password=secret")
            with pytest.raises(psycopg.OperationalError, match="does not match host name"):
                psycopg.connect(f"{where} host=localhost sslmode=verify-full user=scram password=secret")
            own = certificates.client("certified")
            with psycopg.connect(
                f"{verified} user=certified sslcert={own.chain} sslkey={own.key}"
            ) as session:
                assert session.execute("SELECT current_user").fetchone() == ("certified",)
        finally:
            server.stop()
