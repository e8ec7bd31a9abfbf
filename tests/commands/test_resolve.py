from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import jsonschema
import pytest
import trio

from dbambassador.cli import main
from dbambassador.commands import resolve
from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.discovery.resolver import Resolver
from dbambassador.errors import ExitCode
from dbambassador.settings.schema import Database, HostEndpoint, Protocol, SrvEndpoint
from dbambassador.values import Address, Target, Targets
from tests.discovery.zone import site
from tests.end_to_end.setting import CHOSEN, environments, postgresql_pool
from tests.testbed.dns import Knot, faulty, free_port, knot, reply_to

Capture = pytest.CaptureFixture[str]

ENVIRONMENT = """\
environment: test
match: {matchFacts: {k8s.namespace.name: shop}}
databases:
  orders:
    protocol: postgresql
    listen: [localhost:5432]
    endpoint: orders.db.test:5432
    check: passive
  stock:
    protocol: mysql
    listen: [localhost:3306]
    endpoint: srv:_mysql._tcp.db.test
    check: passive
"""

RECORDS = [
    "orders 20 CNAME primary",
    "primary 5 A 10.0.0.7",
    "_mysql._tcp 5 SRV 3 7 3307 stock",
    "stock 5 A 10.0.0.8",
]

SCHEMA = json.loads(files("dbambassador").joinpath("commands/schemas/resolve.schema.json").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[Knot]:
    with knot(records=RECORDS) as running:
        yield running


@pytest.fixture
def arguments(tmp_path: Path, server: Knot) -> list[str]:
    environments = tmp_path / "environments"
    environments.mkdir()
    (environments / "shop.yaml").write_text(ENVIRONMENT)
    return [
        "resolve",
        f"--environments={environments}",
        f"--root={tmp_path}",
        f"--nameserver={server.address}",
        "--fact=k8s.namespace.name=shop",
    ]


def test_shows_steps_and_addresses_to_people(arguments: list[str], server: Knot, capsys: Capture) -> None:
    assert main([*arguments, "--database=orders"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"environment shop, nameserver {server.address}"
    assert lines[2] == "orders (postgresql): orders.db.test:5432"
    assert lines[3] == "  orders.db.test"
    assert lines[4].split() == ["CNAME", "primary.db.test", "TTL", "20", "s"]
    assert lines[5] == "  primary.db.test"
    address = lines[6].split()
    assert address[:2] == ["A", "10.0.0.7"]
    assert address[3:] == ["ms", "TTL", "5", "s"]
    assert lines[7].split()[:3] == ["AAAA", "no", "data"]
    assert lines[9].split() == ["address", "name"]
    assert lines[10].split() == ["10.0.0.7:5432", "orders.db.test"]
    assert len(lines) == 11


LONG = "a-service-with-a-long-name.a-namespace-with-a-long-name.svc.cluster.local"


def step(kind: str, answer: str, server: str = "10.0.0.10:53") -> dict[str, Any]:
    return {
        "question": LONG,
        "kind": kind,
        "answer": answer,
        "server": server,
        "ttl_seconds": 30.0,
        "seconds": 0.001,
    }


def report(steps: list[dict[str, Any]], *addresses: dict[str, Any]) -> dict[str, Any]:
    return {
        "environment": "shop",
        "databases": [
            {
                "name": "orders",
                "protocol": "postgresql",
                "endpoints": ["srv:_postgresql._tcp.orders"],
                "steps": steps,
                "addresses": list(addresses),
                "stale": False,
                "failure": "",
            }
        ],
    }


def address(host: str, **changes: Any) -> dict[str, Any]:
    plain = {"port": 5432, "name": LONG, "priority": 0, "weight": 1, "zone": ""}
    return {"host": host, **plain, "state": "unchecked", "role": "unknown", "why": "", **changes}


def test_priorities_and_weights_are_shown_where_they_differ() -> None:
    two = "a.test:1 (priority 1, weight 5), b.test:2 (priority 2, weight 5)"
    ranked = resolve.render(report([step("SRV", two)], address("10.0.0.1", priority=1), address("10.0.0.2")))
    assert two in ranked
    assert ranked.splitlines()[-3].split() == ["address", "priority", "name"]
    plain = resolve.render(
        report([step("SRV", two.replace("priority 2", "priority 1"))], address("10.0.0.1"))
    )
    assert "a.test:1, b.test:2" in plain
    assert "priority" not in plain


def test_a_zone_and_whoever_else_told_are_shown() -> None:
    steps = [step("SRV", "a.test:1"), step("A", "10.0.0.1", "cache"), step("A", "10.0.0.2", "10.0.0.11:53")]
    text = resolve.render(report(steps, address("10.0.0.1", zone="hall-a"), address("10.0.0.2")))
    assert text.splitlines()[0] == "environment shop"
    assert [line.split()[-1] for line in text.splitlines()[4:7]] == ["10.0.0.10:53", "cache", "10.0.0.11:53"]
    assert text.splitlines()[-2].split() == ["10.0.0.1:5432", "hall-a", LONG]


def test_long_names_and_many_records_fit_a_hundred_columns() -> None:
    records = [
        f"orders-{number}.orders.shop.svc.cluster.local:5432 (priority {number}, weight 1)"
        for number in "123"
    ]
    steps = [step("SRV", ", ".join(records)), step("A", "10.0.0.1")]
    lines = resolve.render(report(steps, address("10.0.0.1"))).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.strip() for line in lines[5:8]] == records


def test_both_address_families_are_one_line_where_they_say_the_same() -> None:
    steps = [step("A", "NXDOMAIN"), {**step("AAAA", "NXDOMAIN"), "seconds": 0.002}, step("A", "NXDOMAIN")]
    lines = resolve.render(report(steps)).splitlines()
    assert [line.split()[:5] for line in lines[4:]] == [
        ["A,", "AAAA", "NXDOMAIN", "2.0", "ms"],
        ["A", "NXDOMAIN", "1.0", "ms", "TTL"],
    ]


def test_of_many_addresses_people_see_some_and_the_number_of_the_others() -> None:
    addresses = [address(f"10.0.0.{number}") for number in range(64)]
    lines = resolve.render(report([], *addresses)).splitlines()
    assert lines[-2].split()[0] == "10.0.0.15:5432"
    assert lines[-1] == "  and 48 more"


def database(*endpoints: HostEndpoint | SrvEndpoint) -> Database:
    return Database(name="orders", protocol=Protocol.POSTGRESQL, listen=(), endpoints=endpoints)


def test_what_checks_found_is_shown_beside_the_addresses() -> None:
    found = Targets(tuple(Target(Address(f"10.0.0.{n}", 5432), "orders.db.test") for n in (1, 2, 3)))
    findings = {
        Address("10.0.0.1", 5432): resolve.Finding("up", "primary", "took a session"),
        Address("10.0.0.2", 5432): resolve.Finding("down", why="connection refused"),
    }
    described = resolve.describe(
        database(HostEndpoint("orders.db.test", 5432)), found, findings, began=0.0, now=0.0
    )
    whole = {"environment": "shop", "databases": [described]}
    jsonschema.validate(whole, SCHEMA)
    assert [line.split() for line in resolve.render(whole).splitlines()[-4:]] == [
        ["address", "state", "role", "name", "why"],
        ["10.0.0.1:5432", "up", "primary", "orders.db.test", "took", "a", "session"],
        ["10.0.0.2:5432", "down", "unknown", "orders.db.test", "connection", "refused"],
        ["10.0.0.3:5432", "unchecked", "unknown", "orders.db.test"],
    ]


async def test_the_last_good_answer_and_what_failed_are_both_shown(tmp_path: Path) -> None:
    orders = database(HostEndpoint("orders.db.test.", 5432))
    async with site(tmp_path, orders__db__test=["20 A 10.0.0.1"]) as place:
        await place.resolver.resolve(orders.endpoints)
        place.zone.codes[""] = dns.rcode.SERVFAIL
        began = trio.current_time()
        targets = await place.resolver.resolve(orders.endpoints, after=began)
    described = resolve.describe(orders, targets, {}, began=began, now=trio.current_time())
    lines = resolve.render({"environment": "shop", "databases": [described]}).splitlines()
    assert lines[2] == "orders (postgresql): orders.db.test.:5432"
    assert lines[4].split()[:3] == ["A,", "AAAA", "SERVFAIL"]
    assert lines[5].split() == ["A", "10.0.0.1", "TTL", "20", "s", "cache"]
    assert lines[-3] == "  the last good answer is used: see what failed above"
    assert lines[-1].endswith("could not answer (SERVFAIL)")


async def test_an_answer_that_was_too_long_for_udp_says_so(tmp_path: Path) -> None:
    async def behave(query: dns.message.Message, transport: str) -> bytes | None:
        reply = reply_to(query, *(["orders.db.test 20 A 10.0.0.1"] if transport == "tcp" else []))
        reply.flags |= 0 if transport == "tcp" else dns.flags.TC
        return reply.to_wire()

    orders = database(HostEndpoint("orders.db.test.", 5432))
    async with faulty(behave) as server:
        targets = await Resolver(tmp_path, [str(server.address)], lambda event: None).resolve(
            orders.endpoints
        )
    described = resolve.describe(orders, targets, {}, began=0.0, now=0.0)
    lines = resolve.render({"environment": "shop", "databases": [described]}).splitlines()
    assert lines[0] == f"environment shop, nameserver {server.address}"
    assert lines[4].endswith("over TCP")


def test_a_full_name_is_not_completed(
    arguments: list[str], tmp_path: Path, server: Knot, capsys: Capture
) -> None:
    """The final dot of the environment file gets as far as the nameserver."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("search a.test\noptions ndots:5\n")
    file = tmp_path / "environments/shop.yaml"
    file.write_text(re.sub(r"db\.test(?=:5432|\n)", "db.test.", ENVIRONMENT))
    assert main([*arguments, "--json"]) == ExitCode.DONE
    for described in json.loads(capsys.readouterr().out)["databases"]:
        assert described["addresses"]
        assert all(step["question"].endswith(".db.test") for step in described["steps"])


def test_json_keeps_to_its_schema(arguments: list[str], server: Knot, capsys: Capture) -> None:
    assert main([*arguments, "--json"]) == ExitCode.DONE
    report = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report, SCHEMA)
    assert report["environment"] == "shop"
    orders, stock = report["databases"]
    assert orders["endpoints"] == ["orders.db.test:5432"]
    assert stock["endpoints"] == ["srv:_mysql._tcp.db.test"]
    assert stock["addresses"] == [
        {
            "host": "10.0.0.8",
            "port": 3307,
            "name": "stock.db.test",
            "priority": 3,
            "weight": 7,
            "zone": "",
            "state": "unchecked",
            "role": "unknown",
            "why": "",
        }
    ]
    assert [step["kind"] for step in stock["steps"]] == ["SRV", "A", "AAAA"]
    assert 0 < stock["asked_again_in_seconds"] <= 5


def test_a_database_without_an_address_is_told_with_its_reason(
    arguments: list[str], tmp_path: Path, server: Knot, capsys: Capture
) -> None:
    file = tmp_path / "environments/shop.yaml"
    file.write_text(ENVIRONMENT.replace("orders.db.test", "no.db.test"))
    assert main(arguments) == ExitCode.INVALID
    output = capsys.readouterr()
    assert f"no.db.test does not exist (NXDOMAIN from {server.address})" in output.out
    assert "10.0.0.8:3307" in output.out
    assert output.err == "no address: orders\n"
    assert main([*arguments, "--json"]) == ExitCode.INVALID
    jsonschema.validate(json.loads(capsys.readouterr().out), SCHEMA)


def test_a_nameserver_that_is_not_there_is_named(arguments: list[str], server: Knot, capsys: Capture) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    arguments = [argument.replace(str(server.address), nobody) for argument in arguments]
    assert main(arguments) == ExitCode.INVALID
    said = " ".join(capsys.readouterr().out.split())
    assert f"nameserver {nobody} cannot be reached (Connection refused)" in said


def test_no_environment_is_refused_with_the_table_of_reasons(arguments: list[str], capsys: Capture) -> None:
    arguments = [argument.replace("=shop", "=other") for argument in arguments]
    assert main(arguments) == ExitCode.NO_ENVIRONMENT
    output = capsys.readouterr()
    assert output.out == ""
    assert "k8s.namespace.name" in output.err


def test_a_nameserver_must_be_an_address(arguments: list[str], capsys: Capture) -> None:
    assert main([*arguments, "--nameserver=ns.test"]) == ExitCode.INVALID
    assert "'ns.test'" in capsys.readouterr().err


def test_each_address_is_checked_as_its_database_is_set(
    postgresql: PostgreSQL, tmp_path: Path, capsys: Capture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()[1]
    there = environments(
        tmp_path,
        orders=postgresql_pool(postgresql.port, refusing, check={"user": "postgres"}),
        plain=postgresql_pool(postgresql.port),
    )
    assert main(["resolve", "--environments", str(there), *CHOSEN]) == ExitCode.DONE
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["address", "state", "role", "name", "why"] in rows
    assert [f"127.0.0.1:{postgresql.port}", "answered", "primary", "127.0.0.1"] in [row[:4] for row in rows]
    assert [f"127.0.0.1:{refusing}", "failed", "unknown", "127.0.0.1", "connection", "refused"] in rows
    assert [f"127.0.0.1:{postgresql.port}", "answered"] in [row[:2] for row in rows]


def test_a_database_without_a_usable_address_is_no_success(
    postgresql: PostgreSQL, tmp_path: Path, capsys: Capture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()[1]

    def checked(*ports: int, **settings: Any) -> dict[str, Any]:
        return postgresql_pool(*ports, check={"user": "postgres"}, **settings)

    there = environments(
        tmp_path,
        down=checked(refusing),
        other_role=checked(postgresql.port, target_session_attrs="standby"),
        unchecked=postgresql_pool(refusing, check="passive"),
        fine=checked(refusing, postgresql.port),
    )
    assert main(["resolve", "--environments", str(there), *CHOSEN]) == ExitCode.INVALID
    assert capsys.readouterr().err == "no usable address: down, other_role\n"


def test_without_its_certificates_a_database_is_resolved_and_not_checked(
    tmp_path: Path, capsys: Capture
) -> None:
    database = postgresql_pool(5432, sslmode="verify-full", sslrootcert="/none.pem")
    flags = ["--environments", str(environments(tmp_path, orders=database)), *CHOSEN]
    assert main(["resolve", *flags, "--json"]) == ExitCode.DONE
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    ((address,),) = (each["addresses"] for each in report["databases"])
    assert (address["state"], address["why"]) == (
        "unchecked",
        "database orders: sslrootcert /none.pem: no such file or directory",
    )
