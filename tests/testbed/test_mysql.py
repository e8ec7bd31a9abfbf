"""The MySQL of the tests does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbambassador.demo.processes import temporary_directory
from tests.testbed.certificates import Certificates
from tests.testbed.mariadb import MariaDB
from tests.testbed.mysql import PASSWORD, USER, MySQL
from tests.testbed.mysql_server import MySQLServer, tls


def test_it_is_oracles_and_the_account_logs_in_over_tcp(mysql: MySQL) -> None:
    with mysql.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@port, VERSION(), CURRENT_USER()")
        row = cursor.fetchone()
    assert row is not None
    assert (row[0], row[2]) == (mysql.port, f"{USER}@%")
    assert "MariaDB" not in row[1]
    assert mysql.query("SELECT plugin FROM mysql.user WHERE user = %s", [USER]) == (
        ("caching_sha2_password",),
    )


def test_a_killed_server_answers_nobody_and_comes_back(mysql_directory: Path) -> None:
    server = MySQL.created(mysql_directory, "killed")
    try:
        server.start().query("CREATE TABLE app.t (n int PRIMARY KEY)")
        server.kill()
        assert not server.running
        with pytest.raises(pymysql.err.OperationalError):
            server.connection()
        assert server.start().query("SELECT count(*) FROM app.t") == ((0,),)
    finally:
        server.stop()


@pytest.mark.parametrize(("kind", "without_tls"), [(MariaDB, 1045), (MySQL, 3159)])
def test_a_server_shows_the_certificate_it_was_given(
    kind: type[MySQLServer], without_tls: int, certificates: Certificates
) -> None:
    with temporary_directory() as directory:
        shown = certificates.server("db.test", "127.0.0.1")
        server = kind.created(directory, "tls", settings=tls(shown, required=True))

        def login(host: str, **wish: Any) -> pymysql.Connection[Any]:
            return pymysql.connect(host=host, port=server.port, user=USER, password=PASSWORD, **wish)

        try:
            server.start()
            verified = {"ssl_ca": str(certificates.authority), "ssl_verify_cert": True}
            login("127.0.0.1", **verified, ssl_verify_identity=True).close()
            with pytest.raises(pymysql.err.OperationalError, match="Hostname mismatch"):
                login("localhost", **verified, ssl_verify_identity=True)
            with pytest.raises(pymysql.err.OperationalError) as refused:
                login("127.0.0.1", ssl_disabled=True)
            assert refused.value.args[0] == without_tls
        finally:
            server.stop()
