"""A thousand bad clients at an HTTP port: a kubelet has its answer meanwhile, and sessions go on."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

from dbambassador.commands import probe
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.transport.descriptors import MOST_PLACES
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Failure, Response
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.end_to_end.test_postgresql import connect
from tests.testbed.footprint import descriptors, resident_kib
from tests.testbed.processes import SOURCE, Ambassador, StartAmbassador, environ

CROWD = 1000
KUBELET = 1.0
"""Seconds: timeoutSeconds, where a probe does not say otherwise."""
SPARE = 40
"""Descriptors that come and go by themselves."""
MEMORY = 40 * 1024
"""KiB: a place costs some 12 KiB, and may hold 16 of headers and 4 of body."""


@pytest.mark.parametrize("purpose", ["health", "admin"])
def test_a_thousand_bad_clients_starve_nobody(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path, purpose: str
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    port, path = running.http_port, "/readiness"
    if purpose == "admin":
        port, path = running.admin_port, "/status"
    with connect(port_of(database)) as session:
        session.execute("SELECT 1")
        at_rest, memory = descriptors(running.pid), resident_kib(running.pid)
        with _crowd(port), _queries(session) as took:
            until(lambda: descriptors(running.pid) > at_rest + SPARE, "the crowd is there")
            for _ in range(6):
                assert _asked(running, port, path) < KUBELET
                assert descriptors(running.pid) < at_rest + MOST_PLACES + SPARE
                time.sleep(0.1)
        assert resident_kib(running.pid) < memory + MEMORY
        assert statistics.median(took) < 0.05
    until(lambda: descriptors(running.pid) <= at_rest, "all of them are gone")
    assert running.get("/liveness") == (200, "ok\n")


@contextmanager
def _crowd(port: int) -> Iterator[None]:
    words = [sys.executable, "-m", "tests.testbed.http_crowd", str(port), str(CROWD), "60"]
    with subprocess.Popen(words, env=environ(), cwd=SOURCE) as crowd:
        try:
            yield
        finally:
            assert crowd.poll() is None
            crowd.kill()


@contextmanager
def _queries(session: psycopg.Connection[tuple[object, ...]]) -> Iterator[list[float]]:
    """How many seconds each took, of those that came one after the other in the meantime."""
    took: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.005):
            began = time.monotonic()
            assert session.execute("SELECT 1").fetchone() == (1,)
            took.append(time.monotonic() - began)

    with ThreadPoolExecutor() as threads:
        asking = threads.submit(ask)
        try:
            yield took
        finally:
            over.set()
        asking.result(timeout=10)
    assert took


def _asked(running: Ambassador, port: int, path: str) -> float:
    """Seconds until the answer, but for those in which the ambassador had something to do and no CPU."""
    began, waited = time.monotonic(), _without_a_cpu(running.pid)
    assert probe.ask("127.0.0.1", port, path) == ""
    return time.monotonic() - began - (_without_a_cpu(running.pid) - waited)


def _without_a_cpu(pid: int) -> float:
    """Seconds that trio's thread has waited for a CPU so far: sched-stats.rst of the kernel."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9


def test_a_thousand_requests_at_once_are_all_answered(ambassador: StartAmbassador, tmp_path: Path) -> None:
    """All connections are there before the first one asks."""
    running = ambassador(
        "--environments", environments(tmp_path, orders=postgresql_database("127.0.0.1:1")), *CHOSEN
    )
    answers: list[Response | Failure] = []

    async def ask(port: int, path: str) -> None:
        answers.append(await fetch("127.0.0.1", port, "GET", path, timeout=20))

    async def everybody() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(CROWD // 4):
                for path in ("/readiness", "/metrics"):
                    nursery.start_soon(ask, running.http_port, path)
                for path in ("/", "/status"):
                    nursery.start_soon(ask, running.admin_port, path)

    trio.run(everybody)
    assert [answer for answer in answers if not isinstance(answer, Response) or answer.status != 200] == []
    assert len(answers) == CROWD


def test_with_few_descriptors_sessions_come_first(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    few = ("prlimit", "--nofile=128:128")
    running = ambassador("--environments", directory, *CHOSEN, prefix=few)
    silent = [socket.create_connection(("127.0.0.1", running.http_port)) for _ in range(200)]
    try:
        sessions = [connect(port_of(database)) for _ in range((128 - 64) // 2)]
        assert probe.ask("127.0.0.1", running.http_port, "/readiness") == ""
        for session in sessions:
            session.close()
    finally:
        for client in silent:
            client.close()
