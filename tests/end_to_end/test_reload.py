"""Other environment files for a running ambassador: what changes, what stays, and what is refused."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground, PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.mysql_sessions import asked
from tests.end_to_end.mysql_sessions import connect as connect_mysql
from tests.end_to_end.setting import (
    CHOSEN,
    environments,
    mysql_database,
    port_of,
    postgresql_database,
    postgresql_pool,
    until,
)
from tests.end_to_end.test_postgresql import connect, server_port
from tests.testbed.mariadb import MariaDB
from tests.testbed.processes import Ambassador, StartAmbassador, command


@pytest.fixture(scope="module")
def another(postgresql_ground: Ground) -> Iterator[PostgreSQL]:
    """A second server, which is not running."""
    server = PostgreSQL.created(postgresql_ground, "another")
    yield server
    server.stop()


def metric(running: Ambassador, line: str) -> bool:
    return f"\n{line}\n" in running.get("/metrics")[1]


class Clients:
    """Short sessions, one after the other, until it is enough."""

    def __init__(self, port: int) -> None:
        self.served_by: list[object] = []
        self.errors: list[Exception] = []
        self._port = port
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            try:
                with connect(self._port) as session:
                    self.served_by.append(server_port(session))
            except psycopg.Error as error:
                self.errors.append(error)

    @contextmanager
    def coming(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(self.run) for _ in range(2)]
            try:
                yield
            finally:
                self._enough.set()
            for each in running:
                each.result()


def test_sessions_go_on_until_the_new_endpoint_is_up_and_nobody_is_refused(
    ambassador: StartAmbassador, postgresql: PostgreSQL, another: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}", target_session_attrs="read-write")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    clients = Clients(port_of(database))
    with connect(port_of(database)) as session, clients.coming():
        environments(tmp_path, orders={**database, "endpoint": f"127.0.0.1:{another.port}"})
        assert running.reload() == (200, "orders: endpoint\n")
        running.wait_for(f"127.0.0.1:{another.port} is down")
        before = len(clients.served_by)
        until(lambda: len(clients.served_by) > before + 20, "sessions still begin at the old endpoint")
        assert set(clients.served_by) == {server_port(session)} == {postgresql.port}

        another.start()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_sleep(10)")
        until(lambda: clients.served_by[-1] == another.port, "sessions begin at the new one")
    # One may be cut by the failover while it runs, which is no refusal.
    assert not [error for error in clients.errors if "refused" in str(error)]
    assert len(clients.errors) <= 2
    order = [number for number, port in enumerate(clients.served_by) if port == another.port]
    assert postgresql.port not in clients.served_by[order[0] + 2 :]
    running.wait_for(f"closed [1-3] sessions? at 127.0.0.1:{postgresql.port}: .* takes its place")
    another.stop()


def test_mariadb_moves_as_well(
    ambassador: StartAmbassador, mariadb: MariaDB, mariadb_directory: Path, tmp_path: Path
) -> None:
    other = MariaDB.created(mariadb_directory, "reloaded")
    database = mysql_database(f"127.0.0.1:{mariadb.port}")
    running = ambassador("--environments", environments(tmp_path, catalog=database), *CHOSEN)
    try:
        other.start()
        with connect_mysql(port_of(database)) as session:
            environments(tmp_path, catalog={**database, "endpoint": f"127.0.0.1:{other.port}"})
            assert running.reload() == (200, "catalog: endpoint\n")
            with pytest.raises(pymysql.Error):
                asked(session, "SELECT SLEEP(10)")
        with connect_mysql(port_of(database)) as session:
            assert asked(session, "SELECT @@port") == other.port
    finally:
        other.stop()


def test_a_broken_file_changes_nothing_and_is_told_of_until_it_is_mended(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    good = environments(tmp_path, orders=database)
    running = ambassador("--environments", good, *CHOSEN)
    assert metric(running, "dbambassador_config_last_reload_successful 1")
    with connect(port_of(database)) as session:
        environments(tmp_path, orders={**database, "hold": "soon", "endpoint": "127.0.0.1:1", "lisen": []})
        refused = command("reload", "--admin-port", str(running.admin_port))
        assert refused.code == 1
        for told in (refused.errors, running.wait_for("error: .*are not used"), str(running.status())):
            assert "here.yaml" in told
            assert "databases.orders.hold" in told
            assert "databases.orders.lisen" in told
        assert metric(running, "dbambassador_config_last_reload_successful 0")
        assert metric(running, 'dbambassador_config_reloads_total{outcome="refused"} 1')
        assert "are refused" in command("status", "--admin-port", str(running.admin_port)).output
        assert server_port(session) == postgresql.port

        environments(tmp_path, orders=database)
        mended = command("reload", "--admin-port", str(running.admin_port))
        assert (mended.code, mended.output) == (0, "nothing is served otherwise than before\n")
        assert metric(running, "dbambassador_config_last_reload_successful 1")
        assert running.status()["reload"]["problems"] == []
        assert server_port(session) == postgresql.port


def test_databases_come_and_go(ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path) -> None:
    with temporary_directory("socket-") as sockets:
        kept, removed, added = (postgresql_database(f"127.0.0.1:{postgresql.port}") for _ in range(3))
        removed["listen"].append(f"unix:{sockets}/.s.PGSQL.5432")
        running = ambassador("--environments", environments(tmp_path, kept=kept, removed=removed), *CHOSEN)
        with connect(port_of(kept)) as staying, connect(port_of(removed)) as leaving:
            environments(tmp_path, kept=kept, added=added)
            assert running.reload() == (200, "added: added\nremoved: removed\n")
            with pytest.raises(psycopg.OperationalError):
                leaving.execute("SELECT 1")
            assert server_port(staying) == postgresql.port
            with connect(port_of(added)) as session:
                assert server_port(session) == postgresql.port
            with pytest.raises(psycopg.OperationalError, match="refused"):
                connect(port_of(removed))
            assert os.listdir(sockets) == []
        assert [each["name"] for each in running.status()["databases"]] == ["kept", "added"]
        assert "no database of this environment any more" in running.wait_for("removed: closed 1 session")
        environments(tmp_path, kept=kept, removed=removed)
        assert running.reload()[0] == 200
        with connect(port_of(removed)) as session:
            assert server_port(session) == postgresql.port


def test_a_renamed_database_takes_the_listener_over_with_who_waits_there(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    clients = Clients(port_of(database))
    with clients.coming():
        for name in ("sales", "orders", "sales"):
            environments(tmp_path, **{name: database})
            assert running.reload()[0] == 200
    assert not [error for error in clients.errors if "refused" in str(error)]
    with connect(port_of(database)) as session:
        assert server_port(session) == postgresql.port


def test_a_port_that_cannot_be_had_refuses_the_whole(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    orders, reports = (postgresql_database(f"127.0.0.1:{postgresql.port}") for _ in range(2))
    running = ambassador("--environments", environments(tmp_path, orders=orders), *CHOSEN)
    taken = free_port()  # none of those that connections get: it is listened on when it is free again
    with socket.create_server(("127.0.0.1", taken)), connect(port_of(orders)) as session:
        elsewhere = {**orders, "listen": [f"localhost:{free_port()}", f"localhost:{taken}"], "hold": "1s"}
        environments(tmp_path, orders=elsewhere, reports=reports)
        status, told = running.reload()
        assert status == 422
        assert f"127.0.0.1 port {taken}: the port is taken" in told
        assert server_port(session) == postgresql.port
        for listed in (elsewhere, reports):
            with pytest.raises(psycopg.OperationalError, match="refused"):
                connect(port_of(listed))
        with connect(port_of(orders)) as another_session:
            assert server_port(another_session) == postgresql.port
    assert running.reload() == (200, "orders: listen, hold\nreports: added\n")
    for port in (taken, port_of(elsewhere), port_of(reports)):
        with connect(port) as session:
            assert server_port(session) == postgresql.port
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(port_of(orders))


def test_a_unix_socket_gets_its_mode_with_the_rest_or_not_at_all(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with temporary_directory("socket-") as sockets:
        path = sockets / ".s.PGSQL.5432"
        database = postgresql_database(f"127.0.0.1:{postgresql.port}")
        database["listen"].append(f"unix:{path}")
        reports = postgresql_database("127.0.0.1:1")
        directory = environments(tmp_path, orders=database, reports=reports)
        running = ambassador("--environments", directory, *CHOSEN)
        private = {**database, "unix_socket_mode": "0700"}
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = {**reports, "listen": [f"127.0.0.1:{other.getsockname()[1]}"]}
            environments(tmp_path, orders=private, reports=taken)
            assert running.reload()[0] == 422
            assert path.stat().st_mode & 0o777 == 0o777
            before = path.stat().st_ino
        environments(tmp_path, orders=private, reports=reports)
        assert running.reload() == (200, "orders: unix_socket_mode\n")
        assert (path.stat().st_mode & 0o777, path.stat().st_ino) == (0o700, before)
        with psycopg.connect(host=str(sockets), port=5432, user="postgres", dbname="postgres") as session:
            assert server_port(session) == postgresql.port


@pytest.mark.parametrize("changed", ["listen", "unix_socket_mode"])
def test_a_unix_socket_that_somebody_removed_is_made_anew(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path, changed: str
) -> None:
    with temporary_directory("socket-") as sockets:
        path = sockets / ".s.PGSQL.5432"
        database = postgresql_database(f"127.0.0.1:{postgresql.port}")
        database["listen"].append(f"unix:{path}")
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        with psycopg.connect(host=str(sockets), port=5432, user="postgres", dbname="postgres") as lasting:
            path.unlink()
            values = {"listen": [*reversed(database["listen"])], "unix_socket_mode": "0700"}
            database[changed] = values[changed]
            environments(tmp_path, orders=database)
            assert running.reload() == (200, f"orders: {changed}\n")
            with psycopg.connect(host=str(sockets), port=5432, user="postgres", dbname="postgres") as session:
                assert server_port(session) == postgresql.port
            assert server_port(lasting) == postgresql.port
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            before = path.stat().st_mode
            environments(tmp_path, orders={**database, "unix_socket_mode": "0600"})
            status, told = running.reload()
            assert (status, "a live process listens there" in told) == (422, True)
            assert path.stat().st_mode == before
        path.unlink()
        assert running.reload() == (200, "orders: unix_socket_mode\n")
        assert path.stat().st_mode & 0o777 == 0o600
        assert running.stop() in (0, 143)
        assert not path.exists()


def test_unusable_certificates_refuse_the_whole(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    nowhere = str(tmp_path / "nowhere.pem")
    environments(tmp_path, orders={**database, "sslmode": "verify-full", "sslrootcert": nowhere})
    status, told = running.reload()
    assert (status, "nowhere.pem: no such file" in told) == (422, True)
    with connect(port_of(database)) as session:
        assert server_port(session) == postgresql.port


@pytest.mark.waits
def test_a_mounted_configmap_is_read_anew_when_the_kubelet_has_replaced_it(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    _mount(mounted, "1", orders=database)
    (mounted / "here.yaml").symlink_to("..data/here.yaml")
    running = ambassador("--environments", mounted, *CHOSEN)
    _mount(mounted, "2", orders={**database, "hold": "7s"})
    running.wait_for("the ConfigMap was updated: environment files read anew: orders: hold")
    _mount(mounted, "3", orders={**database, "hold": "soon"})
    running.wait_for("the ConfigMap was updated: .*are not used")
    assert len([line for line in running.lines() if "ConfigMap" in line]) == 2


def _mount(directory: Path, version: str, **databases: Any) -> None:
    """As the kubelet's AtomicWriter does it."""
    content = environments(directory, **databases).rename(directory / f"..{version}")
    (directory / "..data_tmp").symlink_to(content.name)
    (directory / "..data_tmp").rename(directory / "..data")


