"""The database on another host: namespaces with networks of their own, and the faults between them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.postgresql import Ground, PostgreSQL
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.end_to_end.test_postgresql import connect
from tests.testbed.netns import Host, Lan
from tests.testbed.processes import StartAmbassador

PORT = 5432


@contextmanager
def server_on(host: Host, ground: Ground, name: str) -> Iterator[PostgreSQL]:
    """A PostgreSQL server that this host's whole network may use."""
    server = PostgreSQL.created(ground, name, settings={"listen_addresses": "*"}, port=PORT)
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all trust\n")
    try:
        host.call(server.start)
        yield server
    finally:
        host.call(server.stop)


def name_of(host: Host, port: int) -> str:
    """The `cluster_name` of the server that answers on this host's localhost."""

    def ask() -> str:
        with connect(port) as connection:
            row = connection.execute("SHOW cluster_name").fetchone()
            assert row is not None
            return str(row[0])

    return host.call(ask)


def test_the_hosts_file_moves_clients_from_host_to_host(
    ambassador: StartAmbassador, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path
) -> None:
    app, a, b = four_hosts["app"], four_hosts["db-a"], four_hosts["db-b"]
    database = postgresql_database(f"orders-db:{PORT}", hold="10s")
    port = port_of(database)
    with server_on(a, postgresql_ground, "hosts-a"), server_on(b, postgresql_ground, "hosts-b"):
        running = ambassador(
            *("--environments", environments(tmp_path, orders=database), *CHOSEN),
            *("--root", _root(tmp_path, {"orders-db": a.ip})),
            prefix=app.command(),
            ready=False,
        )
        running.wait_for("ready for connections")
        until(lambda: name_of(app, port) == "hosts-a", "clients reach the first host")
        _root(tmp_path, {"orders-db": b.ip})
        a.unplug()
        until(lambda: name_of(app, port) == "hosts-b", "clients reach the other host", patience=20)


def test_both_families_of_another_host_serve(
    ambassador: StartAmbassador, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path
) -> None:
    app, a = four_hosts["app"], four_hosts["db-a"]
    with server_on(a, postgresql_ground, "families") as server:
        four = postgresql_database(f"{a.ip}:{PORT}")
        six = postgresql_database(f"[{a.ip6}]:{PORT}")
        running = ambassador(
            *("--environments", environments(tmp_path, four=four, six=six), *CHOSEN),
            prefix=app.command(),
            ready=False,
        )
        running.wait_for("ready for connections")
        for database in (four, six):
            assert name_of(app, port_of(database)) == server.name


@pytest.mark.parametrize("fault", ["drop", "reject", "unplug"])
def test_an_address_that_fails_is_left_for_the_other_one(
    ambassador: StartAmbassador, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path, fault: str
) -> None:
    app, a, b = four_hosts["app"], four_hosts["db-a"], four_hosts["db-b"]
    database = postgresql_database("unused:1", hold="10s")
    del database["endpoint"]
    database["endpoints"] = [{"host": a.ip, "port": PORT}, {"host": b.ip, "port": PORT}]
    port = port_of(database)
    with server_on(a, postgresql_ground, f"{fault}-a"), server_on(b, postgresql_ground, f"{fault}-b"):
        running = ambassador(
            *("--environments", environments(tmp_path, orders=database), *CHOSEN),
            prefix=app.command(),
            ready=False,
        )
        running.wait_for(f"sessions go to {a.ip}")
        faults: dict[str, Callable[[], None]] = {
            "drop": partial(a.drop, PORT),
            "reject": partial(a.reject, PORT),
            "unplug": a.unplug,
        }
        faults[fault]()
        started = time.monotonic()
        assert name_of(app, port) == f"{fault}-b"
        assert time.monotonic() - started < 9
        a.heal()
        running.wait_for(rf"{a.ip}:{PORT} is up, was (down|not-ready)")
        assert name_of(app, port) == f"{fault}-b", "a working address is not left"


def test_a_host_without_ipv6_listens_on_ipv4_alone(
    ambassador: StartAmbassador, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path
) -> None:
    app, a = four_hosts["app"], four_hosts["db-a"]
    subprocess.run(
        app.command("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1"),
        check=True,
        timeout=10,
    )
    database = postgresql_database(f"{a.ip}:{PORT}")
    with server_on(a, postgresql_ground, "ipv4"):
        running = ambassador(
            *("--environments", environments(tmp_path, orders=database), *CHOSEN),
            prefix=app.command(),
            ready=False,
        )
        running.wait_for("ready for connections")
        assert [line for line in running.lines() if "[::1]" in line and "not listening" in line]
        assert name_of(app, port_of(database)) == "ipv4"


def test_a_held_client_is_let_in_when_the_cable_is_back(
    ambassador: StartAmbassador, four_hosts: Lan, postgresql_ground: Ground, tmp_path: Path
) -> None:
    app, a = four_hosts["app"], four_hosts["db-a"]
    database = postgresql_database(f"{a.ip}:{PORT}", hold="30s")
    with server_on(a, postgresql_ground, "held"):
        a.unplug()
        running = ambassador(
            *("--environments", environments(tmp_path, orders=database), *CHOSEN),
            prefix=app.command(),
            ready=False,
        )
        running.wait_for("no usable address")
        with ThreadPoolExecutor() as threads:
            held = threads.submit(name_of, app, port_of(database))
            a.heal()
            assert held.result(timeout=20) == "held"


def test_a_hold_that_is_over_is_told_at_once(
    ambassador: StartAmbassador, four_hosts: Lan, tmp_path: Path
) -> None:
    app = four_hosts["app"]
    database = postgresql_database(f"{four_hosts['db-a'].ip}:{PORT}", hold="2s")
    running = ambassador(
        *("--environments", environments(tmp_path, orders=database), *CHOSEN),
        prefix=app.command(),
        ready=False,
    )
    running.wait_for("no usable address")
    with pytest.raises(psycopg.OperationalError, match="connection refused"):
        name_of(app, port_of(database))
    started = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="connection refused"):
        name_of(app, port_of(database))
    assert time.monotonic() - started < 1.2


def _root(directory: Path, entries: dict[str, str]) -> Path:
    """A root whose hosts file has these names."""
    root = directory / "root"
    (root / "etc").mkdir(parents=True, exist_ok=True)
    lines = [f"{ip} {name}\n" for name, ip in entries.items()]
    written = root / "etc/hosts.new"
    written.write_text("".join(lines))
    written.rename(root / "etc/hosts")
    return root
