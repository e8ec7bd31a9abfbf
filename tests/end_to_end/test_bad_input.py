"""What is wrong is said in a way that a person can mend, and nothing is half-applied."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import psycopg
import pytest

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database, until
from tests.end_to_end.test_postgresql import connect, server_port
from tests.testbed.dns import knot
from tests.testbed.processes import StartAmbassador, command

RUN = ("run", "--http-port", "0", "--admin-port", "0")

GOOD = """\
environment: development
match: {matchFacts: {dbambassador.platform: bare}}
databases:
  orders: {protocol: postgresql, listen: ["localhost:6432"], endpoint: "db.test:5432"}
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "environment: [development", ["a.yaml:", "YAML"]),
        (
            "a.yaml",
            GOOD.replace("endpoint", "endpiont"),
            ["a.yaml:4", "databases.orders.endpiont", "endpoint"],
        ),
        ("a.yaml", GOOD.replace("development", "7"), ["a.yaml:1", "environment", "7", "production"]),
        ("a.yaml", GOOD.replace('"db.test:5432"', "db.test"), ["a.yaml:4", "endpoint", "db.test", "port"]),
        ("a.yaml", GOOD.replace("{dbambassador.platform: bare}", "{}"), ["a.yaml:2", "match"]),
        ("a.yaml", GOOD.replace("endpoint:", "sslmode: verify-full, endpoint:"), ["a.yaml:4", "sslmode"]),
        ("_defaults.yaml", "databases: []", ["_defaults.yaml:1", "databases"]),
    ],
    ids=["syntax", "unknown key", "wrong value", "no port", "empty match", "not yet", "defaults"],
)
def test_a_broken_file_is_told_by_file_line_and_path(
    tmp_path: Path, name: str, text: str, expected: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "b.yaml").write_text("environment: 1\n")
    ended = command(*RUN, "--environments", tmp_path, *CHOSEN)
    assert ended.code == 1
    for part in [*expected, "b.yaml:1"]:  # every error of every file at once
        assert part in ended.errors
    assert "Traceback" not in ended.errors


def test_two_databases_on_one_address(tmp_path: Path) -> None:
    port = free_port()
    directory = environments(
        tmp_path,
        orders=postgresql_database("127.0.0.1:1", port),
        catalog=postgresql_database("127.0.0.1:2", port),
    )
    ended = command(*RUN, "--environments", directory, *CHOSEN)
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.errors
    assert "orders" in ended.errors
    assert "catalog" in ended.errors


def test_a_missing_and_an_empty_directory(tmp_path: Path) -> None:
    for directory in (tmp_path / "nowhere", tmp_path):
        ended = command(*RUN, "--environments", directory, *CHOSEN)
        assert ended.code == 1
        assert str(directory) in ended.errors


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--http-port", "eighty"], ["--http-port", "eighty", "port"]),
        (["--nameserver", "ns.example"], ["ns.example", "nameserver"]),
        (["--max-sigterm-delay", "soon"], ["--max-sigterm-delay", "soon", "30s"]),
        (["--fact", "nothing"], ["nothing", "NAME=VALUE"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_a_wrong_flag_is_usage(tmp_path: Path, flags: list[str], expected: list[str]) -> None:
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    ended = command(*RUN, "--environments", directory, *flags)
    assert ended.code == 1
    for part in expected:
        assert part in ended.errors


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    ended = command(*RUN, "--environments", directory, variables={"DBAMBASSADOR_MAX_CONNECTIONS": "many"})
    assert ended.code == 1
    assert "DBAMBASSADOR_MAX_CONNECTIONS: found 'many'" in ended.errors


def test_facts_that_contradict_each_other_choose_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    account = root / "var/run/secrets/kubernetes.io/serviceaccount"
    account.mkdir(parents=True)
    (account / "namespace").write_text("shop")
    directory = tmp_path / "environments"
    directory.mkdir()
    (directory / "a.yaml").write_text(GOOD.replace("dbambassador.platform: bare", "k8s.namespace.name: shop"))
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    start = (*RUN, "--environments", directory, "--root", root)
    ended = command(*start, variables={**variables, "POD_NAMESPACE": "bank"})
    assert ended.code == 3
    assert "shop" in ended.errors
    assert "bank" in ended.errors


def test_unreadable_account_files_are_unknown_not_absent(tmp_path: Path) -> None:
    root = tmp_path / "root"
    account = root / "var/run/secrets/kubernetes.io/serviceaccount"
    for name in ("namespace", "ca.crt", "token"):
        (account / name).mkdir(parents=True)  # not even root reads a directory as a file
    ended = command("reflect", "--root", root, variables={"KUBERNETES_SERVICE_HOST": "127.0.0.1"})
    assert ended.code == 0
    _, _, unknown = ended.output.partition("\nUnknown:\n")
    for name in ("k8s.namespace.name", "dbambassador.k8s.ca.sha256"):
        assert f"\n  {name} " in f"\n{unknown}"


def test_a_name_that_appears_later_is_found(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with knot() as nameserver:
        database = postgresql_database(f"late.db.test:{postgresql.port}", hold="0s")
        running = ambassador(
            "--environments",
            environments(tmp_path, orders=database),
            *CHOSEN,
            "--nameserver",
            str(nameserver.address),
        )
        with pytest.raises(psycopg.OperationalError, match=r"late\.db\.test does not exist"):
            connect(port_of(database))
        nameserver.replace("late", "A", "127.0.0.1")
        until(lambda: running.status()["databases"][0]["choice"]["address"] is not None, "the name is found")
        with connect(port_of(database)) as connection:
            assert server_port(connection) == postgresql.port


def test_full_descriptor_tables_are_survived(
    ambassador: StartAmbassador, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = postgresql_database(f"127.0.0.1:{postgresql.port}")
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN)
    port = port_of(database)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (48, 48))
    with connect(port) as lasting:
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        running.wait_for("no file descriptors")
        assert server_port(lasting) == postgresql.port
        for client in crowd:
            client.close()
    with connect(port) as connection:
        assert server_port(connection) == postgresql.port
    until(lambda: running.get("/liveness")[0] == 200, "it is alive")
    exhausted = [line for line in running.lines() if "no file descriptors" in line]
    assert len(exhausted) == 1, exhausted


def test_a_socket_directory_that_is_not_there(tmp_path: Path) -> None:
    with temporary_directory("socket-") as sockets:
        database = postgresql_database("127.0.0.1:1")
        database["listen"] = [f"unix:{sockets}/nowhere/.s.PGSQL.5432"]
        ended = command(*RUN, "--environments", environments(tmp_path, orders=database), *CHOSEN)
    assert ended.code == 4
    assert f"{sockets}/nowhere/.s.PGSQL.5432" in ended.errors
    assert "no such file or directory" in ended.errors
    assert f"there is no directory {sockets}/nowhere" in ended.errors


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "0.0.0.0", "[::1]"])
def test_a_name_that_leads_back_to_its_own_listener_is_no_loop(
    ambassador: StartAmbassador, tmp_path: Path, endpoint: str
) -> None:
    there, here = free_port(), free_port()
    around = postgresql_database(f"{endpoint}:{here}", there, hold="0s")
    back = postgresql_database(f"{endpoint}:{there}", here, hold="0s")
    ambassador("--environments", environments(tmp_path, around=around, back=back), *CHOSEN)
    with pytest.raises(psycopg.OperationalError, match="the ambassador's own listener"):
        connect(here)
