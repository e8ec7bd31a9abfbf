"""The clients of a row, in a process of their own: `python -m tests.faults.clients DIARY PLAN`.

Each loop is one client as applications are: it connects, tries 20 rows a second, and after an error connects
anew. It has no short timeouts of its own. Every attempt becomes a line of the diary. SIGTERM ends them all.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
import pymysql

from tests.faults.attempts import ENDS, UNFINISHED, Attempt, Loop
from tests.faults.database import MARIADB_DATABASE, PASSWORD_OF_USER, USER

PERIOD = 0.05
"""Seconds between the beginnings of two attempts."""
CONNECT_TIMEOUT = 10
"""Seconds; the default of PyMySQL, and a usual one with libpq."""

QUERY = 600
"""Seconds; longer than any row."""
LAST_WORDS = 2.0
"""Seconds for an attempt that is under way at the end; one that takes longer is waiting for something."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one loop does."""

    loop: Loop
    engine: str
    """`postgresql` or `mariadb`."""
    port: int
    """On localhost."""
    writes: bool = True


class Session(Protocol):
    """One connection of one client. Its methods raise OSError or an error of the driver."""

    def attempt(self, loop: str, number: int) -> str:
        """Writes one row, or reads, and gives the name of the server."""

    def wait(self) -> None:
        """Runs a query that takes `QUERY` seconds."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class PostgresqlSession:
    def __init__(self, port: int, writes: bool) -> None:
        self._writes = writes
        self._connection = psycopg.connect(
            f"host=127.0.0.1 port={port} user={USER} password={PASSWORD_OF_USER} dbname=postgres "
            f"connect_timeout={CONNECT_TIMEOUT}",
            autocommit=True,
            prepare_threshold=None,
        )

    def attempt(self, loop: str, number: int) -> str:
        name = "current_setting('cluster_name')"
        if self._writes:
            insert = f"INSERT INTO written VALUES (%s, %s, {name}) RETURNING server"
            row = self._connection.execute(insert.encode(), (loop, number)).fetchone()
        else:
            row = self._connection.execute(f"SELECT {name}".encode()).fetchone()
        return str(row[0]) if row else ""

    def wait(self) -> None:
        self._connection.execute(f"SELECT pg_sleep({QUERY})".encode())

    def fileno(self) -> int:
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()


class MariadbSession:
    def __init__(self, port: int, writes: bool) -> None:
        self._writes = writes
        self._connection: pymysql.Connection[Any] = pymysql.connect(
            host="127.0.0.1",
            port=port,
            user=USER,
            password=PASSWORD_OF_USER,
            database=MARIADB_DATABASE,
            connect_timeout=CONNECT_TIMEOUT,
            autocommit=True,
        )

    def attempt(self, loop: str, number: int) -> str:
        with self._connection.cursor() as cursor:
            if self._writes:
                insert = "INSERT INTO written VALUES (%s, %s, @@report_host) RETURNING server"
                cursor.execute(insert, (loop, number))
            else:
                cursor.execute("SELECT @@report_host")
            row = cursor.fetchone()
        return str(row[0]) if row else ""

    def wait(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT SLEEP({QUERY})")

    def fileno(self) -> int:
        return int(self._connection._sock.fileno())  # type: ignore[attr-defined]

    def close(self) -> None:
        self._connection.close()


SESSIONS: dict[str, Callable[[int, bool], Session]] = {
    "postgresql": PostgresqlSession,
    "mariadb": MariadbSession,
}
ERRORS = (psycopg.Error, pymysql.Error, OSError)


class Client:
    """One loop. `unfinished` tells what it waits for; one that only waits does so once."""

    def __init__(self, task: Task, write: Callable[[Attempt], None]) -> None:
        self._task = task
        self._write = write
        self._session: Session | None = None
        self._under_way: tuple[int, float] | None = None

    def run(self, ended: threading.Event) -> None:
        """Until `ended`, and the end of the attempt that is under way then."""
        number = 0
        while not ended.is_set():
            number += 1
            began = time.time()
            self._under_way = number, began
            server, error = self._outcome(number)
            self._under_way = None
            self._write(Attempt(self._task.loop, number, began, time.time(), server, error))
            if self._task.loop in ENDS:
                return
            time.sleep(max(0.0, began + PERIOD - time.time()))

    def unfinished(self) -> Attempt | None:
        under_way = self._under_way
        if under_way is None:
            return None
        number, began = under_way
        return Attempt(self._task.loop, number, began, time.time(), error=UNFINISHED)

    def _outcome(self, number: int) -> tuple[str, str]:
        """The server's name, and an error."""
        try:
            if self._session is None:
                self._session = SESSIONS[self._task.engine](self._task.port, self._task.writes)
            if self._task.loop is Loop.IDLE:
                _wait_for_end(self._session)
                raise ConnectionError("the idle session was ended")
            if self._task.loop is Loop.WAITING:
                self._session.wait()
            server = self._session.attempt(self._task.loop.value, number)
        except ERRORS as failed:
            self._leave()
            return "", str(failed).strip() or type(failed).__name__
        if self._task.loop is not Loop.KEPT:
            self._leave()
        return server, ""

    def _leave(self) -> None:
        session, self._session = self._session, None
        try:
            if session is not None:
                session.close()
        except ERRORS:
            pass  # it was gone already


def _wait_for_end(session: Session) -> None:
    while True:
        select.select([session], [], [])
        with socket.socket(fileno=os.dup(session.fileno())) as peek:
            if not peek.recv(1, socket.MSG_PEEK):
                return
        time.sleep(0.01)  # the server's last words; its end follows


def main(diary: str, plan: str) -> None:
    tasks = [Task(**{**each, "loop": Loop(each["loop"])}) for each in json.loads(plan)]
    lock = threading.Lock()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with open(diary, "a") as lines:

        def write(attempt: Attempt) -> None:
            with lock:
                lines.write(f"{attempt.line()}\n")
                lines.flush()

        clients = [Client(task, write) for task in tasks]
        threads = [threading.Thread(target=client.run, args=(ended,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        ended.wait()
        deadline = time.monotonic() + LAST_WORDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with lock:
            waiting = [attempt for client in clients if (attempt := client.unfinished()) is not None]
            lines.writelines(f"{attempt.line()}\n" for attempt in waiting)
            lines.flush()
            os._exit(0)  # threads that wait for a server would keep the process


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
