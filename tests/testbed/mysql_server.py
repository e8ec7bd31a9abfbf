"""What the servers of the MySQL family have in common: start, stop, sudden death, and queries.

Not made to last: nothing waits for a disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import AF_UNIX
from socket import socket as Socket
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pymysql

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process, unprivileged
from tests.testbed.certificates import Certificate

if TYPE_CHECKING:
    from tests.testbed.netns import Host

USER, PASSWORD = "app", "app-password"
"""An account that every server has, for connections from anywhere."""

START_TIMEOUT = 30.0
"""Seconds; 1.5 are usual."""


class MySQLServer(ABC):
    """One server. It ends with `stop`, with `kill`, or when this process does."""

    product: ClassVar[str]
    SETTINGS: ClassVar[Mapping[str, str]]

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
        self._settings = {**self.SETTINGS, "server-id": str(self.port), **(settings or {})}
        self._process: Process | None = None

    @classmethod
    def created(
        cls,
        directory: Path,
        name: str,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> Self:
        """A new server with the account of this module, not yet started.

        `directory` must be open to other users; the first server there takes seconds, the others are copies.
        """
        template = directory / f"template-{cls.product}"
        if not template.exists():
            template.mkdir()
            unprivileged().give(template)
            cls._install(template)
        server = cls(directory, name, settings=settings, port=port)
        shutil.copytree(template, server._home)
        for path in (server._home, *server._home.rglob("*")):
            unprivileged().give(path)
        return server

    @classmethod
    @abstractmethod
    def _install(cls, home: Path) -> None:
        """Makes `home/data`, the data directory that all servers of a directory are copied from."""

    @classmethod
    @abstractmethod
    def _daemon(cls) -> Path:
        """The server's program; ends the test where it is missing."""

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

    def start(self, host: Host | None = None) -> Self:
        """Starts the server and waits until it answers queries. `host`: the one that it is to run on."""
        options = [f"--{key}={value}" for key, value in self._settings.items()]
        own = (f"--datadir={self._home / 'data'}", f"--port={self.port}", f"--socket={self.socket}")
        words: list[str | Path] = [self._daemon(), "--no-defaults", *own, *options]
        variables = environ(self._home)
        if host is None:
            self._process = Process(words, self.log, identity=unprivileged(), environ=variables)
        else:
            self._process = host.start([*_as_unprivileged(), *words], self.log, environ=variables)
        self._wait(lambda: bool(self.query("SELECT 1")), "start")
        return self

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
        # Without TLS, whose context takes PyMySQL longer than all the rest.
        connection = pymysql.connect(user="root", autocommit=True, ssl_disabled=True, defer_connect=True)
        connection.connect(self._connected())
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

    def _connected(self) -> Socket:
        """PyMySQL leaves the socket of a refused connect of its own to the garbage collector."""
        ours = Socket(AF_UNIX)
        try:
            ours.connect(str(self.socket))
        except OSError:
            ours.close()
            raise
        return ours

    def _running(self) -> Process:
        if self._process is None:
            raise AssertionError(f"{self.product} {self.name} is not running")
        return self._process

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                # No bare connect first: the server would count it as an aborted handshake, in its own time.
                if reached():
                    return
            except (pymysql.err.OperationalError, OSError):
                pass
            process = self._running()
            if process.exit_code is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.product} {self.name} did not {what}; its log:\n{process.tail()}")
            time.sleep(0.02)


def _as_unprivileged() -> list[str]:
    """What root runs a program with that is not to have its rights."""
    identity = unprivileged()
    return ["setpriv", f"--reuid={identity.user}", f"--regid={identity.group}", "--clear-groups"]


def run(program: Path, *arguments: str, home: Path) -> None:
    """Runs a program that prepares a data directory below `home` to its end."""
    identity = unprivileged()
    done = subprocess.run(
        [program, "--no-defaults", f"--datadir={home / 'data'}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
        env=environ(home),
        user=identity.user,
        group=identity.group,
        extra_groups=None if identity.ours else [],
    )
    if done.returncode != 0:
        raise AssertionError(f"{program.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def environ(home: Path) -> dict[str, str]:
    """A server that starts removes the temporary tables of all others that share its directory for them."""
    return {**os.environ, "HOME": "/tmp", "TMPDIR": str(home)}


def tls(certificate: Certificate, *, clients: Path | None = None, required: bool = False) -> dict[str, str]:
    """Settings of a server that shows this certificate. `clients`: the authority of the clients' own ones.

    `required`: it refuses whoever comes without TLS, except over its unix socket.
    """
    return {
        "ssl-cert": str(certificate.chain),
        "ssl-key": str(certificate.key),
        **({"ssl-ca": str(clients)} if clients is not None else {}),
        **({"require-secure-transport": "ON"} if required else {}),
    }
