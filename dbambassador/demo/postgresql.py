"""A real PostgreSQL server on the loopback interface: start, standby, promotion, and sudden death.

The servers are for shows and tests: `fsync` is off, everybody on this machine is trusted.
Calls block for as long as they take, one second at most when all is well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbambassador.demo.installations import Installation
from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Identity, Process, unprivileged
from dbambassador.errors import AmbassadorError

SUPERUSER = "postgres"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1,::1",
    "unix_socket_directories": "",  # its usual place may belong to another server, or to the ambassador
    "fsync": "off",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: a killed server leaves nothing in /dev/shm
    "max_wal_senders": "4",
    "wal_keep_size": "64MB",
    "wal_receiver_status_interval": "1s",
}

START_TIMEOUT = 30.0
"""Seconds; a loaded machine takes a few, so more means that it does not come up."""

STOP_TIMEOUT = 15.0
"""Seconds for an orderly shutdown, after which it is made to end."""

SETUP_TIMEOUT = 60.0
"""Seconds for initdb and pg_basebackup, which take half a second each on an idle machine."""

POLL = 0.01
"""Seconds between two looks at a state that changes once."""


class ServerFailed(AmbassadorError):
    """A database server or one of its tools did not do what it was told; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What servers stand on."""

    installation: Installation
    directory: Path
    """Data and logs lie in it, in a directory for each server."""
    identity: Identity

    @classmethod
    def prepared(cls, installation: Installation, directory: Path) -> Ground:
        """`directory` must be one that other users can enter; the installation is copied there if need be."""
        return cls(installation.reachable_copy(directory), directory, unprivileged())

    def run(self, program: str, *arguments: str | Path) -> str:
        """Runs one of the programs to its end and gives its output. Raises ServerFailed."""
        command = [str(self.installation.bin / program), *map(str, arguments)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SETUP_TIMEOUT,
                cwd=self.directory,
                env={**os.environ, "HOME": str(self.directory), "LC_ALL": "C"},
                user=self.identity.user,
                group=self.identity.group,
                extra_groups=None if self.identity.ours else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerFailed(f"{program}: {error}") from error
        if done.returncode != 0:
            raise ServerFailed(f"{program} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class PostgreSQL:
    """One server. It and its children end with `stop`, with `kill`, or when this process does."""

    def __init__(self, ground: Ground, name: str, port: int) -> None:
        """An existing data directory; see `created` and `standby`. `name` is told by `cluster_name`."""
        self.name = name
        self.port = port
        self._ground = ground
        self._process: Process | None = None

    @classmethod
    def created(
        cls, ground: Ground, name: str, *, settings: Mapping[str, str] | None = None, port: int | None = None
    ) -> PostgreSQL:
        """A new server, not yet started. `settings` go into postgresql.conf, over those of this module.

        Raises ServerFailed.
        """
        server = cls(ground, name, port or free_port())
        server._home.mkdir()
        ground.identity.give(server._home)
        ground.run("initdb", "-D", server.data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
        lines = [f"{key} = '{value}'" for key, value in {**SETTINGS, **(settings or {})}.items()]
        with (server.data / "postgresql.conf").open("a") as configuration:
            configuration.write("\n".join(("", *lines, "")))
        return server

    def standby(self, name: str, *, port: int | None = None) -> PostgreSQL:
        """A streaming standby of this running server, not yet started. Raises ServerFailed."""
        server = PostgreSQL(self._ground, name, port or free_port())
        server._home.mkdir()
        self._ground.identity.give(server._home)
        self._ground.run(
            "pg_basebackup",
            *(
                "-d",
                self.conninfo(),
                "-D",
                server.data,
                "-R",
                "-X",
                "stream",
                "--checkpoint=fast",
                "--no-sync",
            ),
            *("-C", "-S", f"standby_{server.port}"),
        )
        return server

    @property
    def data(self) -> Path:
        return self._home / "data"

    @property
    def log(self) -> Path:
        return self._home / "log"

    @property
    def installation(self) -> Installation:
        return self._ground.installation

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int:
        """Of the postmaster. Raises ServerFailed where none runs."""
        return self._running().pid

    def conninfo(self, *, user: str = SUPERUSER, dbname: str = "postgres", host: str = "127.0.0.1") -> str:
        """For libpq and psycopg; straight to this server."""
        return f"host={host} port={self.port} user={user} dbname={dbname} connect_timeout=5 sslmode=disable"

    def start(self) -> PostgreSQL:
        """Starts the server and waits until it answers queries. Raises ServerFailed with its log."""
        if self.running:
            return self
        postmaster = self._ground.installation.bin / "postgres"
        (self.data / "postmaster.pid").unlink(
            missing_ok=True
        )  # left by `kill`; its id may be another's by now
        # On the command line, as a standby's configuration file is its primary's.
        options = {"port": str(self.port), "cluster_name": self.name}
        self._process = Process(
            [postmaster, "-D", self.data, *(f"--{key}={value}" for key, value in options.items())],
            self.log,
            environ={**os.environ, "HOME": str(self._home), "LC_ALL": "C"},
            identity=self._ground.identity,
            end_signal=signal.SIGQUIT,  # "immediate shutdown": waits for no client
        )
        self._wait(lambda: self._status() in ("ready", "standby"), "start")
        return self

    def stop(self) -> None:
        """A fast, orderly shutdown: sessions are ended, everything is written. No-op where none runs."""
        if self._process is None:
            return
        self._process.send(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.end()
        self._process = None

    def kill(self) -> None:
        """SIGKILL to the whole server at once: no goodbye to clients, no shutdown checkpoint."""
        self._running().kill()
        self._process = None

    def promote(self) -> None:
        """Makes a standby the primary, and returns once it takes writes. Raises ServerFailed.

        As `pg_ctl promote` does, which looks only every 100 ms: a file named `promote`, and SIGUSR1.
        """
        (self.data / "promote").touch()
        self._running().send(signal.SIGUSR1)
        with self.connection() as connection:
            self._wait(lambda: not _asked(connection, "SELECT pg_is_in_recovery()"), "promote")

    def connection(
        self, *, user: str = SUPERUSER, dbname: str = "postgres"
    ) -> psycopg.Connection[tuple[object, ...]]:
        """A new session with autocommit, for the caller to close."""
        return psycopg.connect(self.conninfo(user=user, dbname=dbname), autocommit=True)

    def query(self, sql: str, *, dbname: str = "postgres") -> list[tuple[object, ...]]:
        """Runs one statement as the superuser and gives its rows, if it has any."""
        with self.connection(dbname=dbname) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def wait_replayed(self, standby: PostgreSQL, *, timeout: float = 10.0) -> None:
        """Waits until `standby` shows everything that this server has written by now. Raises ServerFailed."""
        with self.connection() as here, standby.connection() as there:
            written = _asked(here, "SELECT pg_current_wal_lsn()")
            ask = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            deadline = time.monotonic() + timeout
            while not _asked(there, ask, written):
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"{standby.name} has not replayed {written} of {self.name} in {timeout:g} s"
                    )
                time.sleep(POLL / 10)

    @property
    def _home(self) -> Path:
        return self._ground.directory / self.name

    def _running(self) -> Process:
        if self._process is None:
            raise ServerFailed(f"PostgreSQL {self.name} is not running")
        return self._process

    def _status(self) -> str:
        """The eighth line of postmaster.pid: starting, stopping, ready, standby (since PostgreSQL 10)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        return lines[7].strip() if len(lines) > 7 else ""

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not reached():
            process = self._running()
            ended = process.exit_code is not None
            if ended or time.monotonic() > deadline:
                why = "ended" if ended else f"did not {what} within {START_TIMEOUT:g} s"
                raise ServerFailed(f"PostgreSQL {self.name} {why}; its log:\n{process.tail()}")
            time.sleep(POLL)


def _asked(connection: psycopg.Connection[tuple[object, ...]], sql: str, *values: object) -> object:
    row = connection.execute(sql.encode(), values or None).fetchone()
    return row[0] if row else None
