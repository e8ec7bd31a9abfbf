"""Time to first good query after a failover, for a client that retries every 50 ms."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import psycopg

from dbambassador.demo.postgresql import Ground, PostgreSQL
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.testbed.dns import Knot, knot
from tests.testbed.processes import Ambassador

TITLE = "Failover: primary killed, standby promoted, DNS changed"
ROUNDS = 5
RETRY = 0.05


def run(ground: Ground, directory: Path) -> dict[str, object]:
    after_naming, after_kill, failed = [], [], []
    for number in range(ROUNDS):
        one = _round(ground, directory, number)
        after_naming.append(one[0])
        after_kill.append(one[1])
        failed.append(one[2])
    figures: dict[str, object] = {
        "first_good_query_after_naming_s": after_naming,
        "first_good_query_after_kill_s": after_kill,
        "failed_attempts": failed,
    }
    shown = ", ".join(f"{seconds:.3f}" for seconds in after_naming)
    print(f"first good query after the new primary accepts and DNS names it: {shown} s")
    print(f"  median {statistics.median(after_naming):.3f} s, worst {max(after_naming):.3f} s")
    since_kill = ", ".join(f"{seconds:.1f}" for seconds in after_kill)
    print(f"since the kill, the server's own promotion included: {since_kill} s")
    print(f"attempts that failed in each round (the hold is 5 s): {failed}")
    return figures


def _round(ground: Ground, directory: Path, number: int) -> tuple[float, float, int]:
    primary = PostgreSQL.created(ground, f"failover-{number}-a")
    standby: PostgreSQL | None = None
    try:
        primary.start()
        standby = primary.standby(f"failover-{number}-b")
        standby.start()
        with knot(records=["localhost-v4 1 A 127.0.0.1"]) as nameserver:
            _name(nameserver, primary)
            database = postgresql_database(
                "srv:_postgresql._tcp.orders.db.test", target_session_attrs="read-write"
            )
            flags = ("--environments", environments(directory, orders=database), *CHOSEN)
            running = Ambassador(
                (*flags, "--nameserver", str(nameserver.address)), directory / f"failover-{number}.log"
            )
            try:
                running.wait_for("sessions go to")
                return _fail_over(primary, standby, nameserver, port_of(database))
            finally:
                running.process.end()
    finally:
        for server in (primary, standby):
            if server is not None:
                server.stop()


def _fail_over(
    primary: PostgreSQL, standby: PostgreSQL, nameserver: Knot, port: int
) -> tuple[float, float, int]:
    client = _Client(port)
    client.start()
    client.served_by(primary.port)
    killed = time.monotonic()
    primary.kill()
    standby.promote()
    _name(nameserver, standby)
    named = time.monotonic()
    good = client.served_by(standby.port)
    client.stop()
    return good - named, good - killed, client.failed


class _Client(threading.Thread):
    """Connects and asks, again and again; every 50 ms after a failure."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=10"
        self._ended = threading.Event()
        self._answers: dict[int, float] = {}
        self.failed = 0

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._dsn) as connection:
                    row = connection.execute("SELECT inet_server_port()").fetchone()
                    assert row is not None
                    self._answers.setdefault(int(row[0]), time.monotonic())
            except psycopg.OperationalError:
                self.failed += 1
                time.sleep(RETRY)

    def served_by(self, port: int) -> float:
        """Waits for the first answer of this server, and gives its time."""
        deadline = time.monotonic() + 30
        while port not in self._answers:
            assert time.monotonic() < deadline, "no good query in 30 s"
            time.sleep(0.001)
        return self._answers[port]

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _name(nameserver: Knot, server: PostgreSQL) -> None:
    nameserver.replace("_postgresql._tcp.orders", "SRV", f"0 0 {server.port} localhost-v4")
