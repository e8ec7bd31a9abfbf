"""The MariaDB of the tests does what it says."""

from __future__ import annotations

from pathlib import Path

import pymysql
import pytest

from dbambassador.demo.processes import temporary_directory
from tests.testbed.mariadb import MariaDB


def test_the_account_logs_in_over_tcp(mariadb: MariaDB) -> None:
    with mariadb.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@port")
        assert cursor.fetchone() == (mariadb.port,)


def test_a_wrong_password_is_refused(mariadb: MariaDB) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        mariadb.connection(password="wrong")


def test_a_killed_primary_is_followed_by_its_promoted_replica(mariadb_directory: Path) -> None:
    with temporary_directory() as directory:
        primary = MariaDB.created(directory, "a").start()
        replica: MariaDB | None = None
        try:
            replica = primary.replica("b")
            primary.query("CREATE TABLE app.t (n int PRIMARY KEY)")
            primary.query("INSERT INTO app.t VALUES (1)")
            primary.wait_replayed(replica)
            with replica.connection(user="app") as session, session.cursor() as cursor:
                cursor.execute("SELECT @@read_only")
                assert cursor.fetchone() == (1,)
            primary.kill()
            with pytest.raises(pymysql.err.OperationalError):
                primary.connection()
            replica.promote()
            replica.query("INSERT INTO app.t VALUES (2)")
            assert replica.query("SELECT n FROM app.t ORDER BY n") == ((1,), (2,))
        finally:
            for server in (primary, replica):
                if server is not None:
                    server.stop()
