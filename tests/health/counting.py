"""Servers of the MySQL family that count aborted handshakes, and lock out who has too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from dbambassador.values import Address
from tests.health.checking import PASSWORD
from tests.testbed.mariadb import MariaDB
from tests.testbed.mysql import MySQL
from tests.testbed.mysql_server import MySQLServer
from tests.testbed.netns import Host, lan

LIMIT = 3
PORT = 3306
SETTINGS = {
    "bind-address": "*",
    "max-connect-errors": str(LIMIT),
    "skip-name-resolve": "OFF",
    "performance-schema": "ON",
}


class Counting(MySQLServer):
    """A server on a host of its own that knows its clients by name: of others it counts nothing."""

    host: Host
    reload_tls: ClassVar[str]
    """The statement that makes it read its certificate anew."""

    @property
    def address(self) -> Address:
        return Address(self.host.ip, PORT)

    def counted(self) -> int:
        """What it holds against its only client."""
        ((number, name),) = self.query("SELECT sum_connect_errors, host FROM performance_schema.host_cache")
        assert name == "app"
        return int(number)


class CountingMariaDB(Counting, MariaDB):
    reload_tls = "FLUSH SSL"


class CountingMySQL(Counting, MySQL):
    reload_tls = "ALTER INSTANCE RELOAD TLS"


@contextmanager
def counting(
    kind: type[Counting], directory: Path, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Counting, Host]]:
    """The server, which has a user `probe`, and its only client's host."""
    with lan("app", "db") as made:
        server = kind.created(directory, name, settings={**SETTINGS, **(settings or {})}, port=PORT)
        server.host = made["db"]
        try:
            server.start(server.host)
            server.query(f"CREATE USER probe IDENTIFIED BY '{PASSWORD}'")
            yield server, made["app"]
        finally:
            server.stop()
