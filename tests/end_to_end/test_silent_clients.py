"""Clients that connect and say nothing, or hardly anything: those who speak get in all the same."""

from __future__ import annotations

import re
import resource
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.forwarding.admission.preambles import GRACE, MOST, PERIOD
from dbambassador.forwarding.relay.epoll_loop import OLDEST
from dbambassador.protocols.postgresql import ENCRYPTION_REQUEST
from tests.end_to_end.setting import (
    CHOSEN,
    environments,
    mysql_database,
    port_of,
    postgresql_database,
    until,
)
from tests.end_to_end.test_tls import connect as connect_with_tls
from tests.end_to_end.test_tls import encrypted_postgresql
from tests.testbed.certificates import Certificates
from tests.testbed.footprint import descriptors
from tests.testbed.mariadb import PASSWORD, USER, MariaDB
from tests.testbed.processes import Ambassador, StartAmbassador
from tests.testbed.requirements import find

CROWD = 2000
SPARE = 40
"""Descriptors that come and go by themselves: of checks, of the HTTP ports, of clients that speak."""


@pytest.fixture(autouse=True)
def _descriptors_enough() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * CROWD)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Many clients that connect, and what becomes of them."""

    def __init__(self, port: int, ending: ExitStack) -> None:
        self._port = port
        self._ending = ending
        self.clients: list[socket.socket] = []

    def grow(self, count: int) -> None:
        for _ in range(count):
            client = self._ending.enter_context(socket.create_connection(("127.0.0.1", self._port)))
            self.clients.append(client)

    def grow_older(self) -> None:
        """Has all be older than whoever comes next. Those who come at once have no order: the engine tells of
        most within OLDEST, and trio itself accepts the one or the other meanwhile."""
        time.sleep(3 * OLDEST)

    def left(self) -> list[int]:
        """The numbers of those who are still connected."""
        poll = select.poll()
        for client in self.clients:
            poll.register(client, select.POLLRDHUP)
        ended = {descriptor for descriptor, _ in poll.poll(0)}
        return [number for number, client in enumerate(self.clients) if client.fileno() not in ended]


def crowded_out(running: Ambassador) -> int:
    found = re.search(r"clients_crowded_out_total\{.*\} (\d+)", running.get("/metrics")[1])
    return int(found[1]) if found else 0


def psql(postgresql: PostgreSQL, port: int) -> float:
    """Asks something, and gives the seconds that it took."""
    program = find("psql") or postgresql.installation.bin / "psql"
    began = time.monotonic()
    done = subprocess.run(
        [program, f"host=127.0.0.1 port={port} user=postgres dbname=postgres", "-Atc", "SELECT 6*7"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "42\n", done.stderr
    return time.monotonic() - began


def test_two_thousand_silent_clients_keep_nobody_out(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    before = descriptors(running.pid)
    lasting = psycopg.connect(f"host=127.0.0.1 port={port_of(database)} user=postgres", autocommit=True)
    with lasting, ExitStack() as ending:
        crowd = Crowd(port_of(database), ending)
        seconds = []
        for count in (*[(CROWD - MOST) // 4] * 4, MOST):
            crowd.grow_older()
            crowd.grow(count)
            seconds.append(psql(postgresql, port_of(database)))
        assert max(seconds) < 1.0
        until(lambda: descriptors(running.pid) <= before + MOST + SPARE, "most of them are gone", patience=5)
        assert psql(postgresql, port_of(database)) < 1.0
        until(lambda: crowded_out(running) == CROWD - MOST, "they are counted")
        until(lambda: crowd.left() == list(range(CROWD - MOST, CROWD)), "they were the oldest")
        assert lasting.execute("SELECT 1").fetchone() == (1,)
        warnings = [line for line in running.lines() if "connect and say nothing" in line]
        assert len(warnings) == 1, warnings


def test_who_asks_postgresql_for_tls_and_does_not_begin_it_keeps_nobody_out(
    ambassador: StartAmbassador, postgresql_tls_ground: Ground, certificates: Certificates, tmp_path: Path
) -> None:
    """Each has a process of the server, which has no more of them than about twice its max_connections."""
    with encrypted_postgresql(postgresql_tls_ground, "crowded", certificates.server()) as orders:
        most = int(str(orders.server.query("SHOW max_connections")[0][0]))
        database = postgresql_database(f"127.0.0.1:{orders.server.port}")
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        with ExitStack() as ending:
            crowd = Crowd(port_of(database), ending)
            for number in range(4 * most):
                if number == 4 * most - MOST:
                    crowd.grow_older()
                crowd.grow(1)
                crowd.clients[-1].send(ENCRYPTION_REQUEST)
                assert crowd.clients[-1].recv(1) == b"S"
            until(lambda: crowded_out(running) == 4 * most - MOST, "the oldest make room")
            last = list(range(4 * most - MOST, 4 * most))
            until(lambda: crowd.left() == last, "they were the oldest")
            with connect_with_tls(port_of(database), sslmode="require") as session:
                assert session.execute("SELECT 1").fetchone() == (1,)
            # Until it began TLS, on a loaded machine, that client may have been the one too many.
            assert crowd.left() in (last, last[1:])


def test_who_says_a_byte_now_and_then_is_as_silent(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with ExitStack() as ending:
        crowd = Crowd(port_of(database), ending)
        crowd.grow(10)
        crowd.grow_older()
        crowd.grow(MOST - 10)
        for byte in (b"\0", b"\0", b"\0", b"\x20"):
            for client in crowd.clients:
                client.send(byte)
            time.sleep((GRACE + PERIOD) / 4)
        crowd.grow(10)
        until(lambda: crowded_out(running) == 10, "ten make room")
        until(lambda: crowd.left() == list(range(10, MOST + 10)), "they were the oldest")


def test_at_the_limit_of_clients_a_silent_one_makes_room(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--max-connections", "4")
    with ExitStack() as ending:
        crowd = Crowd(port_of(database), ending)
        crowd.grow(12)  # eight of them are beyond the limit
        until(lambda: len(crowd.left()) == 1, "one in four is borne")
        for _ in range(3):
            psql(postgresql, port_of(database))
    assert crowded_out(running) >= 11


def test_two_thousand_mysql_clients_that_never_answer_keep_nobody_out(
    ambassador: StartAmbassador, mariadb: MariaDB, tmp_path: Path
) -> None:
    database = mysql_database(f"127.0.0.1:{mariadb.port}")
    running = ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
    before = descriptors(running.pid)
    port = port_of(database)

    def log_in() -> pymysql.Connection[Any]:
        return pymysql.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD)

    assert MOST < mariadb.query("SELECT @@max_connections")[0][0] < CROWD
    with log_in() as lasting, ExitStack() as ending:
        crowd = Crowd(port, ending)
        for _ in range(CROWD):
            # Each first hears its greeting, or that the server is full: where a server's queue of clients
            # overflows, the kernel lets them wait for seconds, and that is no silence of theirs.
            crowd.grow(1)
            assert crowd.clients[-1].recv(1)
        # Until they have been silent for long enough, they have all the sessions that the server gives.
        until(lambda: descriptors(running.pid) <= before + 2 * MOST + SPARE, "most of them are gone")
        for _ in range(5):
            began = time.monotonic()
            with log_in() as session, session.cursor() as cursor:
                cursor.execute("SELECT 6*7")
                assert cursor.fetchone() == (42,)
            assert time.monotonic() - began < 1.0
        assert crowded_out(running) >= CROWD - MOST
        lasting.ping(reconnect=False)
