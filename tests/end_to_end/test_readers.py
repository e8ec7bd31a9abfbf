"""Pools of readers: shares by weight, roles, zones, and who is left alone when one of them fails."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbambassador.demo.ports import free_port
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_pool, until
from tests.testbed.postgresql import Pair
from tests.testbed.processes import Ambassador, StartAmbassador


class Named:
    """A server that tells each client its name and closes."""

    def __init__(self, name: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self._name = name
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.send(self._name)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join()


@contextmanager
def named(*names: bytes) -> Iterator[list[Named]]:
    with ExitStack() as ending:
        servers = [Named(name) for name in names]
        for server in servers:
            ending.callback(server.close)
        yield servers


def pool(*endpoints: dict[str, Any], **settings: Any) -> dict[str, Any]:
    listed = [{"host": "127.0.0.1", **endpoint} for endpoint in endpoints]
    return {
        "protocol": "tcp",
        "listen": [f"127.0.0.1:{free_port()}"],
        "endpoints": listed,
        "balance": "round-robin",
        **settings,
    }


def answer(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return connection.recv(100)


def uses(running: Ambassador, count: int) -> bool:
    return len(running.status()["databases"][0]["choice"]["pool"]) == count


def roles(running: Ambassador) -> dict[str, str]:
    return {each["address"]: each["role"] for each in running.status()["databases"][0]["addresses"]}


@pytest.mark.parametrize("balance", ["round-robin", "random"])
def test_ten_thousand_connections_are_shared_three_to_one(
    ambassador: StartAmbassador, tmp_path: Path, balance: str
) -> None:
    with named(b"three", b"one") as (three, one):
        database = pool({"port": three.port, "weight": 3}, {"port": one.port}, balance=balance)
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        until(lambda: uses(running, 2), "both are used")
        with ThreadPoolExecutor(4) as clients:
            told = Counter(clients.map(lambda _: answer(port_of(database)), range(10_000)))
    assert told.total() == 10_000
    # Lots fall within four standard deviations (43 each) in all but 1 of 16,000 runs.
    assert abs(told[b"three"] - 7500) <= (100 if balance == "round-robin" else 174)


def test_addresses_of_the_own_zone_come_first(ambassador: StartAmbassador, tmp_path: Path) -> None:
    with ExitStack() as near, named(b"far") as (far,):
        (here,) = near.enter_context(named(b"near"))
        database = pool({"port": far.port, "zone": "b"}, {"port": here.port, "zone": "a"})
        running = ambassador(
            "--environments",
            environments(tmp_path, orders=database),
            *CHOSEN,
            "--fact",
            "cloud.availability_zone=a",
        )
        until(lambda: uses(running, 1), "the one in this zone is used")
        assert {answer(port_of(database)) for _ in range(10)} == {b"near"}
        near.close()
        assert answer(port_of(database)) == b"far"


def test_readers_never_land_on_the_primary_and_writers_never_on_the_standby(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    ports = [postgresql_pair.primary.port, postgresql_pair.standby.port]
    wanted = ("read-write", "primary", "read-only", "standby", "prefer-standby")
    databases = {f"orders-{role}": postgresql_pool(*ports, target_session_attrs=role) for role in wanted}
    ambassador("--environments", environments(tmp_path, **databases), *CHOSEN)
    for role in wanted:
        for _ in range(4):
            with _connected(port_of(databases[f"orders-{role}"])) as connection:
                assert _server_port(connection) == ports["standby" in role or role == "read-only"]


def test_a_promoted_standby_is_followed_by_checks_that_log_in(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    database = postgresql_pool(
        standby.port, primary.port, target_session_attrs="read-write", check={"user": "postgres"}
    )
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with _connected(port_of(database)) as connection:
        assert _server_port(connection) == primary.port
        known = {f"127.0.0.1:{primary.port}": "primary", f"127.0.0.1:{standby.port}": "standby"}
        until(lambda: roles(running) == known, "both roles are known")
        primary.kill()
        standby.promote()
        promoted = time.monotonic()
        with _connected(port_of(database)) as after:
            assert _server_port(after) == standby.port
            after.execute("CREATE TABLE written (n int)")
        assert time.monotonic() - promoted < 2


def test_one_reader_that_dies_takes_only_its_own_sessions_along(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    database = postgresql_pool(primary.port, standby.port, balance="least-connections")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    until(lambda: uses(running, 2), "both are used")
    with ExitStack() as open_ones:
        sessions = [open_ones.enter_context(_connected(port_of(database))) for _ in range(6)]
        at = [_server_port(session) for session in sessions]
        assert Counter(at) == {primary.port: 3, standby.port: 3}
        standby.kill()
        until(lambda: uses(running, 1), "the other one has all")
        for session, port in zip(sessions, at, strict=True):
            if port == primary.port:
                assert _server_port(session) == port
            else:
                with pytest.raises(psycopg.OperationalError):
                    session.execute("SELECT 1")
        with _connected(port_of(database)) as later:
            assert _server_port(later) == primary.port


def _connected(port: int) -> psycopg.Connection[tuple[object, ...]]:
    dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=10"
    return psycopg.connect(dsn, autocommit=True)


def _server_port(connection: psycopg.Connection[tuple[object, ...]]) -> object:
    row = connection.execute("SELECT inet_server_port()").fetchone()
    assert row is not None
    return row[0]


def test_without_checks_the_first_address_is_tried_first(ambassador: StartAmbassador, tmp_path: Path) -> None:
    with named(b"first", b"second", b"third") as servers:
        database = pool(*({"port": server.port} for server in servers), check="passive")
        del database["balance"]
        ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        with ThreadPoolExecutor(8) as clients:
            assert set(clients.map(lambda _: answer(port_of(database)), range(40))) == {b"first"}
