"""Real MariaDB servers on the loopback interface: start, replica, promotion, users, and sudden death."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from dbambassador.demo.processes import temporary_directory
from tests.testbed.mysql_server import PASSWORD, USER, MySQLServer, run, tls
from tests.testbed.requirements import require

__all__ = ["PASSWORD", "USER", "MariaDB", "mariadb", "mariadb_directory", "tls"]


class MariaDB(MySQLServer):
    """One server. It ends with `stop`, with `kill`, or when this process does."""

    product = "MariaDB"
    SETTINGS: ClassVar[Mapping[str, str]] = {
        "bind-address": "127.0.0.1,::1",
        "innodb-buffer-pool-size": "8M",
        "innodb-log-file-size": "4M",
        "innodb-flush-log-at-trx-commit": "0",
        "innodb-fast-shutdown": "2",
        "sync-binlog": "0",
        "performance-schema": "OFF",
        "log-bin": "binlog",
        "gtid-strict-mode": "ON",
        "skip-name-resolve": "ON",  # the nameserver of the machine has no part in these tests
        "loose-plugin-dir": "/usr/lib/mysql/plugin",
    }

    def replica(self, name: str) -> MariaDB:
        """A running, read-only replica of this running server."""
        server = MariaDB.created(self._home.parent, name, settings={"read-only": "ON"}).start()
        server.query(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={self.port}, master_user='{USER}', "
            f"master_password='{PASSWORD}', master_connect_retry=1, master_use_gtid=slave_pos"
        )
        server.query("START SLAVE")
        return server

    def wait_replayed(self, replica: MariaDB) -> None:
        """Waits until `replica` has everything that this server has written by now."""
        position = self.query("SELECT @@gtid_binlog_pos")[0][0]
        done = replica.query(f"SELECT MASTER_GTID_WAIT('{position}', 10)")[0][0]
        if done != 0:
            raise AssertionError(f"{replica.name} has not replayed {position} in 10 s:\n{replica.tail()}")

    def promote(self) -> None:
        """Makes a replica take writes."""
        for statement in ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"):
            self.query(statement)

    @classmethod
    def _daemon(cls) -> Path:
        return require("mariadbd", package="mariadb-server")

    @classmethod
    def _install(cls, home: Path) -> None:
        accounts = home / "accounts.sql"
        statements = (
            "FLUSH PRIVILEGES",  # grants are refused until the server, started without them, has loaded them
            f"GRANT ALL ON *.* TO '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'",
            "CREATE DATABASE app",
        )
        accounts.write_text("".join(f"{statement};\n" for statement in statements))
        run(
            require("mariadb-install-db", package="mariadb-server"),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--extra-file={accounts}",
            home=home,
        )


@pytest.fixture(scope="session")
def mariadb_directory() -> Iterator[Path]:
    """A directory for servers that all tests of this process share."""
    require("mariadbd", package="mariadb-server")
    with temporary_directory("dbambassador-test-") as directory:
        yield directory


@pytest.fixture(scope="session")
def mariadb(mariadb_directory: Path) -> Iterator[MariaDB]:
    """One running server for tests that neither stop it nor change its settings (about 2 s, once)."""
    server = MariaDB.created(mariadb_directory, "shared")
    try:
        yield server.start()
    finally:
        server.stop()
