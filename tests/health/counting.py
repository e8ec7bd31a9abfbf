"""A MariaDB server that counts its clients' aborted handshakes, and locks those out that have too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dbambassador.values import Address
from tests.health.checking import PASSWORD
from tests.testbed.mariadb import MariaDB
from tests.testbed.netns import Host, lan

LIMIT = 3
PORT = 3306
SETTINGS = {
    "bind-address": "*",
    "max-connect-errors": str(LIMIT),
    "skip-name-resolve": "OFF",
    "performance-schema": "ON",
}


class CountingServer(MariaDB):
    """A server on a host of its own that knows its clients by name: of others it counts nothing."""

    host: Host

    @property
    def address(self) -> Address:
        return Address(self.host.ip, PORT)

    def counted(self) -> int:
        """What it holds against its only client."""
        ((number, name),) = self.query("SELECT sum_connect_errors, host FROM performance_schema.host_cache")
        assert name == "app"
        return int(number)


@contextmanager
def counting(
    directory: Path, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[CountingServer, Host]]:
    """The server, which has a user `probe`, and its only client's host."""
    with lan("app", "db") as made:
        server = CountingServer.created(directory, name, settings={**SETTINGS, **(settings or {})}, port=PORT)
        server.host = made["db"]
        try:
            server.start(server.host)
            server.query(f"CREATE USER probe IDENTIFIED BY '{PASSWORD}'")
            yield server, made["app"]
        finally:
            server.stop()
