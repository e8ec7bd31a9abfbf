"""The life of the process: ports, sockets, signals, drains and exit codes."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.end_to_end.test_postgresql import connect, server_port
from tests.testbed.cgroup import share_of_a_cpu
from tests.testbed.processes import StartAmbassador, command, environ, words


@pytest.mark.parametrize(
    ("number", "flags", "code"),
    [
        (signal.SIGTERM, (), 143),
        (signal.SIGINT, (), 130),
        (signal.SIGTERM, ("--exit-zero-on-sigterm",), 0),
    ],
)
def test_signals_end_it_with_their_codes(
    ambassador: StartAmbassador, tmp_path: Path, number: signal.Signals, flags: tuple[str, ...], code: int
) -> None:
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    assert ambassador("--environments", directory, *CHOSEN, *flags).stop(number) == code


def test_a_session_may_end_in_peace(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--max-sigterm-delay", "30s")
    with connect(port_of(database)) as session:
        running.send(signal.SIGTERM)
        running.wait_for("shutting down with 1 session")
        until(lambda: _refused(port_of(database)), "the listener is closed")
        assert server_port(session) == postgresql.port
    assert running.wait() == 143


def test_a_client_that_waits_is_told_of_the_shutdown(ambassador: StartAmbassador, tmp_path: Path) -> None:
    database = postgresql_database("127.0.0.1:1", hold="60s")
    running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
    with ThreadPoolExecutor() as threads:
        client = threads.submit(connect, port_of(database))
        until(lambda: running.status()["databases"][0]["held"] == 1, "the client waits")
        assert running.stop() == 143
        with pytest.raises(psycopg.OperationalError, match="shutting down"):
            client.result(timeout=10)


def test_a_client_whose_server_is_in_the_middle_of_tls_does_not_keep_it(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        database = postgresql_database(
            f"127.0.0.1:{server.getsockname()[1]}", sslmode="require", check="passive", hold="60s"
        )
        running = ambassador("--environments", environments(tmp_path, orders=database), *CHOSEN)
        client = threads.submit(connect, port_of(database))
        opened, _ = server.accept()
        with opened:
            assert len(opened.recv(8)) == 8
            opened.sendall(b"S")
            assert opened.recv(1) == b"\x16", "the handshake has begun, and never ends"
            started = time.monotonic()
            assert running.stop() == 143
            assert time.monotonic() - started < 3
            with pytest.raises(psycopg.OperationalError):
                client.result(timeout=10)


def test_only_sigterm_has_clients_accepted_for_a_while(ambassador: StartAmbassador, tmp_path: Path) -> None:
    """Who presses Ctrl-C or asks for the end has no application left that would still come."""
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    patient = ("--environments", directory, *CHOSEN, "--min-sigterm-delay", "60s")
    assert ambassador(*patient).stop(signal.SIGINT) == 130
    asked = ambassador(*patient)
    assert command("shutdown", "--admin-port", str(asked.admin_port)).code == 0
    assert asked.wait() == 0


def test_clients_are_accepted_for_a_while_after_sigterm(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--min-sigterm-delay", "2s")
    running.send(signal.SIGTERM)
    running.wait_for("shutting down")
    assert running.get("/readiness")[0] == 503
    with connect(port_of(database)) as session:
        assert server_port(session) == postgresql.port
    assert running.wait() == 143


def test_a_second_signal_does_not_wait(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--max-sigterm-delay", "60s")
    with connect(port_of(database)):
        running.send(signal.SIGTERM)
        running.wait_for("shutting down")
        assert running.stop(signal.SIGTERM) == 143


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_taken_port_is_told_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1", port))
        ended = command("run", "--environments", directory, *CHOSEN, *_free_ports())
    assert ended.code == 4
    assert f"127.0.0.1 port {port}" in ended.errors
    assert f"(process {os.getpid()})" in ended.errors


def test_a_dead_unix_socket_is_replaced_and_a_live_one_respected(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with temporary_directory("socket-") as directory:
        database = postgresql_database(f"127.0.0.1:{postgresql.port}")
        path = directory / f".s.PGSQL.{port_of(database)}"
        database["listen"] = [f"unix:{path}"]
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        start = ("--environments", environments(tmp_path, orders=database), *CHOSEN)
        first = ambassador(*start)
        with psycopg.connect(f"host={directory} port={path.suffix[1:]} user=postgres") as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        second = command("run", *start, *_free_ports())
        assert second.code == 4
        assert "a live process listens there" in second.errors
        assert first.stop() == 143
        assert not path.exists()
        path.write_text("not a socket")
        third = command("run", *start, *_free_ports())
        assert third.code == 4
        assert path.read_text() == "not a socket"


def test_listening_is_all_or_nothing(tmp_path: Path) -> None:
    free, taken = free_port(), free_port()
    with socket.create_server(("127.0.0.1", taken)):
        directory = environments(
            tmp_path,
            first=postgresql_database("127.0.0.1:1", free),
            second=postgresql_database("127.0.0.1:1", taken),
        )
        ended = command("run", "--environments", directory, *CHOSEN, *_free_ports())
    assert ended.code == 4
    assert _refused(free)


def test_shutdown_and_probes_speak_to_it(ambassador: StartAmbassador, tmp_path: Path) -> None:
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    running = ambassador("--environments", directory, *CHOSEN)
    for kind in ("startup", "readiness", "liveness"):
        probe = command("probe", kind, "--http-port", str(running.http_port))
        assert probe.code == 0, probe.errors
    waited = command("wait", "--for", "ambassador", "--max", "5s", "--http-port", str(running.http_port))
    assert waited.code == 0, waited.errors
    status = command("status", "--admin-port", str(running.admin_port))
    assert "orders" in status.output
    assert command("shutdown", "--admin-port", str(running.admin_port)).code == 0
    assert running.wait() == 0


def test_a_probe_has_its_answer_in_time_at_a_tenth_of_a_cpu(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """As in a container with `cpu: 100m`, where an exec probe spends the ambassador's share."""
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    with share_of_a_cpu(0.1) as share:
        running = ambassador("--environments", directory, *CHOSEN, prefix=share.prefix, ready=False)
        running.wait_for("ready for connections", timeout=60)
        asked = [*share.prefix, *words("probe", "liveness", "--http-port", str(running.http_port))]
        took = []
        with connect(port_of(database)):
            for _ in range(5):
                began = time.monotonic()
                subprocess.run(asked, check=True, env=environ(), timeout=30)
                took.append(time.monotonic() - began)
        assert share.throttled > 0
        running.process.end()
    assert statistics.median(took) < 1.0, took