def test_a_storm_of_signals_is_calm(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with connect(port_of(database)) as session:
        for number in range(50):
            environments(tmp_path, orders={**database, "hold": f"{number + 1}s"})
            running.send(signal.SIGHUP)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: running.reload()[0], range(8)))
        assert answers == [200] * 8
        assert running.status()["reload"]["successful"]
        assert server_port(session) == postgresql.port
    environments(tmp_path, orders={**database, "hold": "50s"})
    assert running.reload() == (200, "nothing is served otherwise than before\n")
    assert not [line for line in running.lines() if "bug" in line or "Traceback" in line]


def test_no_reload_while_shutting_down(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--max-sigterm-delay", "30s")
    with connect(port_of(database)) as session:
        running.send(signal.SIGTERM)
        running.wait_for("shutting down with 1 session")
        assert running.reload() == (409, "shutting down\n")
        running.send(signal.SIGHUP)
        running.wait_for("SIGHUP: environment files not read anew: shutting down")
        assert server_port(session) == postgresql.port
    assert running.wait() == 143


def test_clients_that_wait_go_on_waiting_by_the_new_settings(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database("127.0.0.1:1", hold="60s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with ThreadPoolExecutor() as threads:
        held = [threads.submit(connect, port_of(database)) for _ in range(3)]
        until(lambda: running.status()["databases"][0]["held"] == 3, "they wait")
        environments(tmp_path, orders={**database, "hold": "50s"})
        assert running.reload() == (200, "orders: hold\n")
        assert running.status()["databases"][0]["held"] == 3
        environments(tmp_path, orders={**database, "endpoint": f"127.0.0.1:{postgresql.port}"})
        assert running.reload() == (200, "orders: endpoint, hold\n")
        for each in held:
            with each.result(timeout=10) as session:
                assert server_port(session) == postgresql.port


def test_a_shorter_hold_ends_the_waiting(ambassador: StartAmbassador, tmp_path: Path) -> None:
    database = postgresql_database("127.0.0.1:1", hold="60s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with ThreadPoolExecutor() as threads:
        held = threads.submit(connect, port_of(database))
        until(lambda: running.status()["databases"][0]["held"] == 1, "it waits")
        environments(tmp_path, orders={**database, "hold": "0s"})
        assert running.reload() == (200, "orders: hold\n")
        with pytest.raises(psycopg.OperationalError, match="no usable address"):
            held.result(timeout=5)


def test_those_who_wait_at_a_removed_database_are_told(ambassador: StartAmbassador, tmp_path: Path) -> None:
    kept, removed = (postgresql_database("127.0.0.1:1", hold="60s") for _ in range(2))
    running = ambassador("--environments", environments(tmp_path, kept=kept, removed=removed), *CHOSEN)
    with ThreadPoolExecutor() as threads:
        held = threads.submit(connect, port_of(removed))
        until(lambda: running.status()["databases"][1]["held"] == 1, "it waits")
        environments(tmp_path, kept=kept)
        assert running.reload() == (200, "removed: removed\n")
        with pytest.raises(psycopg.OperationalError, match="no database of this environment any more"):
            held.result(timeout=5)


def test_another_environment_needs_a_restart(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN)
    (directory / "here.yaml").rename(directory / "elsewhere.yaml")
    status, told = running.reload()
    assert status == 422
    assert "they would choose elsewhere (" in told
    assert "this process stays with here" in told
    other = (directory / "elsewhere.yaml").read_text()
    (directory / "here.yaml").write_text(other.replace("environment: development", "environment: test"))
    (directory / "elsewhere.yaml").unlink()
    assert "they make here test, and it was development" in running.reload()[1]
    (directory / "here.yaml").write_text(other.replace("bare", "kubernetes"))
    assert "they would choose no environment" in running.reload()[1]
    (directory / "here.yaml").write_text(other)
    assert running.reload()[0] == 200


def test_a_reload_in_the_middle_of_a_failover_is_a_part_of_it(
    ambassador: StartAmbassador, postgresql: PostgreSQL, another: PostgreSQL, tmp_path: Path
) -> None:
    another.start()
    database = postgresql_database(f"127.0.0.1:{another.port}", hold="30s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with ExitStack() as sessions, ThreadPoolExecutor() as threads:
        for _ in range(5):
            sessions.enter_context(connect(port_of(database)))
        another.kill()
        running.wait_for("no usable address")
        held = threads.submit(connect, port_of(database))
        environments(tmp_path, orders={**database, "endpoint": f"127.0.0.1:{postgresql.port}"})
        assert running.reload() == (200, "orders: endpoint\n")
        with held.result(timeout=10) as session:
            assert server_port(session) == postgresql.port
    until(lambda: running.status()["databases"][0]["sessions"] == 0, "all sessions end")


def test_readers_leave_an_endpoint_that_a_person_has_removed_and_no_other(
    ambassador: StartAmbassador, postgresql: PostgreSQL, another: PostgreSQL, tmp_path: Path
) -> None:
    another.start()
    ports = {postgresql.port, another.port}
    database = postgresql_pool(*ports, balance="round-robin")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    until(lambda: len(running.status()["databases"][0]["choice"]["pool"]) == 2, "both are used")
    with connect(port_of(database)) as one, connect(port_of(database)) as two:
        leaving = one if server_port(one) == another.port else two
        staying = two if leaving is one else one
        alone = postgresql_pool(postgresql.port, balance="round-robin", listen=database["listen"])
        environments(tmp_path, orders=alone)
        assert running.reload() == (200, "orders: endpoint\n")
        with pytest.raises(psycopg.OperationalError):
            leaving.execute("SELECT pg_sleep(10)")
        for _ in range(4):
            with connect(port_of(database)) as session:
                assert server_port(session) == postgresql.port
        environments(tmp_path, orders={**database, "balance": "least-connections"})
        assert running.reload() == (200, "orders: endpoint, balance\n")
        assert server_port(staying) == postgresql.port
    another.stop()


def test_the_former_endpoint_serves_by_its_former_settings_until_the_new_one_does(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}", hold="0s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    wrong = {"sslmode": "verify-full", "sslrootcert": "system", "check": {"user": "nobody", "interval": "1s"}}
    with connect(port_of(database)) as session:
        for endpoint in ("127.0.0.1:1", "nowhere.invalid:5432"):
            environments(tmp_path, orders={**database, **wrong, "endpoint": endpoint})
            assert running.reload()[0] == 200
            until(
                lambda: "former endpoint serves" in running.status()["databases"][0]["choice"]["why"],
                "the former endpoint is all there is",
            )
            for _ in range(20):
                with connect(port_of(database)) as another_session:
                    assert server_port(another_session) == postgresql.port
            assert server_port(session) == postgresql.port
        environments(tmp_path, orders=database)
        assert running.reload()[0] == 200
        until(
            lambda: "former" not in running.status()["databases"][0]["choice"]["why"],
            "it is the endpoint again",
        )
        assert server_port(session) == postgresql.port
