"""Real MariaDB servers on the loopback interface: start, replica, promotion, users, and sudden death.

Not made to last: nothing waits for a disk.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process, temporary_directory, unprivileged
from tests.testbed.requirements import require

USER, PASSWORD = "app", "app-password"
"""An account that every server has, for connections from anywhere."""

START_TIMEOUT = 30.0
"""Seconds; 1.5 are usual."""

SETTINGS: Mapping[str, str] = {
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


class MariaDB:
    """One server. It ends with `stop`, with `kill`, or when this process does."""

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        """An existing data directory below `directory`; see `created`."""
        self.name = name
        self.port = port or free_port()
        self._home = directory / name
        self._settings = {**SETTINGS, "server-id": str(self.port), **(settings or {})}
        self._process: Process | None = None

    @classmethod
    def created(
        cls,
        directory: Path,
        name: str,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> MariaDB:
        """A new server with the account of this module, not yet started.

        `directory` must be open to other users; the first server there takes a second, the others are copies.
        """
        template = directory / "template"
        if not template.exists():
            _install(template)
        server = cls(directory, name, settings=settings, port=port)
        shutil.copytree(template, server._home)
        for path in (server._home, *server._home.rglob("*")):
            unprivileged().give(path)
        return server

    @property
    def socket(self) -> Path:
        """The unix socket, on which root needs no password."""
        return self._home / "sock"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def log(self) -> Path:
        return self._home / "log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.exit_code is None

    def start(self) -> MariaDB:
        """Starts the server and waits until it answers queries."""
        daemon = require("mariadbd", package="mariadb-server")
        options = [f"--{key}={value}" for key, value in self._settings.items()]
        own = (f"--datadir={self._home / 'data'}", f"--port={self.port}", f"--socket={self.socket}")
        self._process = Process(
            [daemon, "--no-defaults", *own, *options],
            self.log,
            identity=unprivileged(),
            environ=_environ(self._home),
        )
        self._wait(lambda: bool(self.query("SELECT 1")), "start")
        return self

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

    def stop(self) -> None:
        """An orderly shutdown. No-op where none runs."""
        if self._process is not None:
            self._process.end(timeout=15.0)
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        self._running().kill()
        self._process = None

    def query(self, sql: str, values: Sequence[object] = ()) -> tuple[tuple[Any, ...], ...]:
        """Runs one statement as root over the unix socket and gives its rows, if it has any."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return tuple(cursor.fetchall())

    def connection(self, *, user: str = USER, password: str = PASSWORD) -> pymysql.Connection[Any]:
        """A new session over TCP, for the caller to close."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, autocommit=True, connect_timeout=5
        )

    def tail(self) -> str:
        """The last lines of the log."""
        return self._running().tail()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def _running(self) -> Process:
        if self._process is None:
            raise AssertionError(f"MariaDB {self.name} is not running")
        return self._process

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                # PyMySQL leaves the socket of a refused connect to the garbage collector.
                if self._listens() and reached():
                    return
            except pymysql.err.OperationalError:
                pass
            process = self._running()
            if process.exit_code is not None or time.monotonic() > deadline:
                raise AssertionError(f"MariaDB {self.name} did not {what}; its log:\n{process.tail()}")
            time.sleep(0.02)


def _install(home: Path) -> None:
    """The data directory that all servers of a directory are copied from, with the account in it."""
    identity = unprivileged()
    home.mkdir()
    identity.give(home)
    accounts = home / "accounts.sql"
    statements = (
        "FLUSH PRIVILEGES",  # grants are refused until the server, started without them, has loaded them
        f"GRANT ALL ON *.* TO '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'",
        "CREATE DATABASE app",
    )
    accounts.write_text("".join(f"{statement};\n" for statement in statements))
    program = require("mariadb-install-db", package="mariadb-server")
    done = subprocess.run(
        [
            *(
                program,
                "--no-defaults",
                f"--datadir={home / 'data'}",
                "--auth-root-authentication-method=normal",
            ),
            *("--skip-test-db", "--skip-name-resolve", f"--extra-file={accounts}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
        env=_environ(home),
        user=identity.user,
        group=identity.group,
        extra_groups=None if identity.ours else [],
    )
    if done.returncode != 0:
        raise AssertionError(f"mariadb-install-db ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _environ(home: Path) -> dict[str, str]:
    """A server that starts removes the temporary tables of all others that share its directory for them."""
    return {**os.environ, "HOME": "/tmp", "TMPDIR": str(home)}


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