def test_wait_for_the_database_needs_no_ambassador(postgresql: PostgreSQL, tmp_path: Path) -> None:
    there = environments(tmp_path, orders=postgresql_database(f"127.0.0.1:{postgresql.port}"))
    waited = command("wait", "--for", "database", "--max", "10s", "--environments", there, *CHOSEN)
    assert waited.code == 0, waited.errors
    nowhere = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    started = time.monotonic()
    missed = command("wait", "--for", "database", "--max", "700ms", "--environments", nowhere, *CHOSEN)
    assert missed.code == 5
    assert "127.0.0.1:1: connection refused" in missed.errors
    assert time.monotonic() - started >= 0.7
    primary = command("wait", "--for", "primary", "--environments", there, *CHOSEN)
    assert primary.code == 1
    assert "the check of database orders does not" in primary.errors


def test_the_limit_of_connections_is_told_in_the_clients_protocol(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    ambassador("--environments", directory, *CHOSEN, "--max-connections", "2")
    port = port_of(database)
    with connect(port), connect(port), pytest.raises(psycopg.OperationalError, match="connection limit"):
        connect(port)
    until(lambda: _accepted(port), "a place is free again")


def _accepted(port: int) -> bool:
    try:
        connect(port).close()
    except psycopg.OperationalError:
        return False
    return True


def _free_ports() -> tuple[str, ...]:
    return ("--http-port", "0", "--admin-port", "0")
