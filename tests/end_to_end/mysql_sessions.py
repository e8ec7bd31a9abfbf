"""Sessions of MySQL's and MariaDB's through the ambassador, by PyMySQL."""

from __future__ import annotations

from typing import Any

import pymysql

from tests.testbed.mysql_server import PASSWORD, USER


def connect(port: int, **parameters: Any) -> pymysql.Connection[Any]:
    return pymysql.connect(
        **{"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, **parameters},
        connect_timeout=10,
        autocommit=True,
    )


def asked(connection: pymysql.Connection[Any], sql: str) -> Any:
    """The last value of a query's first row: the only one, or that of a SHOW."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    assert row is not None
    return row[-1]
