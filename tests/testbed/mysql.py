"""Real Oracle MySQL servers on the loopback interface: start, stop, sudden death, users.

Optional: only Debian's unstable release has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from dbambassador.demo.processes import temporary_directory
from tests.testbed.mysql_server import PASSWORD, USER, MySQLServer, run, tls
from tests.testbed.sid import ROOT, sid_program

__all__ = ["PASSWORD", "USER", "MySQL", "mysql", "mysql_directory", "tls"]

SMALL = {
    "basedir": str(ROOT / "usr"),
    "innodb-buffer-pool-size": "16M",
    "innodb-redo-log-capacity": "8M",
    "innodb-flush-method": "nosync",
    "skip-log-bin": "ON",
}
"""Its own messages and plugins; a data directory of half the size, written without waiting for a disk."""


class MySQL(MySQLServer):
    """One server. It ends with `stop`, with `kill`, or when this process does.

    It has TLS even without settings for that: a server without a certificate makes one for itself.
    """

    product = "MySQL"
    SETTINGS: ClassVar[Mapping[str, str]] = {
        **SMALL,
        "bind-address": "127.0.0.1,::1",
        "innodb-flush-log-at-trx-commit": "0",
        "innodb-fast-shutdown": "2",
        "mysqlx": "OFF",  # its X protocol would take a port of its own
        "performance-schema": "OFF",
        "secure-file-priv": "",  # the default lies below /var/lib, and must exist
        "skip-name-resolve": "ON",  # the nameserver of the machine has no part in these tests
    }

    @classmethod
    def _daemon(cls) -> Path:
        return sid_program("usr/sbin/mysqld")

    @classmethod
    def _install(cls, home: Path) -> None:
        accounts = home / "accounts.sql"
        statements = (
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT ALL ON *.* TO '{USER}'@'%'",
            "CREATE DATABASE app",
        )
        accounts.write_text("".join(f"{statement};\n" for statement in statements))
        options = (f"--{key}={value}" for key, value in SMALL.items())
        run(
            cls._daemon(),
            *options,
            "--secure-file-priv=",
            "--initialize-insecure",
            f"--init-file={accounts}",
            home=home,
        )
        (home / "data/auto.cnf").unlink()  # a server's own id, which a copy shall not share


@pytest.fixture(scope="session")
def mysql_directory() -> Iterator[Path]:
    """A directory for servers that all tests of this process share."""
    MySQL._daemon()
    with temporary_directory("dbambassador-test-") as directory:
        yield directory


@pytest.fixture(scope="session")
def mysql(mysql_directory: Path) -> Iterator[MySQL]:
    """One running server for tests that neither stop it nor change its settings (about 4 s, once)."""
    server = MySQL.created(mysql_directory, "shared")
    try:
        yield server.start()
    finally:
        server.stop()
